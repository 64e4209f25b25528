//! `GET /metrics`, in the text format that Prometheus scrapes: what the load threads count at that moment, and what
//! the last slice came to.

use std::fmt::{Display, Write as _};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::seen::{BOUNDS, Seen, bound_ns};
use super::{CONNECTING, MEASURING, Shared};
use crate::alarm::yield_to_others;
use crate::output::tell;
use crate::usage::UsageError;

/// How long a request may take, and its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is read of a request at most.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// How long accepting rests after it failed.
const REST: Duration = Duration::from_millis(100);

/// The stages that a load may be in.
const STAGES: [&str; 6] = [
    CONNECTING, "waiting", "warm-up", MEASURING, "draining", "holding",
];

/// What is told if it is known, and what it means. What only grows ends in `_total`.
const METRICS: &str = "
connections Connections that were made
completed_total Messages whose reply was right, warm-up included, or sessions that ended well in the window
payload_bytes_total Payload of those messages, one way
wire_sent_bytes_total Bytes that the kernel took
wire_received_bytes_total Bytes that the kernel gave
wrong_replies_total Messages whose reply was wrong
errors_total What failed besides without ending the load: sessions, connections that were made again
offered_per_second What the schedule asked for in the last slice
backlog What was due and had not begun, at the end of the last slice
in_flight Messages, or sessions, in flight at the end of the last slice
send_lag_seconds The latest that the generator itself was in the last slice
generator_cpu_seconds_total CPU time of the load threads within the window
server_cpu_seconds_total CPU time of the server within the window
";

/// The load that is told of, once somebody listens: a search has one after the other.
static SERVED: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

/// Tells of `shared` from now on, to whoever comes to `address`; the first load decides which. It ends with the
/// process.
///
/// # Errors
/// If one cannot listen there.
pub(super) fn serve(address: SocketAddr, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    if served.is_none() {
        let listener = TcpListener::bind(address).map_err(|error| {
            UsageError(format!(
                "--prometheus {address}: nobody can listen there ({error}); port 0 takes a free one"
            ))
        })?;
        let at = listener.local_addr().context("asking for the port")?;
        Builder::new()
            .name("prometheus".to_owned())
            .spawn(move || listen(&listener))
            .context("starting a thread")?;
        tell(format_args!("ringload: metrics at http://{at}/metrics"));
    }
    *served = Some(Arc::clone(shared));
    Ok(())
}

/// Answers one after the other.
fn listen(listener: &TcpListener) {
    yield_to_others();
    for stream in listener.incoming() {
        match stream {
            // Who hangs up has no answer.
            Ok(stream) => drop(answer(stream)),
            Err(_) => thread::sleep(REST),
        }
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let status = read(&mut stream)?;
    let served = SERVED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let body = match served {
        Some(shared) if status == "200 OK" => metrics(&shared),
        _ => format!("{status}; what is here is GET /metrics\n"),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes())
}

/// The status that a request deserves.
fn read(stream: &mut TcpStream) -> io::Result<&'static str> {
    let deadline = Instant::now() + PATIENCE;
    let (mut head, mut filled) = ([0; HEAD_BYTES_MAX], 0);
    while !head[..filled].windows(4).any(|end| end == b"\r\n\r\n") {
        if filled == HEAD_BYTES_MAX {
            return Ok("431 Request Header Fields Too Large");
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // No time at all would be one without an end.
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut head[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            count => filled += count,
        }
    }
    // The fields are nothing to this.
    let head = String::from_utf8_lossy(&head[..filled]);
    let words: Vec<&str> = head.lines().next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.0" | "HTTP/1.1"] = words[..] else {
        return Ok("400 Bad Request");
    };
    Ok(match (method, target.split('?').next()) {
        ("GET", Some("/metrics")) => "200 OK",
        ("GET", _) => "404 Not Found",
        _ => "405 Method Not Allowed",
    })
}

/// Everything; what is not known is left out.
fn metrics(shared: &Shared) -> String {
    let seen = shared.seen().clone();
    let mut text = Text(String::new());
    text.head("stage", "gauge", "1 for the stage that the load is in");
    for stage in STAGES {
        let label = format!("{{stage=\"{stage}\"}}");
        text.sample("stage", &label, u8::from(stage == seen.stage));
    }
    for (name, help) in METRICS.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(value) = value(name, &seen, shared) {
            let is_counter = name.ends_with("_total");
            text.head(name, if is_counter { "counter" } else { "gauge" }, help);
            text.sample(name, "", value);
        }
    }
    text.latency(&seen);
    text.0
}

/// That of one of [`METRICS`], if it is known.
fn value(name: &str, seen: &Seen, shared: &Shared) -> Option<f64> {
    let before = seen.before();
    let (slices, latest) = (seen.slices.iter(), seen.slices.last());
    let total = |counter| Some(shared.total(counter)? as f64);
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    // Sessions do not count the bytes; before the first connection there is nothing to tell.
    let some = |value: f64| (value > 0.0).then_some(value);
    match name {
        "connections" => {
            let control = shared.control.as_ref();
            some(control.map_or(seen.connected, |it| it.standing.count()) as f64)
        }
        "completed_total" => total(|line| &line.messages),
        "payload_bytes_total" => total(|line| &line.payload_bytes).and_then(some),
        "wire_sent_bytes_total" => total(|line| &line.wire_bytes_sent).and_then(some),
        "wire_received_bytes_total" => total(|line| &line.wire_bytes_received).and_then(some),
        "wrong_replies_total" => total(|line| &line.wrong),
        "errors_total" => total(|line| &line.errors),
        "offered_per_second" => seen.offered(),
        "backlog" => seen.offered().map(|_| before.backlog as f64),
        "in_flight" => latest.map(|_| before.in_flight as f64),
        "send_lag_seconds" => seen.offered().map(|_| seconds(seen.send_lag_ns)),
        "generator_cpu_seconds_total" => {
            latest.map(|_| seconds(slices.map(|slice| slice.generator_cpu_ns).sum()))
        }
        "server_cpu_seconds_total" => slices
            .filter_map(|slice| slice.server_cpu_ns)
            .reduce(|all, more| all + more)
            .map(seconds),
        _ => None,
    }
}

/// Lines of the text format.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail, here as below.
        let _ = writeln!(
            self.0,
            "# HELP ringload_{name} {help}.\n# TYPE ringload_{name} {kind}"
        );
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "ringload_{name}{labels} {value}");
    }

    fn latency(&mut self, seen: &Seen) {
        self.head(
            "latency_seconds",
            "histogram",
            "From when a message, or session, was due in an open loop, else from its begin, within the window",
        );
        let mut count = 0;
        for (index, more) in seen.buckets.iter().enumerate() {
            count += more;
            let bound = match index {
                BOUNDS => "+Inf".to_owned(),
                _ => (bound_ns(index) as f64 / 1e9).to_string(),
            };
            let label = format!("{{le=\"{bound}\"}}");
            self.sample("latency_seconds_bucket", &label, count);
        }
        let sum = seen.latency_sum_ns as f64 / 1e9;
        self.sample("latency_seconds_sum", "", sum);
        self.sample("latency_seconds_count", "", count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::echo::tally::latency_histogram;
    use crate::result::figures::Slice;
    use std::sync::atomic::Ordering;

    /// What is told of a load that counted five messages, and of these slices, the last with these latencies.
    fn told(slices: &[Slice], latencies: &[u64]) -> String {
        let mut latency = latency_histogram();
        for nanoseconds in latencies {
            latency.saturating_record(*nanoseconds);
        }
        let mut seen = Seen::default();
        seen.stage(MEASURING, 0.5);
        seen.add(slices, &latency, 0);
        let control = Control::new(1, 0).unwrap();
        let line = &control.lines[0];
        for counter in [
            &line.messages,
            &line.payload_bytes,
            &line.wire_bytes_sent,
            &line.wire_bytes_received,
        ] {
            counter.store(5, Ordering::Relaxed);
        }
        control.standing.stood();
        metrics(&Shared {
            seen: Mutex::new(seen),
            control: Some(Arc::new(control)),
        })
    }

    #[test]
    fn whatever_is_known_has_its_value() {
        let slice = Slice {
            seconds: 1.0,
            offered: Some(4.0),
            server_cpu_ns: Some(1),
            ..Slice::default()
        };
        let told = told(&[slice], &[]);
        for (name, _) in METRICS.lines().filter_map(|line| line.split_once(' ')) {
            let value = format!("\nringload_{name} ");
            assert!(told.contains(&value), "{name} is not in\n{told}");
        }
    }

    #[test]
    fn buckets_are_cumulative_and_what_is_not_known_is_left_out() {
        let slice = Slice {
            seconds: 1.0,
            completed: 4,
            in_flight: 2,
            generator_cpu_ns: 125_000_000,
            ..Slice::default()
        };
        let latencies = [9_000, 15_000, 1_500_000, 60_000_000_000];
        let told = told(&[slice.clone(), slice], &latencies);
        for line in [
            "ringload_stage{stage=\"measuring\"} 1",
            "ringload_stage{stage=\"warm-up\"} 0",
            "ringload_completed_total 5",
            "ringload_in_flight 2",
            "ringload_generator_cpu_seconds_total 0.25",
            "ringload_latency_seconds_bucket{le=\"0.00001\"} 1",
            "ringload_latency_seconds_bucket{le=\"0.001\"} 2",
            "ringload_latency_seconds_bucket{le=\"10\"} 3",
            "ringload_latency_seconds_bucket{le=\"+Inf\"} 4",
            "ringload_latency_seconds_count 4",
        ] {
            assert!(
                told.lines().any(|it| it == line),
                "{line} is not in\n{told}"
            );
        }
        for unknown in ["offered", "backlog", "send_lag", "server_cpu"] {
            assert!(!told.contains(unknown), "{unknown} is in\n{told}");
        }
    }
}

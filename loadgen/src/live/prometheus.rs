//! `GET /metrics`, in the text format that Prometheus scrapes: what the load threads count at that moment, and what
//! the last slice came to.

use std::fmt::{Display, Write as _};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::seen::{BOUNDS_NS, Seen};
use super::{CONNECTING, MEASURING, Shared};
use crate::alarm::yield_to_others;
use crate::control::{Control, Line};
use crate::output::tell;
use crate::usage::UsageError;

/// How long a request may take, and its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is read of a request at most.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most fields of a request.
const FIELDS_MAX: usize = 64;

/// How long accepting rests after it failed.
const REST: Duration = Duration::from_millis(100);

/// The stages that a load may be in.
const STAGES: [&str; 6] = [
    CONNECTING, "waiting", "warm-up", MEASURING, "draining", "holding",
];

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
    let (status, body) = match read(&mut stream)? {
        "200 OK" => ("200 OK", metrics()),
        status => (status, format!("{status}; what is here is GET /metrics\n")),
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
    let mut head = [0; HEAD_BYTES_MAX];
    let mut filled = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // No time at all would be one without an end.
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.read(&mut head[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if left.is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            count => filled += count,
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(&head[..filled]) {
            Ok(httparse::Status::Partial) if filled < HEAD_BYTES_MAX => {}
            Ok(httparse::Status::Partial) => return Ok("431 Request Header Fields Too Large"),
            Err(_) => return Ok("400 Bad Request"),
            Ok(httparse::Status::Complete(_)) => {
                let path = request.path.unwrap_or_default();
                return Ok(match (request.method, path.split('?').next()) {
                    (Some("GET"), Some("/metrics")) => "200 OK",
                    (Some("GET"), _) => "404 Not Found",
                    _ => "405 Method Not Allowed",
                });
            }
        }
    }
}

fn metrics() -> String {
    let served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(shared) = served.clone() else {
        return String::new();
    };
    drop(served);
    let seen = shared.seen().clone();
    text(&seen, shared.control.as_deref())
}

/// Everything; what is not known is left out.
fn text(seen: &Seen, control: Option<&Control>) -> String {
    let mut text = Text(String::new());
    text.head("stage", "gauge", "1 for the stage that the load is in");
    for stage in STAGES {
        let label = format!("{{stage=\"{stage}\"}}");
        text.sample("stage", &label, u8::from(stage == seen.stage));
    }
    let connected = control.map_or(seen.connected, |it| it.standing.count());
    text.gauge(
        "connections",
        "Connections that were made",
        (connected > 0).then_some(connected as f64),
    );
    if let Some(control) = control {
        let total = |counter: fn(&Line) -> &AtomicU64| Some(control.total(counter) as f64);
        // Sessions do not count these.
        let counted =
            |counter: fn(&Line) -> &AtomicU64| total(counter).filter(|total| *total > 0.0);
        for (name, help, value) in [
            (
                "completed",
                "Messages whose reply was right, warm-up included, or sessions that ended well in the window",
                total(|line| &line.messages),
            ),
            (
                "payload_bytes",
                "Payload of those messages, one way",
                counted(|line| &line.payload_bytes),
            ),
            (
                "wire_sent_bytes",
                "Bytes that the kernel took",
                counted(|line| &line.wire_bytes_sent),
            ),
            (
                "wire_received_bytes",
                "Bytes that the kernel gave",
                counted(|line| &line.wire_bytes_received),
            ),
            (
                "wrong_replies",
                "Messages whose reply was wrong",
                total(|line| &line.wrong),
            ),
            (
                "errors",
                "What failed besides without ending the load: sessions, connections that were made again",
                total(|line| &line.errors),
            ),
        ] {
            text.counter(name, help, value);
        }
    }
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    let is_measured = !seen.rates.is_empty();
    let measured = |value: u64| is_measured.then_some(value as f64);
    text.gauge(
        "offered_per_second",
        "What the schedule asked for in the last slice",
        seen.offered,
    );
    text.gauge(
        "backlog",
        "What was due and had not begun, at the end of the last slice",
        seen.offered.and(measured(seen.backlog)),
    );
    text.gauge(
        "in_flight",
        "Messages, or sessions, in flight at the end of the last slice",
        measured(seen.in_flight),
    );
    text.gauge(
        "send_lag_seconds",
        "The latest that the generator itself was in the last slice",
        seen.offered.map(|_| seconds(seen.send_lag_ns)),
    );
    text.counter(
        "generator_cpu_seconds",
        "CPU time of the load threads within the window",
        is_measured.then(|| seconds(seen.generator_cpu_ns)),
    );
    text.counter(
        "server_cpu_seconds",
        "CPU time of the server within the window",
        seen.server_cpu_ns.map(seconds),
    );
    text.latency(seen);
    text.0
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

    fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.head(name, "gauge", help);
            self.sample(name, "", value);
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            let name = format!("{name}_total");
            self.head(&name, "counter", help);
            self.sample(&name, "", value);
        }
    }

    fn latency(&mut self, seen: &Seen) {
        self.head(
            "latency_seconds",
            "histogram",
            "From when a message, or session, was due in an open loop, else from its begin, within the window",
        );
        let mut count = 0;
        let bounds = BOUNDS_NS.map(|bound| (bound as f64 / 1e9).to_string());
        let bounds = bounds.into_iter().chain(["+Inf".to_owned()]);
        for (bound, more) in bounds.zip(seen.buckets) {
            count += more;
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
    use crate::echo::tally::latency_histogram;
    use crate::live::Picture;
    use std::sync::atomic::Ordering;

    #[test]
    fn buckets_are_cumulative_and_what_is_not_known_is_left_out() {
        let mut latency = latency_histogram();
        for nanoseconds in [9_000, 15_000, 1_500_000, 60_000_000_000] {
            latency.saturating_record(nanoseconds);
        }
        let mut seen = Seen::new();
        let picture = Picture {
            share: 0.5,
            seconds: 1.0,
            completed: 4,
            offered: None,
            generator_cpu_ns: 250_000_000,
            server_cpu_ns: None,
            latency: &latency,
            backlog: 0,
            in_flight: 2,
        };
        seen.add(&picture, 0, true);
        let control = Control::new(1, 0).unwrap();
        control.lines[0].messages.store(5, Ordering::Relaxed);
        let told = text(&seen, Some(&control));
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

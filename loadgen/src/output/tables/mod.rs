//! The rows of each kind of document.

mod kinds;

use self::kinds::{capacity_rows, idle_rows, merge_rows};
use super::gate;
use super::table::Table;
use crate::quantity::{bytes, grouped, known, time};
use crate::result::figures::{Closes, Figures, HeavyResult, Server, Sessions, Side, Traffic};
use crate::result::latency::Latency;
use crate::result::load::{HeavyLoad, Load, Loop};
use crate::result::{Checks, Document, Outcome};

/// The table of a document.
pub(crate) fn table(document: &Document) -> Table {
    let mut table = Table::of(&document.summary);
    let load = &document.load;
    if load.connections > 0 {
        table.row("load", describe_load(load));
    }
    if let (Outcome::Run(_), false) = (&document.outcome, load.engine.is_empty()) {
        let engine = format!("{} ({})", load.engine, load.engine_reason);
        table.row("engine", engine);
    }
    match &document.outcome {
        Outcome::Run(Some(figures)) => figure_rows(&mut table, load, figures, "message"),
        Outcome::Churn(Some(figures)) => figure_rows(&mut table, load, figures, "session"),
        Outcome::Idle(Some(idle)) => idle_rows(&mut table, idle),
        Outcome::Capacity(Some(capacity)) => capacity_rows(&mut table, capacity),
        Outcome::Merge(Some(merge)) => merge_rows(&mut table, document, merge),
        _ => {}
    }
    check_rows(&mut table, load, &document.checks);
    for result in &document.gate {
        table.row("--fail-if", gate::line(result));
    }
    table
}

/// Something per second, or a rate, with its thousands set apart.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second < 100.0 {
        format!("{per_second:.1}")
    } else {
        grouped(per_second.round() as u64)
    }
}

fn ns(ns: u64) -> String {
    time(ns as f64)
}

fn describe_load(load: &Load) -> String {
    let message = &load.message;
    let [min, max] = [message.bytes_min, message.bytes_max].map(|size| bytes(size as f64));
    let size = if min == max {
        max
    } else {
        format!("{min} to {max} ({})", message.size)
    };
    let pace = match (load.loop_kind, &load.rate) {
        (Loop::Open, Some(rate)) => format!("{}/s, {}", rate.text, rate.arrivals),
        (Loop::Duplex, _) => "full duplex".to_owned(),
        _ => format!("{} in flight", load.in_flight.unwrap_or(1)),
    };
    let is_tcp = load.protocol == "tcp";
    let blocks = if is_tcp { "blocks" } else { "messages" };
    let what = match (&load.sessions, load.loop_kind) {
        (Some(sessions), _) => {
            let begun = load.rate.as_ref();
            let begun = begun.map(|_| format!("sessions at {pace}, at most "));
            let begun = begun.unwrap_or_default();
            let messages = grouped(sessions.messages);
            let plural = if sessions.messages == 1 { "" } else { "s" };
            format!("{begun}at a time, each {messages} message{plural} of {size}")
        }
        (None, Loop::Idle) => format!("held idle for {} s", load.duration_seconds),
        (None, _) => format!("x {size} {} {blocks}, {pace}", message.kind),
    };
    let tls = load.tls.as_ref().map(|tls| format!("{tls}, "));
    let to = if load.addresses.is_empty() {
        &load.urls
    } else {
        &load.addresses
    };
    format!(
        "{} connections {what}, {}{} over {}",
        grouped(load.connections as u64),
        tls.unwrap_or_default(),
        load.protocol,
        to.join(", ")
    )
}

fn figure_rows(table: &mut Table, load: &Load, figures: &Figures, each: &str) {
    let window = format!("{:.3} s after warm-up", figures.window_seconds);
    let (offered, traffic) = (figures.offered_per_second, figures.traffic);
    let completed = format!("{} {each}s/s", rate(figures.completed_per_second));
    let throughput = throughput(&completed, offered, "", traffic);
    let duplex = traffic.filter(|_| load.loop_kind == Loop::Duplex);
    let deflate = figures.deflate_ratio.map(|ratio| 100.0 * ratio);
    let deflate = deflate.map(|it| format!("payloads sent in {it:.1} % of their bytes"));
    let sessions = figures.sessions.as_ref();
    let handshake = sessions.filter(|_| load.protocol != "tcp");
    let resumed = sessions.and_then(|it| it.handshake_resumed.as_ref());
    let latency_name = sessions.map_or("latency", |_| "whole session");
    let uncorrected = figures.uncorrected_latency.as_ref();
    let generator = generator_cpu(&figures.generator, each);
    let server = figures.server.as_ref();
    let [steal, others] = [figures.steal_percent, figures.others_percent].map(known);
    let taken = format!("{steal} % of CPU time, {others} % of one CPU");
    table.rows([
        ("window", Some(window)),
        ("throughput", Some(throughput)),
        ("wire", duplex.map(wire)),
        ("deflate", deflate),
        ("connect", sessions.map(|it| latency(&it.connect))),
        ("handshake", handshake.map(|it| latency(&it.handshake))),
        ("resumed", resumed.map(latency)),
        ("first echo", sessions.map(|it| latency(&it.first_echo))),
        (latency_name, Some(latency(&figures.latency))),
        ("uncorrected", uncorrected.map(latency)),
        ("ping to pong", figures.ping.as_ref().map(latency)),
        ("send lag", send_lag(figures)),
        ("backlog", backlog(figures, each)),
        ("ends", sessions.map(|it| ends(&it.closes))),
        ("failed", sessions.and_then(failures)),
        ("heavy", figures.heavy.zip(load.heavy).map(heavy)),
        ("generator CPU", Some(generator)),
        ("server CPU", server.map(|it| server_cpu(it, each))),
        ("server memory", server.and_then(server_memory)),
        ("steal, others", Some(taken)),
        ("machine", figures.gap_ns.map(gap)),
        ("halves", halves(figures)),
    ]);
}

/// What was completed, of how much that was offered, over what, and its payload.
fn throughput(
    completed: &str,
    offered_per_second: Option<f64>,
    over: &str,
    traffic: Option<Traffic>,
) -> String {
    let offered = offered_per_second.map(|it| format!(" of {} offered", rate(it)));
    let payload = traffic.map(|it| bytes(it.payload_bytes_per_second));
    let payload = payload.map(|it| format!(", {it}/s each way"));
    let [offered, payload] = [offered, payload].map(Option::unwrap_or_default);
    format!("{completed}{offered}{over}{payload}")
}

fn wire(traffic: Traffic) -> String {
    let sent = bytes(traffic.wire_bytes_sent_per_second);
    let received = bytes(traffic.wire_bytes_received_per_second);
    format!("{sent}/s sent, {received}/s received, frame headers included")
}

/// Two lines.
fn latency(latency: &Latency) -> String {
    if latency.count == 0 {
        return "nothing was recorded".to_owned();
    }
    let mean = time(latency.mean_ns);
    let [p50, p90, p99] = [latency.p50_ns, latency.p90_ns, latency.p99_ns].map(ns);
    let [p99_9, p99_99, max] = [latency.p99_9_ns, latency.p99_99_ns, latency.max_ns].map(ns);
    format!(
        "mean {mean}  p50 {p50}  p90 {p90}  p99 {p99}\np99.9 {p99_9}  p99.99 {p99_99}  max {max}"
    )
}

fn send_lag(figures: &Figures) -> Option<String> {
    let lag = figures.send_lag.as_ref().filter(|lag| lag.count > 0)?;
    let [p50, p99, p99_9, max] = [lag.p50_ns, lag.p99_ns, lag.p99_9_ns, lag.max_ns].map(ns);
    Some(format!("p50 {p50}  p99 {p99}  p99.9 {p99_9}  max {max}"))
}

fn backlog(figures: &Figures, each: &str) -> Option<String> {
    let backlog = figures.backlog.filter(|_| figures.completed > 0)?;
    let late = figures.sessions.as_ref().and_then(|it| it.late);
    let late = late.map(|it| format!("; {} had to wait for others to end", grouped(it)));
    let late = late.unwrap_or_default();
    let [max, end] = [backlog.max, backlog.end].map(grouped);
    Some(format!("{max} {each}s at most, {end} at the end{late}"))
}

fn ends(closes: &Closes) -> String {
    let [orderly, reset, other] = [closes.orderly, closes.reset, closes.other].map(grouped);
    let abrupt = grouped(closes.end_of_stream_without_close);
    format!("{orderly} orderly, {reset} reset, {abrupt} without a Close, {other} other")
}

/// A line for each kind.
fn failures(sessions: &Sessions) -> Option<String> {
    let kinds = sessions.failures.iter().map(|kind| {
        let sentence = kind.sentence.replace('\n', " ");
        format!("{} × {sentence}", grouped(kind.count))
    });
    let lines: Vec<_> = kinds.collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn heavy((heavy, load): (HeavyResult, HeavyLoad)) -> String {
    let share = |by_mean: Option<f64>| by_mean.map_or("-".to_owned(), |it| format!("{it:.2}"));
    format!(
        "{} connections x {}: {} messages/s, {}/s each way; of a mean share the most {}, the least {}",
        grouped(load.connections as u64),
        bytes(load.message_bytes as f64),
        rate(heavy.messages_per_second),
        bytes(heavy.payload_bytes_per_second),
        share(heavy.most_by_mean),
        share(heavy.least_by_mean)
    )
}

/// CPU time in all, in user mode and in the kernel, as far as it is known.
fn cpu_each(ns: [Option<f64>; 3], each: &str) -> String {
    match ns.map(|ns| ns.map(time)) {
        [Some(cpu), Some(user), Some(system)] => {
            format!("{cpu} per {each} ({user} user, {system} system), ")
        }
        [Some(cpu), ..] => format!("{cpu} per {each}, "),
        _ => String::new(),
    }
}

fn generator_cpu(generator: &Side, each: &str) -> String {
    let [user, system] = [generator.cpu_user_ns_each, generator.cpu_system_ns_each];
    let cpu = cpu_each([generator.cpu_ns_each, user, system], each);
    format!("{cpu}{:.1} % busy", generator.busy.on_cpu_percent)
}

fn server_cpu(server: &Server, each: &str) -> String {
    let [user, system] = [server.cpu_user_ns_each, server.cpu_system_ns_each];
    let cpu = cpu_each([server.cpu_ns_each, user, system], each);
    let (percent, threads) = (server.cpu_percent_of_one, server.busy.threads);
    let plural = if threads == 1 { "" } else { "s" };
    format!("{cpu}{percent:.1} % of one CPU in {threads} working thread{plural}")
}

fn server_memory(server: &Server) -> Option<String> {
    let memory = server.memory?;
    let [now, peak] = [memory.rss_bytes, memory.rss_peak_bytes].map(|it| bytes(it as f64));
    Some(format!("{now} resident, {peak} at its highest"))
}

fn gap(gap_ns: u64) -> String {
    let gap = ns(gap_ns);
    format!("took the CPU from a spinning thread for up to {gap} before the load")
}

/// Two halves without anything completed are alike, and say nothing.
fn halves(figures: &Figures) -> Option<String> {
    let stability = &figures.stability;
    (figures.completed > 0).then(|| match stability.is_stable {
        true => "agree".to_owned(),
        false => format!("disagree: {}", stability.reason),
    })
}

fn check_rows(table: &mut Table, load: &Load, checks: &Checks) {
    let all = match load.message.verify.as_str() {
        "full" => "every byte",
        "none" => "replies counted and not compared",
        _ => "of a sample; of the others the length",
    };
    let payload = bytes(checks.payload_bytes_verified as f64);
    let oldest = checks.oldest_unanswered_seconds;
    let verified = &format!("messages, {payload} of payload, {all}");
    let wrong = "replies, which count for neither throughput nor latency";
    let unanswered = &format!(
        "messages, the oldest for {oldest:.3} s; those due in the window count with that time"
    );
    let unsent = "messages were due; those of the window count with the time they waited";
    let reconnected = "connections had ended and were made again";
    // Where nothing came back, nothing was verified, whatever was to be.
    for (name, count, what) in [
        ("verified", checks.messages_verified, verified.as_str()),
        ("verified", checks.sessions_verified, "sessions"),
        ("wrong", checks.messages_wrong, wrong),
        ("unanswered", checks.messages_unanswered, unanswered),
        ("never sent", checks.messages_unsent, unsent),
        ("reconnects", checks.reconnects, reconnected),
    ] {
        if count > 0 {
            table.row(name, format!("{} {what}", grouped(count)));
        }
    }
    if load.slow_readers > 0 {
        let (readers, closed) = (load.slow_readers, checks.slow_readers_closed);
        let text = format!("{readers}, of which the server closed {closed}");
        table.row("slow readers", text);
    }
}

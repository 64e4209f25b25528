//! The rows of each kind of document.

use super::gate;
use super::table::Table;
use crate::quantity::{bytes, grouped, known, time};
use crate::result::figures::{Figures, Server, Sessions, Side};
use crate::result::latency::Latency;
use crate::result::load::{Load, Loop};
use crate::result::{Checks, Document, Outcome};

/// Appends a row whose value is formatted.
macro_rules! row {
    ($table:expr, $name:expr, $($text:tt)*) => { $table.row($name, format!($($text)*)) };
}

mod kinds;

use self::kinds::{capacity_rows, idle_rows, merge_rows};

/// The table of a document.
pub(crate) fn table(document: &Document) -> Table {
    let mut table = Table::of(&document.summary);
    let load = &document.load;
    if load.connections > 0 {
        table.row("load", describe_load(load));
    }
    if let (Outcome::Run(_), false) = (&document.outcome, load.engine.is_empty()) {
        let (engine, why) = (&load.engine, &load.engine_reason);
        row!(table, "engine", "{engine} ({why})");
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

fn size(bytes_min: usize, bytes_max: usize, text: &str) -> String {
    let [min, max] = [bytes_min, bytes_max].map(|size| bytes(size as f64));
    if min == max {
        max
    } else {
        format!("{min} to {max} ({text})")
    }
}

fn describe_load(load: &Load) -> String {
    let message = &load.message;
    let size = size(message.bytes_min, message.bytes_max, &message.size);
    let blocks = if load.protocol == "tcp" {
        "blocks"
    } else {
        "messages"
    };
    let pace = match (load.loop_kind, &load.rate) {
        (Loop::Open, Some(rate)) => format!("{}/s, {}", rate.text, rate.arrivals),
        (Loop::Duplex, _) => "full duplex".to_owned(),
        _ => format!("{} in flight", load.in_flight.unwrap_or(1)),
    };
    let what = match (&load.sessions, load.loop_kind) {
        (Some(sessions), _) => {
            let most = if load.rate.is_some() { "at most " } else { "" };
            let pace = load
                .rate
                .as_ref()
                .map_or(String::new(), |_| format!("sessions at {pace}, "));
            let messages = grouped(sessions.messages);
            let plural = if sessions.messages == 1 { "" } else { "s" };
            format!("{pace}{most}at a time, each {messages} message{plural} of {size}")
        }
        (None, Loop::Idle) => format!("held idle for {} s", load.duration_seconds),
        (None, _) => format!("x {size} {} {blocks}, {pace}", message.kind),
    };
    let tls = load
        .tls
        .as_ref()
        .map_or(String::new(), |tls| format!("{tls}, "));
    let to = if load.addresses.is_empty() {
        &load.urls
    } else {
        &load.addresses
    };
    format!(
        "{} connections {what}, {tls}{} over {}",
        grouped(load.connections as u64),
        load.protocol,
        to.join(", ")
    )
}

fn figure_rows(table: &mut Table, load: &Load, figures: &Figures, each: &str) {
    row!(
        table,
        "window",
        "{:.3} s after warm-up",
        figures.window_seconds
    );
    let offered = figures.offered_per_second;
    let offered = offered.map_or(String::new(), |offered| {
        format!(" of {} offered", rate(offered))
    });
    let payload = figures.traffic.map_or(String::new(), |traffic| {
        format!(", {}/s each way", bytes(traffic.payload_bytes_per_second))
    });
    let per_second = rate(figures.completed_per_second);
    row!(
        table,
        "throughput",
        "{per_second} {each}s/s{offered}{payload}"
    );
    if let Some(traffic) = figures.traffic.filter(|_| load.loop_kind == Loop::Duplex) {
        let [sent, received] = [
            traffic.wire_bytes_sent_per_second,
            traffic.wire_bytes_received_per_second,
        ]
        .map(bytes);
        row!(
            table,
            "wire",
            "{sent}/s sent, {received}/s received, frame headers included"
        );
    }
    if let Some(ratio) = figures.deflate_ratio {
        let percent = 100.0 * ratio;
        row!(
            table,
            "deflate",
            "payloads sent in {percent:.1} % of their bytes"
        );
    }
    if let Some(sessions) = &figures.sessions {
        latency_rows(table, "connect", &sessions.connect);
        if load.protocol != "tcp" {
            latency_rows(table, "handshake", &sessions.handshake);
        }
        if let Some(resumed) = &sessions.handshake_resumed {
            latency_rows(table, "resumed", resumed);
        }
        latency_rows(table, "first echo", &sessions.first_echo);
        latency_rows(table, "whole session", &figures.latency);
    } else {
        latency_rows(table, "latency", &figures.latency);
    }
    if let Some(uncorrected) = &figures.uncorrected_latency {
        latency_rows(table, "uncorrected", uncorrected);
    }
    if let Some(ping) = &figures.ping {
        latency_rows(table, "ping to pong", ping);
    }
    schedule_rows(table, figures, each);
    if let Some(sessions) = &figures.sessions {
        end_rows(table, sessions);
    }
    if let Some((heavy, load)) = figures.heavy.zip(load.heavy) {
        let share = |by_mean: Option<f64>| by_mean.map_or("-".to_owned(), |it| format!("{it:.2}"));
        row!(
            table,
            "heavy",
            "{} connections x {}: {} messages/s, {}/s each way; of a mean share the most {}, the least {}",
            grouped(load.connections as u64),
            bytes(load.message_bytes as f64),
            rate(heavy.messages_per_second),
            bytes(heavy.payload_bytes_per_second),
            share(heavy.most_by_mean),
            share(heavy.least_by_mean)
        );
    }
    generator_row(table, &figures.generator, each);
    if let Some(server) = &figures.server {
        server_rows(table, server, each);
    }
    row!(
        table,
        "steal, others",
        "{} % of CPU time, {} % of one CPU",
        known(figures.steal_percent),
        known(figures.others_percent)
    );
    if let Some(gap_ns) = figures.gap_ns {
        row!(
            table,
            "machine",
            "took the CPU from a spinning thread for up to {} before the load",
            ns(gap_ns)
        );
    }
    // Two halves without anything completed are alike, and say nothing.
    if figures.completed > 0 {
        let stability = &figures.stability;
        let halves = if stability.is_stable {
            "agree".to_owned()
        } else {
            format!("disagree: {}", stability.reason)
        };
        table.row("halves", halves);
    }
}

/// How an open loop's schedule was held.
fn schedule_rows(table: &mut Table, figures: &Figures, each: &str) {
    if let Some(lag) = figures.send_lag.as_ref().filter(|lag| lag.count > 0) {
        let [p50, p99, p99_9, max] = [lag.p50_ns, lag.p99_ns, lag.p99_9_ns, lag.max_ns].map(ns);
        row!(
            table,
            "send lag",
            "p50 {p50}  p99 {p99}  p99.9 {p99_9}  max {max}"
        );
    }
    if let Some(backlog) = figures.backlog.filter(|_| figures.completed > 0) {
        let late = figures.sessions.as_ref().and_then(|sessions| sessions.late);
        let late = late.map_or(String::new(), |late| {
            format!("; {} had to wait for others to end", grouped(late))
        });
        let (max, end) = (grouped(backlog.max), grouped(backlog.end));
        row!(
            table,
            "backlog",
            "{max} {each}s at most, {end} at the end{late}"
        );
    }
}

fn end_rows(table: &mut Table, sessions: &Sessions) {
    let closes = &sessions.closes;
    let [orderly, reset, abrupt, other] = [
        closes.orderly,
        closes.reset,
        closes.end_of_stream_without_close,
        closes.other,
    ]
    .map(grouped);
    row!(
        table,
        "ends",
        "{orderly} orderly, {reset} reset, {abrupt} without a Close, {other} other"
    );
    for (index, kind) in sessions.failures.iter().enumerate() {
        let name = if index == 0 { "failed" } else { "" };
        let sentence = kind.sentence.replace('\n', " ");
        row!(table, name, "{} × {sentence}", grouped(kind.count));
    }
}

fn generator_row(table: &mut Table, generator: &Side, each: &str) {
    let cpu = cpu_each(
        [
            generator.cpu_ns_each,
            generator.cpu_user_ns_each,
            generator.cpu_system_ns_each,
        ],
        each,
    );
    let busy = generator.busy.on_cpu_percent;
    row!(table, "generator CPU", "{cpu}{busy:.1} % busy");
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

fn server_rows(table: &mut Table, server: &Server, each: &str) {
    let cpu = cpu_each(
        [
            server.cpu_ns_each,
            server.cpu_user_ns_each,
            server.cpu_system_ns_each,
        ],
        each,
    );
    let threads = server.busy.threads;
    row!(
        table,
        "server CPU",
        "{cpu}{:.1} % of one CPU in {threads} working thread{}",
        server.cpu_percent_of_one,
        if threads == 1 { "" } else { "s" }
    );
    if let Some(memory) = server.memory {
        row!(
            table,
            "server memory",
            "{} resident, {} at its highest",
            bytes(memory.rss_bytes as f64),
            bytes(memory.rss_peak_bytes as f64)
        );
    }
}

fn latency_rows(table: &mut Table, name: &str, latency: &Latency) {
    if latency.count == 0 {
        return table.row(name, "nothing was recorded");
    }
    row!(
        table,
        name,
        "mean {}  p50 {}  p90 {}  p99 {}",
        time(latency.mean_ns),
        ns(latency.p50_ns),
        ns(latency.p90_ns),
        ns(latency.p99_ns)
    );
    row!(
        table,
        "",
        "p99.9 {}  p99.99 {}  max {}",
        ns(latency.p99_9_ns),
        ns(latency.p99_99_ns),
        ns(latency.max_ns)
    );
}

fn check_rows(table: &mut Table, load: &Load, checks: &Checks) {
    let all = match load.message.verify.as_str() {
        "full" => "every byte",
        "none" => "replies counted and not compared",
        _ => "of a sample; of the others the length",
    };
    // Where nothing came back, nothing was verified, whatever was to be.
    if checks.messages_verified > 0 {
        let messages = grouped(checks.messages_verified);
        let payload = bytes(checks.payload_bytes_verified as f64);
        row!(
            table,
            "verified",
            "{messages} messages, {payload} of payload, {all}"
        );
    }
    if checks.sessions_verified > 0 {
        let sessions = grouped(checks.sessions_verified);
        row!(table, "verified", "{sessions} sessions");
    }
    let mut count = |name: &str, count: u64, what: &str| {
        if count > 0 {
            row!(table, name, "{} {what}", grouped(count));
        }
    };
    count(
        "wrong",
        checks.messages_wrong,
        "replies, which count for neither throughput nor latency",
    );
    let oldest = checks.oldest_unanswered_seconds;
    count(
        "unanswered",
        checks.messages_unanswered,
        &format!(
            "messages, the oldest for {oldest:.3} s; those due in the window count with that time"
        ),
    );
    count(
        "never sent",
        checks.messages_unsent,
        "messages were due; those of the window count with the time they waited",
    );
    count(
        "reconnects",
        checks.reconnects,
        "connections had ended and were made again",
    );
    if load.slow_readers > 0 {
        let (readers, closed) = (load.slow_readers, checks.slow_readers_closed);
        row!(
            table,
            "slow readers",
            "{readers}, of which the server closed {closed}"
        );
    }
}

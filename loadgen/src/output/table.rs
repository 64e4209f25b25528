//! The result as a person reads it.

use std::fmt::Write as _;

use super::document::latency::Latency;
use super::document::run::{Checks, Load, Loop, MessageSize, RunDocument, RunResult, Server};
use super::gate;
use crate::quantity::{bytes, grouped, known, time};

/// Width of the names' column.
const NAME_COLUMNS: usize = 18;

/// Rows of `name  value`.
#[derive(Default)]
pub struct Table(Vec<(String, String)>);

impl Table {
    /// Appends a row.
    pub fn row(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.push((name.to_owned(), value.as_ref().to_owned()));
    }

    /// The finished text.
    pub fn into_text(self) -> String {
        let mut text = String::new();
        for (name, value) in self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<NAME_COLUMNS$}{value}");
        }
        text
    }

    /// The same as a table of Markdown.
    pub(crate) fn into_markdown(self) -> String {
        let mut text = "| | |\n|---|---|\n".to_owned();
        for (name, value) in self.0 {
            let _ = writeln!(text, "| {} | {} |", markdown(&name), markdown(&value));
        }
        text
    }
}

/// Text that Markdown takes for nothing but text, in one line.
pub(crate) fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            c if c.is_control() => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '&' | '#' | '!' | '~' | '$' => {
                escaped.extend(['\\', c]);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// The table of a run.
pub(crate) fn run_table(document: &RunDocument) -> Table {
    let mut table = Table::default();
    table.row("load", describe_load(&document.load));
    table.row(
        "engine",
        format!("{} ({})", document.load.engine, document.load.engine_reason),
    );
    if let Some(result) = &document.result {
        result_rows(&mut table, &document.load, result);
    }
    check_rows(&mut table, &document.load, &document.checks);
    if let Some(result) = &document.result {
        let verdict = result.verdict.name();
        table.row("verdict", format!("{verdict}: {}", result.verdict_reason));
    }
    gate::rows(&mut table, &document.gate);
    table
}

fn check_rows(table: &mut Table, load: &Load, checks: &Checks) {
    let all = match load.verify.as_str() {
        "full" => "every byte",
        "none" => "replies counted and not compared",
        _ => "of a sample; of the others the length",
    };
    // Where nothing came back, nothing was verified, whatever was to be.
    if checks.messages_verified > 0 {
        table.row(
            "verified",
            format!(
                "{} messages, {} of payload, {all}",
                grouped(checks.messages_verified),
                bytes(checks.payload_bytes_verified as f64)
            ),
        );
    }
    if checks.messages_wrong > 0 {
        let wrong = grouped(checks.messages_wrong);
        table.row(
            "wrong",
            format!("{wrong} replies, which count for neither throughput nor latency"),
        );
    }
    if checks.messages_unanswered > 0 {
        table.row(
            "unanswered",
            format!(
                "{} messages, the oldest for {:.3} s; those due in the window count with that time",
                grouped(checks.messages_unanswered),
                checks.oldest_unanswered_seconds
            ),
        );
    }
    if checks.messages_unsent > 0 {
        table.row(
            "never sent",
            format!(
                "{} messages were due; those of the window count with the time they waited",
                grouped(checks.messages_unsent)
            ),
        );
    }
    if load.slow_readers > 0 {
        table.row(
            "slow readers",
            format!(
                "{}, of which the server closed {}",
                load.slow_readers, checks.slow_readers_closed
            ),
        );
    }
}

fn describe_load(load: &Load) -> String {
    format!(
        "{} connections x {} {} {}, {}, {} over {}",
        grouped(load.connections as u64),
        describe_size(&load.message_size),
        load.message_kind,
        if load.protocol == "tcp" {
            "blocks"
        } else {
            "messages"
        },
        describe_loop(load),
        load.protocol,
        match load.addresses.is_empty() {
            true => load.urls.join(", "),
            false => load.addresses.join(", "),
        }
    )
}

/// How long messages are, with units whatever was written.
pub(crate) fn describe_size(size: &MessageSize) -> String {
    let [min, max] = [size.bytes_min, size.bytes_max].map(|size| bytes(size as f64));
    if min == max {
        return max;
    }
    format!("{min} to {max} ({})", size.text)
}

fn describe_loop(load: &Load) -> String {
    match (load.loop_kind, load.depth, &load.rate) {
        (Loop::Open, _, Some(rate)) => format!("open loop at {}/s, {}", rate.text, rate.arrivals),
        (Loop::Duplex, ..) => "full duplex".to_owned(),
        (_, depth, _) => format!("depth {}, closed loop", depth.unwrap_or(1)),
    }
}

fn result_rows(table: &mut Table, load: &Load, result: &RunResult) {
    table.row(
        "window",
        format!("{:.3} s after warm-up", result.window_seconds),
    );
    let rate = |per_second: f64| grouped(per_second.round() as u64);
    let offered = result
        .offered_messages_per_second
        .map_or(String::new(), |offered| {
            format!(" of {} offered", rate(offered))
        });
    table.row(
        "throughput",
        format!(
            "{} messages/s{offered}, {}/s each way",
            rate(result.messages_per_second),
            bytes(result.payload_bytes_per_second)
        ),
    );
    if load.loop_kind == Loop::Duplex {
        table.row(
            "wire",
            format!(
                "{}/s sent, {}/s received, frame headers included",
                bytes(result.wire_bytes_sent_per_second),
                bytes(result.wire_bytes_received_per_second)
            ),
        );
    }
    if load.loop_kind == Loop::Open {
        latency_rows(table, "from when due", &result.latency);
        latency_rows(table, "from when sent", &result.service);
        schedule_rows(table, result);
    } else {
        latency_rows(table, "latency", &result.latency);
    }
    if let Some((heavy, load)) = result.heavy.zip(load.heavy) {
        let share = |by_mean: Option<f64>| {
            by_mean.map_or_else(|| "-".to_owned(), |by_mean| format!("{by_mean:.2}"))
        };
        table.row(
            "heavy",
            format!(
                "{} connections x {}: {} messages/s, {}/s each way; of a mean share the most {}, the \
                 least {}",
                grouped(load.connections as u64),
                bytes(load.message_bytes as f64),
                rate(heavy.messages_per_second),
                bytes(heavy.payload_bytes_per_second),
                share(heavy.most_by_mean),
                share(heavy.least_by_mean)
            ),
        );
    }
    if let Some(ping) = &result.ping {
        latency_rows(table, "ping to pong", ping);
    }
    let generator = &result.generator;
    table.row(
        "generator CPU",
        match (
            generator.cpu_ns_per_message,
            generator.cpu_user_ns_per_message,
            generator.cpu_system_ns_per_message,
        ) {
            (Some(cpu), Some(user), Some(system)) => format!(
                "{} per message ({} user, {} system), {:.1} % busy",
                time(cpu),
                time(user),
                time(system),
                generator.busy.on_cpu_percent
            ),
            _ => format!("{:.1} % busy", generator.busy.on_cpu_percent),
        },
    );
    if let Some(server) = &result.server {
        server_rows(table, server);
    }
    table.row(
        "steal, others",
        format!(
            "{} % of CPU time, {} % of one CPU",
            known(result.steal_percent),
            known(result.others_percent)
        ),
    );
    // Two halves without a message are alike, and say nothing.
    if result.messages > 0 {
        let stability = &result.stability;
        let halves = if stability.is_stable {
            "agree".to_owned()
        } else {
            format!("disagree: {}", stability.reason)
        };
        table.row("halves", halves);
    }
}

/// How an open loop's schedule was held.
fn schedule_rows(table: &mut Table, result: &RunResult) {
    if let Some(lateness) = &result.lateness
        && lateness.count > 0
    {
        table.row(
            "generator late",
            format!(
                "p50 {}  p99 {}  p99.9 {}  max {}",
                time(lateness.p50_ns as f64),
                time(lateness.p99_ns as f64),
                time(lateness.p99_9_ns as f64),
                time(lateness.max_ns as f64)
            ),
        );
    }
    if let Some(backlog) = result.backlog.filter(|_| result.messages > 0) {
        table.row(
            "backlog",
            format!(
                "{} messages at most, {} at the end",
                grouped(backlog.messages_max),
                grouped(backlog.messages_end)
            ),
        );
    }
}

/// The rows of a latency distribution.
pub(crate) fn latency_rows(table: &mut Table, name: &str, latency: &Latency) {
    if latency.count == 0 {
        return table.row(name, "nothing was recorded");
    }
    let value = |ns: u64| time(ns as f64);
    table.row(
        name,
        format!(
            "mean {}  p50 {}  p90 {}  p99 {}",
            time(latency.mean_ns),
            value(latency.p50_ns),
            value(latency.p90_ns),
            value(latency.p99_ns)
        ),
    );
    table.row(
        "",
        format!(
            "p99.9 {}  p99.99 {}  max {}",
            value(latency.p99_9_ns),
            value(latency.p99_99_ns),
            value(latency.max_ns)
        ),
    );
}

fn server_rows(table: &mut Table, server: &Server) {
    let per_message = server
        .cpu_ns_per_message
        .map_or(String::new(), |cpu| format!("{} per message, ", time(cpu)));
    table.row(
        "server CPU",
        format!(
            "{per_message}{:.1} % of one CPU in {} working thread{}",
            server.cpu_percent_of_one,
            server.busy.threads,
            if server.busy.threads == 1 { "" } else { "s" }
        ),
    );
    if let Some(memory) = server.memory {
        table.row(
            "server memory",
            format!(
                "{} resident, {} at its highest",
                bytes(memory.rss_bytes as f64),
                bytes(memory.rss_peak_bytes as f64)
            ),
        );
    }
}

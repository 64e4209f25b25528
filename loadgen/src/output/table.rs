//! The result as a person reads it.

use std::fmt::Write as _;

use super::document::latency::Latency;
use super::document::run::{Load, Loop, MessageSize, RunDocument, RunResult, Server};

/// Width of the names' column.
const NAME_COLUMNS: usize = 18;

/// Rows of `name  value`.
#[derive(Default)]
pub(crate) struct Table(String);

impl Table {
    /// Appends a row.
    pub(crate) fn row(&mut self, name: &str, value: impl AsRef<str>) {
        let value = value.as_ref();
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:<NAME_COLUMNS$}{value}");
    }

    /// The finished text.
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// The table of a run.
pub(crate) fn run_table(document: &RunDocument) -> String {
    let mut table = Table::default();
    table.row("load", describe_load(&document.load));
    table.row(
        "engine",
        format!("{} ({})", document.load.engine, document.load.engine_reason),
    );
    if let Some(result) = &document.result {
        result_rows(&mut table, result);
    }
    let checks = &document.checks;
    table.row(
        "verified",
        format!(
            "{} messages, {} of payload, every byte",
            grouped(checks.messages_verified),
            bytes(checks.payload_bytes_verified as f64)
        ),
    );
    if checks.messages_unanswered > 0 {
        table.row(
            "unanswered",
            format!(
                "{} messages, the oldest for {:.3} s",
                grouped(checks.messages_unanswered),
                checks.oldest_unanswered_seconds
            ),
        );
    }
    table.into_text()
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

fn describe_size(size: &MessageSize) -> String {
    match size.bytes_min == size.bytes_max {
        true => bytes(size.bytes_max as f64),
        false => size.text.clone(),
    }
}

fn describe_loop(load: &Load) -> String {
    match (load.loop_kind, load.depth, &load.rate) {
        (Loop::Open, _, Some(rate)) => format!("open loop at {}/s, {}", rate.text, rate.arrivals),
        (Loop::Duplex, ..) => "full duplex".to_owned(),
        (_, depth, _) => format!("depth {}, closed loop", depth.unwrap_or(1)),
    }
}

fn result_rows(table: &mut Table, result: &RunResult) {
    table.row(
        "window",
        format!("{:.3} s after warm-up", result.window_seconds),
    );
    table.row(
        "throughput",
        format!(
            "{} messages/s, {}/s each way",
            grouped(result.messages_per_second.round() as u64),
            bytes(result.payload_bytes_per_second)
        ),
    );
    latency_rows(table, &result.latency);
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
        "steal",
        format!("{:.1} % of all CPU time", result.steal_percent),
    );
    table.row(
        "verdict",
        format!("{} ({})", result.verdict.name(), result.verdict_reason),
    );
}

/// The rows of a latency distribution.
pub(crate) fn latency_rows(table: &mut Table, latency: &Latency) {
    if latency.count == 0 {
        return table.row(
            "latency",
            "no message was both sent and answered in the window",
        );
    }
    let value = |ns: u64| time(ns as f64);
    table.row(
        "latency",
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

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes with a binary unit.
pub(crate) fn bytes(number: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = number;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value.fract() == 0.0 || unit == "B" {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Nanoseconds with the unit that suits them, to three digits or more.
pub(crate) fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.3} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(32.0), "32 B");
        assert_eq!(bytes(65_536.0), "64 KiB");
        assert_eq!(bytes(1_572_864.0), "1.5 MiB");
        assert_eq!(time(999.0), "999 ns");
        assert_eq!(time(4_700.0), "4.70 µs");
        assert_eq!(time(2_500_000_000.0), "2.500 s");
    }
}

//! A merged result as a person reads it.

use crate::output::document::merge::MergeDocument;
use crate::output::table::{Table, latency_rows};
use crate::quantity::{bytes, grouped, time};

/// The table of a merged result.
pub(crate) fn merge_table(document: &MergeDocument) -> String {
    let mut table = Table::default();
    table.row("parts", document.parts.len().to_string());
    for part in &document.parts {
        let figures = match &part.result {
            Some(result) => format!(
                "{} messages/s, p99 {}, {}",
                grouped(result.messages_per_second.round() as u64),
                time(result.p99_ns as f64),
                result.verdict.name()
            ),
            None => "no result".to_owned(),
        };
        table.row("", format!("{}: {figures}", part.file));
    }
    if let Some(result) = &document.result {
        let window = result.window;
        table.row(
            "window",
            format!(
                "{:.3} s, {:.0} % of it common to all",
                window.union_seconds, window.overlap_percent
            ),
        );
        table.row(
            "throughput",
            format!(
                "{} messages/s over {} connections, {}/s each way",
                grouped(result.messages_per_second.round() as u64),
                grouped(result.connections as u64),
                bytes(result.payload_bytes_per_second)
            ),
        );
        if let Some(offered) = result.offered_messages_per_second {
            table.row(
                "offered",
                format!("{} messages/s", grouped(offered.round() as u64)),
            );
        }
        latency_rows(&mut table, "latency", &result.latency);
        if let Some(cpu) = result.generator_cpu_ns_per_message {
            table.row("generator CPU", format!("{} per message", time(cpu)));
        }
        if let Some(cpu) = result.server_cpu_ns_per_message {
            table.row(
                "server CPU",
                format!("{} per message ({})", time(cpu), result.server_cpu_reason),
            );
        }
        table.row(
            "verdict",
            format!("{} ({})", result.verdict.name(), result.verdict_reason),
        );
    }
    table.row(
        "verified",
        format!("{} messages", grouped(document.checks.messages_verified)),
    );
    if document.checks.messages_wrong > 0 {
        let wrong = grouped(document.checks.messages_wrong);
        table.row("wrong", format!("{wrong} replies"));
    }
    for warning in &document.warnings {
        table.row("warning", warning);
    }
    table.into_text()
}

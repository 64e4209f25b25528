//! The curve as people and spreadsheets read it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::output::document::knee::{KneeDocument, Point};
use crate::output::gate;
use crate::output::table::{Table, describe_size};
use crate::quantity::{grouped, time};

/// A rate with its thousands set apart.
pub(super) fn rate(messages_per_second: f64) -> String {
    let digits = if messages_per_second < 100.0 { 1 } else { 0 };
    match digits {
        0 => grouped(messages_per_second.round() as u64),
        digits => format!("{messages_per_second:.digits$}"),
    }
}

/// A time of a step, if it is known.
fn value(ns: Option<u64>) -> String {
    ns.map_or("-".to_owned(), |ns| time(ns as f64))
}

/// Whether anything was measured at all.
fn has_figures(point: &Point) -> bool {
    point.achieved_messages_per_second.is_some()
}

/// What is said of a step as soon as it is over.
pub(super) fn progress_line(point: &Point) -> String {
    let verdict = match &point.why {
        None => "meets".to_owned(),
        Some(why) => format!("misses: {why} ({})", point.verdict.name()),
    };
    if !has_figures(point) {
        return format!("{} messages/s: {verdict}", rate(point.rate));
    }
    format!(
        "{} messages/s: p50 {}, p99 {}; {verdict}",
        rate(point.rate),
        value(point.p50_ns),
        value(point.p99_ns)
    )
}

/// What was found, and the curve by rate.
pub(super) fn text(document: &KneeDocument) -> String {
    let mut text = table(document).into_text();
    // Steps that never came to a window have no figures to draw.
    if document.points.iter().any(has_figures) {
        text.push('\n');
        text.push_str(&curve(&document.points));
    }
    text
}

/// What was found.
pub(super) fn table(document: &KneeDocument) -> Table {
    let mut table = Table::default();
    if let Some(load) = &document.load {
        let load = format!(
            "{} connections x {} {} messages, open loop, over {} to {}",
            grouped(load.connections as u64),
            describe_size(&load.message_size),
            load.message_kind,
            load.protocol,
            load.urls.join(", ")
        );
        table.row("load", load);
    }
    table.row("objective", &document.objective);
    table.row("knee", knee(document));
    table.row(
        "verdict",
        format!("{} ({})", document.verdict.name(), document.verdict_reason),
    );
    gate::rows(&mut table, &document.gate);
    table
}

fn knee(document: &KneeDocument) -> String {
    let Some(best) = &document.best else {
        return "none found".to_owned();
    };
    let value = |ns: u64| time(ns as f64);
    format!(
        "{}{} messages/s  p50 {}  p99 {}  p99.9 {}",
        if document.is_lower_bound {
            "at least "
        } else {
            ""
        },
        rate(best.rate),
        value(best.p50_ns),
        value(best.p99_ns),
        value(best.p99_9_ns)
    )
}

/// The points by rate; those of one rate in the order measured.
fn curve(points: &[Point]) -> String {
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let mut text = format!(
        "{:>11} {:>11} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9} {:>11}  {}\n",
        "messages/s",
        "achieved",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "backlog",
        "server CPU",
        "meets"
    );
    for point in sorted {
        let none = || "-".to_owned();
        let cpu = point.server_cpu_ns_per_message.map_or(none(), time);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>11} {:>11} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9} {:>11}  {}",
            rate(point.rate),
            point.achieved_messages_per_second.map_or(none(), rate),
            value(point.p50_ns),
            value(point.p90_ns),
            value(point.p99_ns),
            value(point.p99_9_ns),
            value(point.max_ns),
            point.backlog_end.map_or(none(), grouped),
            cpu,
            point
                .why
                .as_deref()
                .map_or("yes".to_owned(), |why| format!("no: {why}"))
        );
    }
    text
}

/// Writes the points as CSV (RFC 4180), in the order measured.
pub(super) fn write_csv(path: &Path, points: &[Point]) -> anyhow::Result<()> {
    fs::write(path, csv(points)).with_context(|| format!("writing {}", path.display()))
}

fn csv(points: &[Point]) -> String {
    let mut text = String::from(
        "rate,achieved_messages_per_second,p50_ns,p90_ns,p99_ns,p99_9_ns,max_ns,backlog_end,\
         lateness_p99_9_ns,server_cpu_ns_per_message,verdict,meets,why\r\n",
    );
    // What is not known is empty, not 0.
    let count = |value: Option<u64>| value.map_or(String::new(), |value| value.to_string());
    let tenths = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
    for point in points {
        let why = point
            .why
            .as_deref()
            .unwrap_or_default()
            .replace('"', "\"\"");
        let _ = write!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{},{},\"{why}\"\r\n",
            point.rate,
            tenths(point.achieved_messages_per_second),
            count(point.p50_ns),
            count(point.p90_ns),
            count(point.p99_ns),
            count(point.p99_9_ns),
            count(point.max_ns),
            count(point.backlog_end),
            count(point.lateness_p99_9_ns),
            tenths(point.server_cpu_ns_per_message),
            point.verdict.name(),
            point.meets
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::verdict::Verdict;

    fn point(rate: f64, why: Option<&str>) -> Point {
        Point {
            rate,
            achieved_messages_per_second: Some(rate),
            p50_ns: Some(50_000),
            p90_ns: Some(90_000),
            p99_ns: Some(99_000),
            p99_9_ns: Some(999_000),
            max_ns: Some(1_000_000),
            backlog_end: Some(7),
            lateness_p99_9_ns: Some(60_000),
            server_cpu_ns_per_message: Some(1234.56),
            verdict: Verdict::LoadBound,
            meets: why.is_none(),
            why: why.map(str::to_owned),
        }
    }

    #[test]
    fn the_curve_is_sorted_and_the_csv_is_not() {
        let points = [
            point(4_000.0, Some("p99 is \"long\", very")),
            point(1_500.5, None),
        ];
        let text = curve(&points);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 3);
        assert!(rows[1].trim_start().starts_with("1,501") && rows[1].ends_with("yes"));
        assert!(rows[2].trim_start().starts_with("4,000") && rows[2].contains("no: p99"));
        let text = csv(&points);
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[1].starts_with("4000,4000.0,50000,"), "{text}");
        assert!(
            rows[1].ends_with("load-bound,false,\"p99 is \"\"long\"\", very\""),
            "{text}"
        );
        assert!(rows[2].ends_with("1234.6,load-bound,true,\"\""), "{text}");
        let columns = |row: &str| row.split(',').count();
        assert_eq!(columns(rows[0]), columns(rows[2]));
    }

    #[test]
    fn what_is_not_known_is_left_open() {
        let point = Point {
            achieved_messages_per_second: None,
            p50_ns: None,
            p90_ns: None,
            p99_ns: None,
            p99_9_ns: None,
            max_ns: None,
            backlog_end: None,
            lateness_p99_9_ns: None,
            server_cpu_ns_per_message: None,
            verdict: Verdict::Invalid,
            ..point(4_000.0, Some("refused"))
        };
        let text = csv(std::slice::from_ref(&point));
        assert!(
            text.ends_with("\r\n4000,,,,,,,,,,invalid,false,\"refused\"\r\n"),
            "{text}"
        );
        let text = curve(std::slice::from_ref(&point));
        let row = text.lines().last().unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        let expected = [&["4,000"][..], &["-"; 8], &["no:", "refused"]].concat();
        assert_eq!(words, expected);
        let line = progress_line(&point);
        assert!(line.starts_with("4,000 messages/s: misses: refused"));
        let json = serde_json::to_value(&point).unwrap();
        assert!(json["p50_ns"].is_null() && json["achieved_messages_per_second"].is_null());
    }

    #[test]
    fn a_step_is_told_in_a_line() {
        let line = progress_line(&point(4_000.0, None));
        assert_eq!(line, "4,000 messages/s: p50 50.00 µs, p99 99.00 µs; meets");
        let line = progress_line(&point(12.5, Some("p99 is 2.00 ms")));
        assert!(
            line.starts_with("12.5 messages/s")
                && line.contains("misses: p99 is 2.00 ms (load-bound)")
        );
    }
}

//! The rows of what is neither a run nor churn: idle, capacity, merge.

use super::{latency_rows, ns, rate};
use crate::output::table::Table;
use crate::quantity::{bytes, grouped, time};
use crate::result::Document;
use crate::result::capacity::{CapacityResult, Point};
use crate::result::idle::IdleResult;
use crate::result::merge::{MergeResult, Part, Sum};

pub(super) fn idle_rows(table: &mut Table, idle: &IdleResult) {
    row!(
        table,
        "opened",
        "{} connections in {:.2} s",
        grouped(idle.connections_opened as u64),
        idle.opening_seconds
    );
    for (name, memory) in [
        ("before", idle.memory_before),
        ("full", idle.memory_full),
        ("after", idle.memory_after),
    ] {
        let memory = memory.map(|memory| {
            let resident = bytes(memory.rss_bytes as f64);
            let anonymous = bytes(memory.rss_anonymous_bytes as f64);
            format!("{resident} resident, {anonymous} of it anonymous")
        });
        table.row(
            name,
            memory.unwrap_or("not known: the server had ended".to_owned()),
        );
    }
    for (name, growth, when) in [
        ("per connection", idle.growth, String::new()),
        (
            "kept",
            idle.kept,
            format!(", {:.1} s after they had left", idle.settle_seconds),
        ),
    ] {
        let Some(growth) = growth else { continue };
        let dirty = growth.private_dirty_bytes_per_connection;
        let dirty = dirty.map_or(String::new(), |bytes| {
            format!(", private dirty {bytes:.0} B")
        });
        row!(
            table,
            name,
            "{:.0} B of the server's resident memory (anonymous {:.0} B{dirty}){when}",
            growth.rss_bytes_per_connection,
            growth.rss_anonymous_bytes_per_connection
        );
    }
    if let Some(tcp) = &idle.machine_tcp {
        row!(
            table,
            "machine's TCP",
            "{} sockets with {} of data on its way before, {} with {} when full (the whole machine)",
            grouped(tcp.sockets_before),
            bytes(tcp.memory_before_bytes as f64),
            grouped(tcp.sockets_full),
            bytes(tcp.memory_full_bytes as f64)
        );
    }
    let lost = match idle.connections_lost {
        0 => String::new(),
        lost => format!(", {} had ended", grouped(lost as u64)),
    };
    let echoed = idle.sample_echoed;
    row!(table, "sample", "{echoed} connections still echoed{lost}");
}

/// What was searched for and found, and the curve by rate; steps of one rate stand in the order measured.
pub(super) fn capacity_rows(table: &mut Table, capacity: &CapacityResult) {
    table.row("objective", &capacity.objective);
    table.row(
        "capacity",
        capacity.best.map_or("none found".to_owned(), |best| {
            let [p50, p99, p99_9] = [best.p50_ns, best.p99_ns, best.p99_9_ns].map(ns);
            let bound = if capacity.is_lower_bound {
                "at least "
            } else {
                ""
            };
            let rate = rate(best.rate);
            format!("{bound}{rate} messages/s  p50 {p50}  p99 {p99}  p99.9 {p99_9}")
        }),
    );
    let mut points: Vec<&Point> = capacity.points.iter().collect();
    points.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let none = || "-".to_owned();
    let value = |it: Option<u64>| it.map_or_else(none, ns);
    let rows = points.into_iter().map(|point| {
        [
            rate(point.rate),
            point.completed_per_second.map_or_else(none, rate),
            value(point.p50_ns),
            value(point.p90_ns),
            value(point.p99_ns),
            value(point.p99_9_ns),
            value(point.max_ns),
            point.backlog_end.map_or_else(none, grouped),
            point.server_cpu_ns_each.map_or_else(none, time),
            point
                .why
                .as_ref()
                .map_or("yes".to_owned(), |why| format!("no: {why}")),
        ]
    });
    let heading = [
        "messages/s",
        "completed",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "backlog",
        "server CPU",
        "meets",
    ];
    // Steps that never came to a window have no figures to draw.
    if capacity
        .points
        .iter()
        .any(|it| it.completed_per_second.is_some())
    {
        table.grid(heading, rows);
    }
}

pub(super) fn merge_rows(table: &mut Table, document: &Document, merge: &MergeResult) {
    if let Some(sum) = &merge.sum {
        sum_rows(table, document, sum);
    }
    for warning in &merge.warnings {
        table.row("warning", warning);
    }
    let row = |part: &Part| {
        let figures = part.figures.as_ref();
        let (rate, p99) = figures.map_or(("no result".to_owned(), "-".to_owned()), |figures| {
            (rate(figures.completed_per_second), ns(figures.p99_ns))
        });
        let found: Vec<_> = part.findings.iter().map(|it| it.id.name()).collect();
        let found = if found.is_empty() {
            "nothing".to_owned()
        } else {
            found.join(", ")
        };
        [rate, p99, found, part.file.clone()]
    };
    table.grid(
        ["messages/s", "p99", "found", "part"],
        merge.parts.iter().map(row),
    );
}

fn sum_rows(table: &mut Table, document: &Document, sum: &Sum) {
    let window = sum.window;
    row!(
        table,
        "window",
        "{:.3} s, {:.0} % of it common to all",
        window.union_seconds,
        window.overlap_percent
    );
    let offered = sum.offered_per_second;
    let offered = offered.map_or(String::new(), |offered| {
        format!(" of {} offered", rate(offered))
    });
    let payload = sum.traffic.map_or(String::new(), |traffic| {
        format!(", {}/s each way", bytes(traffic.payload_bytes_per_second))
    });
    row!(
        table,
        "throughput",
        "{} messages/s{offered} over {} connections{payload}",
        rate(sum.completed_per_second),
        grouped(document.load.connections as u64)
    );
    latency_rows(table, "latency", &sum.latency);
    if let Some(cpu) = sum.generator_cpu_ns_each {
        row!(table, "generator CPU", "{} per message", time(cpu));
    }
    if let Some(cpu) = sum.server_cpu_ns_each {
        let reason = &sum.server_cpu_reason;
        row!(table, "server CPU", "{} per message ({reason})", time(cpu));
    }
}

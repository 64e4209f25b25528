//! The rows of what is neither a run nor churn: idle, capacity, merge.

use super::{latency, ns, rate, throughput};
use crate::observe::process::Memory;
use crate::output::Column;
use crate::output::table::Table;
use crate::quantity::{bytes, grouped, time};
use crate::result::Document;
use crate::result::capacity::{CapacityResult, Point};
use crate::result::idle::{Growth, IdleResult, MachineTcp};
use crate::result::merge::{MergeResult, Part, Sum};

pub(super) fn idle_rows(table: &mut Table, idle: &IdleResult) {
    let opened = grouped(idle.connections_opened as u64);
    let opened = format!("{opened} connections in {:.2} s", idle.opening_seconds);
    let after = format!(", {:.1} s after they had left", idle.settle_seconds);
    let lost = match idle.connections_lost {
        0 => String::new(),
        lost => format!(", {} had ended", grouped(lost as u64)),
    };
    let sample = format!("{} connections still echoed{lost}", idle.sample_echoed);
    table.rows([
        ("opened", Some(opened)),
        ("before", Some(memory(idle.memory_before))),
        ("full", Some(memory(idle.memory_full))),
        ("after", Some(memory(idle.memory_after))),
        ("per connection", idle.growth.map(growth)),
        ("kept", idle.kept.map(|it| growth(it) + &after)),
        ("machine's TCP", idle.machine_tcp.map(machine_tcp)),
        ("sample", Some(sample)),
    ]);
}

fn memory(memory: Option<Memory>) -> String {
    let Some(memory) = memory else {
        return "not known: the server had ended".to_owned();
    };
    let resident = bytes(memory.rss_bytes as f64);
    let anonymous = bytes(memory.rss_anonymous_bytes as f64);
    format!("{resident} resident, {anonymous} of it anonymous")
}

fn growth(growth: Growth) -> String {
    let resident = growth.rss_bytes_per_connection;
    let anonymous = growth.rss_anonymous_bytes_per_connection;
    let dirty = growth.private_dirty_bytes_per_connection;
    let dirty = dirty.map(|bytes| format!(", private dirty {bytes:.0} B"));
    let dirty = dirty.unwrap_or_default();
    format!("{resident:.0} B of the server's resident memory (anonymous {anonymous:.0} B{dirty})")
}

fn machine_tcp(tcp: MachineTcp) -> String {
    let [before, full] = [tcp.sockets_before, tcp.sockets_full].map(grouped);
    let data = [tcp.memory_before_bytes, tcp.memory_full_bytes];
    let [data_before, data_full] = data.map(|it| bytes(it as f64));
    format!(
        "{before} sockets with {data_before} of data on its way before, {full} with {data_full} when full (the \
         whole machine)"
    )
}

/// What was searched for and found, and the curve by rate; steps of one rate stand in the order measured.
pub(super) fn capacity_rows(table: &mut Table, capacity: &CapacityResult) {
    table.row("objective", &capacity.objective);
    let found = capacity.best.map(|best| {
        let [p50, p99, p99_9] = [best.p50_ns, best.p99_ns, best.p99_9_ns].map(ns);
        let is_least = capacity.is_lower_bound;
        let bound = if is_least { "at least " } else { "" };
        let rate = rate(best.rate);
        format!("{bound}{rate} messages/s  p50 {p50}  p99 {p99}  p99.9 {p99_9}")
    });
    table.row("capacity", found.as_deref().unwrap_or("none found"));
    let mut points: Vec<&Point> = capacity.points.iter().collect();
    // Steps that never came to a window have no figures to draw.
    if points.iter().all(|it| it.completed_per_second.is_none()) {
        return;
    }
    points.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let cells = |point| STEP.map(|(_, of)| of(point));
    table.grid(
        STEP.map(|(heading, _)| heading),
        points.into_iter().map(cells),
    );
}

/// The columns of a step.
const STEP: [Column<Point>; 10] = [
    ("messages/s", |it| rate(it.rate)),
    ("completed", |it| or_none(it.completed_per_second.map(rate))),
    ("p50", |it| or_none(it.p50_ns.map(ns))),
    ("p90", |it| or_none(it.p90_ns.map(ns))),
    ("p99", |it| or_none(it.p99_ns.map(ns))),
    ("p99.9", |it| or_none(it.p99_9_ns.map(ns))),
    ("max", |it| or_none(it.max_ns.map(ns))),
    ("backlog", |it| or_none(it.backlog_end.map(grouped))),
    ("server CPU", |it| or_none(it.server_cpu_ns_each.map(time))),
    ("meets", |it| {
        it.why
            .as_ref()
            .map_or("yes".to_owned(), |why| format!("no: {why}"))
    }),
];

fn or_none(figure: Option<String>) -> String {
    figure.unwrap_or("-".to_owned())
}

pub(super) fn merge_rows(table: &mut Table, document: &Document, merge: &MergeResult) {
    if let Some(sum) = &merge.sum {
        sum_rows(table, document.load.connections, sum);
    }
    for warning in &merge.warnings {
        table.row("warning", warning);
    }
    let heading = ["messages/s", "p99", "found", "part"];
    table.grid(heading, merge.parts.iter().map(part));
}

fn part(part: &Part) -> [String; 4] {
    let figures = part.figures.as_ref();
    let rate = figures.map(|it| rate(it.completed_per_second));
    let p99 = figures.map(|it| ns(it.p99_ns));
    let mut found: Vec<_> = part.findings.iter().map(|it| it.id.name()).collect();
    if found.is_empty() {
        found.push("nothing");
    }
    [
        rate.unwrap_or("no result".to_owned()),
        or_none(p99),
        found.join(", "),
        part.file.clone(),
    ]
}

fn sum_rows(table: &mut Table, connections: usize, sum: &Sum) {
    let (seconds, common) = (sum.window.union_seconds, sum.window.overlap_percent);
    let window = format!("{seconds:.3} s, {common:.0} % of it common to all");
    let completed = format!("{} messages/s", rate(sum.completed_per_second));
    let over = format!(" over {} connections", grouped(connections as u64));
    let throughput = throughput(&completed, sum.offered_per_second, &over, sum.traffic);
    let each = |ns| format!("{} per message", time(ns));
    let server = sum.server_cpu_ns_each.map(each);
    let reason = &sum.server_cpu_reason;
    table.rows([
        ("window", Some(window)),
        ("throughput", Some(throughput)),
        ("latency", Some(latency(&sum.latency))),
        ("generator CPU", sum.generator_cpu_ns_each.map(each)),
        ("server CPU", server.map(|it| format!("{it} ({reason})"))),
    ]);
}

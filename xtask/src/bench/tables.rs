//! The summary as people read it: Markdown that is aligned enough for a terminal.

use super::bootstrap::Verdict;
use super::environment::Environment;
use super::grid::{counts, grid, mebibytes, median_of, ratio, with_range};
use super::paired::PairRow;
use super::plan::{DEEP, Part, WORKLOADS};
use super::storm::StormRow;
use super::summary::{IdleRow, Row, Summary, Table};

const LEGEND: &str = "\
Figures are the median of the rounds and, in brackets, the smallest and the largest. Latency is the
round trip of one message in a closed loop. CPU is the server's own, user and system. Each × is a ratio
of CPU per message taken inside a round; below 1 is cheaper. `?` marks a ratio whose rounds disagree on
which side of 1 it lies, or are fewer than six: unresolved, not a result. `rfc862-*` echo bytes without
WebSocket on the same engine: the limit. `Saturated` is the side that had no CPU time left; where it is
not the server, throughput is a lower bound and CPU per message is the figure to read.";

const PAIRS_LEGEND: &str = "\
In each round both run once, one right after the other in random order, each in a fresh process. The
ratio is the geometric mean over the rounds of CPU per message, the first relative to the second, with
its 95 % bootstrap interval. *Within*: the whole interval lies within the margin around 1. *Outside*: the
whole interval lies beyond it. *Unresolved*: half the interval is wider than half the margin, or the
margin's edge lies in it, or there are fewer than 15 rounds: no result.";

const STORMS_LEGEND: &str = "\
A visit is connect, handshake, one echo of 32 bytes and close, 64 at a time. `rfc862-*` is the kernel's
floor on the same engine: accept, one exchange, close, no WebSocket; there the client closes first, as an
RFC 862 server cannot. Opening is from the start of the connect to the 101, or without WebSocket to the
connection. Each × is a ratio of CPU per visit taken inside a round.";

const IDLE_LEGEND: &str = "\
Growth of the resident set of freshly started servers, one measurement each, and what of it stayed when all
connections had left; the kernel's own memory for sockets is not in it. *Anonymous* leaves out the pages of
the program itself, which it needs once.";

/// The whole report.
pub(crate) fn report(environment: &Environment, summary: &Summary) -> String {
    let mut text = format!(
        "# Echo servers on {}, {}\n\n",
        environment.machine, environment.date_time
    );
    text.push_str(&circumstances(environment));
    for warning in environment.placement.warning.iter().chain(&summary.notes) {
        text.push_str(&format!("\n**Note:** {warning}\n"));
    }
    for table in &summary.tables {
        text.push_str(&format!("\n## {}\n\n", heading(table, environment)));
        let part = match table.workload.name {
            DEEP => Part::Deep,
            _ => Part::Echo,
        };
        text.push_str(&format!("{}\n\n", paced(environment, part)));
        text.push_str(&workload(table));
    }
    if !summary.tables.is_empty() {
        text.push_str(&format!("\n{LEGEND}\n"));
    }
    if !summary.pairs.is_empty() {
        text.push_str("\n## Pairs\n\n");
        text.push_str(&format!("{}\n", paced(environment, Part::Paired)));
        text.push_str(&pairs(&summary.pairs));
        text.push_str(&format!("\n{PAIRS_LEGEND}\n"));
    }
    if !summary.storms.is_empty() {
        text.push_str("\n## Storms of connections\n\n");
        let rounds = paced(environment, Part::Storm);
        let visits = environment.options.visits();
        text.push_str(&format!("{rounds}, or {visits} visits\n\n"));
        text.push_str(&storms(&summary.storms));
        text.push_str(&format!("\n{STORMS_LEGEND}\n"));
    }
    for (title, rows) in [
        ("Memory of idle connections", &summary.idle),
        ("Memory of a crowd", &summary.crowd),
    ] {
        if !rows.is_empty() {
            text.push_str(&format!("\n## {title}\n\n{}\n{IDLE_LEGEND}\n", idle(rows)));
        }
    }
    if !summary.failures.is_empty() {
        text.push_str("\n## Runs without figures\n\n");
        for failure in &summary.failures {
            text.push_str(&format!("- {}\n", failure.replace('\n', "\n  ")));
        }
    }
    text
}

fn heading(table: &Table, environment: &Environment) -> String {
    let warning = if environment.placement.is_shared() {
        " (one CPU: not comparable)"
    } else {
        ""
    };
    format!("{}{warning}", table.workload.title())
}

/// How the rounds of a part went.
fn paced(environment: &Environment, part: Part) -> String {
    let pace = environment.options.pace(part);
    format!(
        "Rounds: {}; each run {:?} after {:?} of warm-up",
        pace.rounds, pace.duration, pace.warmup
    )
}

fn circumstances(environment: &Environment) -> String {
    let Environment {
        placement,
        versions,
        cpu,
        ..
    } = environment;
    let unknown = || "-".to_owned();
    let peers = &versions.peers;
    let node = peers.node.as_ref().map(|node| {
        let bufferutil = node
            .bufferutil
            .as_ref()
            .map(|version| format!(", bufferutil {version}"));
        format!(
            "Node {} with ws {}{}",
            node.node,
            node.ws,
            bufferutil.unwrap_or_default()
        )
    });
    let bun = peers.bun.as_ref().map(|version| format!("Bun {version}"));
    let fastwebsockets = peers
        .fastwebsockets
        .as_ref()
        .map(|version| format!("fastwebsockets {version}"));
    let peers: Vec<String> = [node, bun, fastwebsockets].into_iter().flatten().collect();
    let peers = if peers.is_empty() {
        "no peers".to_owned()
    } else {
        peers.join("; ")
    };
    let commit = environment
        .source
        .git_commit
        .as_deref()
        .map_or("-", |commit| commit.get(..12).unwrap_or(commit));
    let dirty = if environment.source.git_dirty == Some(true) {
        " with changes"
    } else {
        ""
    };
    let virtual_machine = if cpu.hypervisor {
        ", virtual machine"
    } else {
        ""
    };
    format!(
        "- {}, CPUs: {}{virtual_machine}; server on CPU {}, generator on CPU {}, one worker each\n\
         - {}\n\
         - {}; {peers}; commit {commit}{dirty}\n\
         - everything in random order (seed {})\n",
        cpu.model,
        cpu.online_count(),
        placement.server_cpu,
        placement.generator_cpu,
        environment.kernel,
        versions.ringback.clone().unwrap_or_else(unknown),
        environment.seed,
    )
}

fn workload(table: &Table) -> String {
    let best = format!("× {}", table.best_peer.unwrap_or("best peer"));
    let header = [
        "server",
        "messages/s",
        "p50 µs",
        "p99 µs",
        "CPU µs/message",
        "× Node ws",
        &best,
        "× limit",
        "saturated",
    ];
    let cells = |row: &Row| {
        vec![
            row.server.to_owned(),
            with_range(row.messages_per_second),
            median_of(row.latency_p50_microseconds),
            median_of(row.latency_p99_microseconds),
            with_range(row.server_cpu_microseconds_per_message),
            ratio(row.ratio_to_node),
            ratio(row.ratio_to_best_peer),
            ratio(row.ratio_to_limit),
            counts(&row.saturated),
        ]
    };
    grid(&header, &table.rows.iter().map(cells).collect::<Vec<_>>())
}

fn pairs(rows: &[PairRow]) -> String {
    let mut text = String::new();
    for workload in WORKLOADS {
        let rows: Vec<&PairRow> = rows
            .iter()
            .filter(|row| row.workload == workload.name)
            .collect();
        if !rows.is_empty() {
            text.push_str(&format!("\n### {}\n\n", workload.title()));
            text.push_str(&pairs_of_workload(&rows));
        }
    }
    text
}

fn pairs_of_workload(rows: &[&PairRow]) -> String {
    let header = [
        "this",
        "beside",
        "ratio",
        "95 % interval",
        "median",
        "verdict",
    ];
    let cells = |row: &&PairRow| {
        let estimate = &row.estimate;
        vec![
            code(&row.this.name),
            code(&row.that.name),
            format!("{:.4}", estimate.ratio),
            format!("{:.4}–{:.4}", estimate.low, estimate.high),
            format!("{:.4}", estimate.median),
            verdict(row),
        ]
    };
    let verdicts = grid(&header, &rows.iter().map(cells).collect::<Vec<_>>());
    let header = ["server", "messages/s", "p50 µs", "p99 µs", "CPU µs/message"];
    let arms = rows.iter().flat_map(|row| [&row.this, &row.that]);
    let cells = arms.map(|arm| {
        vec![
            code(&arm.name),
            with_range(arm.messages_per_second),
            with_range(arm.latency_p50_microseconds),
            with_range(arm.latency_p99_microseconds),
            with_range(arm.server_cpu_microseconds_per_message),
        ]
    });
    format!("{verdicts}\n{}", grid(&header, &cells.collect::<Vec<_>>()))
}

/// A name as it was typed.
fn code(name: &str) -> String {
    format!("`{}`", name.replace('|', "\\|"))
}

fn verdict(row: &PairRow) -> String {
    let margin = row.margin_percent;
    match row.verdict {
        Verdict::Within => format!("within {margin} %"),
        Verdict::Outside if row.estimate.ratio < 1.0 => format!("outside {margin} %: cheaper"),
        Verdict::Outside => format!("outside {margin} %: dearer"),
        Verdict::Unresolved => format!("unresolved at {margin} %"),
    }
}

fn storms(rows: &[StormRow]) -> String {
    let header = [
        "server",
        "visits/s",
        "opening p50 µs",
        "opening p99 µs",
        "CPU µs/visit",
        "× Node ws",
        "× floor",
        "saturated",
    ];
    let cells = |row: &StormRow| {
        vec![
            row.server.to_owned(),
            with_range(row.visits_per_second),
            median_of(row.opening_p50_microseconds),
            median_of(row.opening_p99_microseconds),
            with_range(row.server_cpu_microseconds_per_visit),
            ratio(row.ratio_to_node),
            ratio(row.ratio_to_floor),
            counts(&row.saturated),
        ]
    };
    grid(&header, &rows.iter().map(cells).collect::<Vec<_>>())
}

fn idle(rows: &[IdleRow]) -> String {
    let header = [
        "server",
        "processes",
        "connections",
        "bytes/connection",
        "anonymous",
        "kept",
        "kept, anonymous",
        "before",
        "with them",
        "after them",
    ];
    let cells = |row: &IdleRow| {
        let idle = &row.idle;
        vec![
            row.server.clone(),
            row.servers.to_string(),
            idle.connections.to_string(),
            format!("{:.0}", idle.rss_bytes_per_connection),
            format!("{:.0}", idle.anonymous_bytes_per_connection),
            format!("{:.0}", idle.rss_bytes_kept_per_connection),
            format!("{:.0}", idle.anonymous_bytes_kept_per_connection),
            mebibytes(idle.before.rss_bytes),
            mebibytes(idle.full.rss_bytes),
            mebibytes(idle.after.rss_bytes),
        ]
    };
    grid(&header, &rows.iter().map(cells).collect::<Vec<_>>())
}

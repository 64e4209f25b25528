//! The result of a storm, as JSON and as a table.

use serde::Serialize;

use super::Findings;
use crate::dial::Dialer;
use crate::measure::process::{CpuSource, TaskTime};
use crate::measure::verdict::{Busy, Evidence, Verdict, judge};
use crate::measure::window::{Observed, Window};
use crate::options::storm::StormOptions;
use crate::output::deliver;
use crate::output::document::latency::Latency;
use crate::output::document::{Environment, Status};
use crate::output::table::{Table, grouped, latency_rows, time};

/// The JSON of `ringload storm`.
#[derive(Serialize)]
struct StormDocument {
    /// Always `ringload-storm/1`.
    schema: &'static str,
    status: Status,
    error: Option<String>,
    environment: Environment,
    url: String,
    address: Option<String>,
    protocol: String,
    /// Connections at a time.
    connections: usize,
    /// Number of the first visit.
    first_visit: u32,
    /// Most visits measured, if bounded.
    visits_max: Option<u64>,
    warmup_seconds: f64,
    duration_seconds: f64,
    /// Connect, handshake, echo and close in good order, warm-up included.
    visits_verified: u64,
    /// `None` if the storm failed before the window opened.
    result: Option<StormResult>,
}

/// Figures of the window.
#[derive(Serialize)]
struct StormResult {
    window_seconds: f64,
    visits: u64,
    visits_per_second: f64,
    /// From the start of the connect to the open connection; visits begun in the window.
    opening: Latency,
    /// From the start of the connect to the server's end of stream; visits begun in the window.
    visit: Latency,
    generator_cpu_ns_per_visit: Option<f64>,
    generator: Busy,
    server_pids: Vec<i32>,
    server_cpu_ns_per_visit: Option<f64>,
    server: Option<Busy>,
    cpu_source: CpuSource,
    steal_percent: f64,
    verdict: Verdict,
    verdict_reason: String,
}

impl StormResult {
    fn of(window: &Window, findings: &Findings, observed: &Observed) -> StormResult {
        let visits = window.messages;
        let cpu_ns = |tasks: &[TaskTime]| {
            let total = tasks.iter().map(|task| task.cpu_ns).sum::<u64>();
            (visits > 0).then(|| total as f64 / visits as f64)
        };
        let generator = Busy::of(&window.generator, window.seconds);
        let server = window
            .server
            .as_deref()
            .map(|tasks| Busy::of(tasks, window.seconds));
        let (verdict, verdict_reason) = judge(&Evidence {
            generator,
            server,
            steal_percent: window.steal_percent,
            failure: findings.error.clone(),
            ..Evidence::default()
        });
        StormResult {
            window_seconds: window.seconds,
            visits,
            visits_per_second: visits as f64 / window.seconds.max(1e-9),
            opening: Latency::of(&findings.opening),
            visit: Latency::of(&findings.visit),
            generator_cpu_ns_per_visit: cpu_ns(&window.generator),
            generator,
            server_pids: observed.server_pids.clone(),
            server_cpu_ns_per_visit: window.server.as_deref().and_then(cpu_ns),
            server,
            cpu_source: observed.source,
            steal_percent: window.steal_percent,
            verdict,
            verdict_reason,
        }
    }
}

/// Writes the table and the JSON that were asked for.
pub(super) fn write(
    options: &StormOptions,
    dialer: &Dialer,
    observed: &Observed,
    findings: &Findings,
) -> anyhow::Result<()> {
    let document = StormDocument {
        schema: "ringload-storm/1",
        status: findings.status,
        error: findings.error.clone(),
        environment: Environment::read(),
        url: options.target.urls[0].url.clone(),
        address: dialer.address().map(|address| address.to_string()),
        protocol: options.target.protocol().to_string(),
        connections: options.connections,
        first_visit: options.first_visit,
        visits_max: options.visits,
        warmup_seconds: options.warmup.as_secs_f64(),
        duration_seconds: options.duration.as_secs_f64(),
        visits_verified: findings.visits,
        result: findings
            .window
            .as_ref()
            .map(|window| StormResult::of(window, findings, observed)),
    };
    deliver(
        &document,
        || table(&document),
        document.error.as_deref(),
        options.output.json.as_deref(),
        options.output.quiet,
    )
}

fn table(document: &StormDocument) -> String {
    let mut table = Table::default();
    table.row(
        "storm",
        format!(
            "{} connections at a time, one echo each, {} over {}",
            grouped(document.connections as u64),
            document.protocol,
            document.address.as_deref().unwrap_or(&document.url)
        ),
    );
    let Some(result) = &document.result else {
        return table.into_text();
    };
    table.row(
        "window",
        format!("{:.3} s after warm-up", result.window_seconds),
    );
    let rate = grouped(result.visits_per_second.round() as u64);
    table.row(
        "throughput",
        format!("{rate} connections/s, each opened, echoed and closed"),
    );
    latency_rows(&mut table, "opening", &result.opening);
    latency_rows(&mut table, "whole visit", &result.visit);
    for (name, cpu_ns, busy) in [
        (
            "generator CPU",
            result.generator_cpu_ns_per_visit,
            Some(result.generator),
        ),
        ("server CPU", result.server_cpu_ns_per_visit, result.server),
    ] {
        if let (Some(cpu_ns), Some(busy)) = (cpu_ns, busy) {
            let share = busy.on_cpu_percent;
            table.row(
                name,
                format!("{} per connection, {share:.1} % busy", time(cpu_ns)),
            );
        }
    }
    table.row(
        "steal",
        format!("{:.1} % of all CPU time", result.steal_percent),
    );
    table.row(
        "verdict",
        format!("{} ({})", result.verdict.name(), result.verdict_reason),
    );
    table.into_text()
}

//! The result of churn, as JSON and as a table.

use super::Churn;
use super::findings::Findings;
use crate::assess::verdict::{Busy, Due, Evidence, Schedule, judge};
use crate::observe::process::TaskTime;
use crate::output::document::latency::Latency;
use crate::output::document::run::Rate;
use crate::output::document::storm::{
    STORM_SCHEMA, StormBacklog, StormDocument, StormLoad, StormResult,
};
use crate::output::document::{Environment, Status};
use crate::output::gate;
use crate::output::table::{Table, latency_rows};
use crate::quantity::{bytes, grouped, known, time};
use crate::run::conduct::Course;
use crate::run::series::Series;
use crate::run::window::Observed;

/// Sums up.
pub(super) fn document(
    churn: &Churn,
    observed: &Observed,
    course: &Course<'_>,
    findings: &Findings,
) -> StormDocument {
    let (status, error) = status(observed, course, findings);
    let result = course
        .series
        .as_ref()
        .map(|series| result(observed, course, series, findings, error.clone()));
    StormDocument {
        schema: STORM_SCHEMA.to_owned(),
        status,
        error,
        gate: Vec::new(),
        environment: Environment::read(),
        load: load(churn, findings),
        visits_verified: findings.verified,
        result,
    }
}

/// How it ended, and the sentence that says so.
fn status(
    observed: &Observed,
    course: &Course<'_>,
    findings: &Findings,
) -> (Status, Option<String>) {
    let failed = |error: String| (Status::Failed, Some(error));
    if let Some(fault) = &findings.fault {
        return failed(fault.clone());
    }
    if course.interrupted {
        let error = "interrupted: the figures are partial";
        return (Status::Interrupted, Some(error.to_owned()));
    }
    let window = course.series.as_ref().map(Series::window);
    if window.as_ref().is_none_or(|window| window.messages == 0) {
        return failed(match findings.failures().first() {
            Some(most) => format!(
                "no session ended well within the window; of {} that failed, {} so: {}",
                findings.failed, most.count, most.sentence
            ),
            None => "no session ended within the window; measure for longer".to_owned(),
        });
    }
    let is_gone = window.is_some_and(|window| window.server.is_none());
    if is_gone && !observed.server_pids.is_empty() {
        return failed("a process of --server-pid ended while it was loaded".to_owned());
    }
    (Status::Ok, None)
}

fn load(churn: &Churn, findings: &Findings) -> StormLoad {
    let options = &churn.options;
    let urls = options.target.urls.iter();
    StormLoad {
        urls: urls.map(|target| target.url.clone()).collect(),
        addresses: churn
            .dialer
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect(),
        protocol: options.target.protocol().to_string(),
        tls: findings.tls.clone(),
        connections: options.connections,
        rate: options.rate.as_ref().map(|rates| Rate {
            text: rates.text().to_owned(),
            arrivals: options.arrivals.name().to_owned(),
        }),
        messages: options.messages,
        message_bytes: options.message_bytes(),
        message: options
            .exchange
            .message
            .as_ref()
            .map(|message| message.text().to_owned()),
        expect: options.exchange.expect.to_string(),
        visits_max: options.visits,
        first_visit: options.first_visit,
        visit_timeout_seconds: options.visit_timeout.as_secs_f64(),
        tolerate: options.tolerate,
        threads: options.threads(),
        cpus: options
            .cpu
            .as_ref()
            .map_or_else(Vec::new, |cpus| cpus.0.clone()),
        seed: churn.seed,
        warmup_seconds: options.warmup.as_secs_f64(),
        duration_seconds: options.duration().as_secs_f64(),
    }
}

fn result(
    observed: &Observed,
    course: &Course<'_>,
    series: &Series<'_>,
    findings: &Findings,
    failure: Option<String>,
) -> StormResult {
    let window = series.window();
    let visits = window.messages;
    let cpu_ns = |tasks: &[TaskTime]| {
        let total = tasks.iter().map(|task| task.cpu_ns).sum::<u64>();
        (visits > 0).then(|| total as f64 / visits as f64)
    };
    let seconds = window.seconds.max(1e-9);
    let (generator_cpus, server_cpus) = &course.cpus;
    let others = series.others(&(generator_cpus | server_cpus));
    let generator = Busy::of(&window.generator, window.seconds).within(generator_cpus.len());
    let server = window
        .server
        .as_deref()
        .map(|tasks| Busy::of(tasks, window.seconds).within(server_cpus.len()));
    let offered = series.offered_per_second();
    let lateness = offered.map(|_| Latency::of(&findings.lateness));
    let most = series.slices().iter().map(|slice| slice.backlog).max();
    let backlog = offered.map(|_| StormBacklog {
        visits_late: findings.late,
        visits_max: most.unwrap_or(0).max(findings.backlog_end),
        visits_end: findings.backlog_end,
    });
    let visit = Latency::of(&series.latency);
    let (verdict, verdict_reason) = judge(&Evidence {
        seconds: window.seconds,
        generator,
        server,
        steal_percent: window.steal_percent,
        others,
        failure,
        schedule: offered.map(|offered| Schedule {
            due: Due::Visits,
            offered: offered * window.seconds,
            answered: Some(visits),
            backlog_end: findings.backlog_end,
            lateness_p99_9_ns: findings.lateness.value_at_quantile(0.999),
            latency_p99_9_ns: visit.p99_9_ns,
        }),
        ..Evidence::default()
    });
    StormResult {
        window_start_unix_seconds: series.start_unix_seconds(),
        window_seconds: window.seconds,
        visits,
        visits_per_second: visits as f64 / seconds,
        offered_visits_per_second: offered,
        connect: Latency::of(&findings.connect),
        handshake: Latency::of(&findings.handshake),
        first_echo: Latency::of(&findings.first_echo),
        visit,
        lateness,
        backlog,
        closes: findings.closes,
        visits_failed: findings.failed,
        failures: findings.failures(),
        generator_cpu_ns_per_visit: cpu_ns(&window.generator),
        generator,
        server_pids: observed.server_pids.clone(),
        server_cpu_ns_per_visit: window.server.as_deref().and_then(cpu_ns),
        server,
        cpu_source: observed.source,
        steal_percent: window.steal_percent,
        others_percent: others.map(|others| others.percent),
        verdict,
        verdict_reason,
    }
}

/// The table.
pub(super) fn table(document: &StormDocument) -> Table {
    let mut table = Table::default();
    let load = &document.load;
    let pace = match &load.rate {
        Some(rate) => format!("{} visits/s ({}), at most ", rate.text, rate.arrivals),
        None => String::new(),
    };
    let echoes = match load.messages {
        1 => "one echo".to_owned(),
        messages => format!("{} echoes", grouped(messages)),
    };
    table.row(
        "storm",
        format!(
            "{pace}{} connections at a time, {echoes} of {} each, {}{} over {}",
            grouped(load.connections as u64),
            bytes(load.message_bytes as f64),
            load.tls
                .as_ref()
                .map_or(String::new(), |tls| format!("{tls}, ")),
            load.protocol,
            match load.addresses.is_empty() {
                true => load.urls.join(", "),
                false => load.addresses.join(", "),
            }
        ),
    );
    if let Some(result) = &document.result {
        result_rows(&mut table, load, result);
    }
    if document.visits_verified > 0 {
        let visits = grouped(document.visits_verified);
        table.row("verified", format!("{visits} visits"));
    }
    gate::rows(&mut table, &document.gate);
    table
}

fn result_rows(table: &mut Table, load: &StormLoad, result: &StormResult) {
    let rate = |per_second: f64| grouped(per_second.round() as u64);
    table.row(
        "window",
        format!("{:.3} s after warm-up", result.window_seconds),
    );
    let offered = result
        .offered_visits_per_second
        .map_or(String::new(), |offered| {
            format!(" of {} offered", rate(offered))
        });
    table.row(
        "throughput",
        format!(
            "{} visits/s{offered}, each opened, echoed and closed",
            rate(result.visits_per_second)
        ),
    );
    latency_rows(table, "connect", &result.connect);
    if load.protocol != "tcp" {
        latency_rows(table, "handshake", &result.handshake);
    }
    latency_rows(table, "first echo", &result.first_echo);
    let whole = match load.rate {
        Some(_) => "visit, when due",
        None => "whole visit",
    };
    latency_rows(table, whole, &result.visit);
    schedule_rows(table, result);
    close_rows(table, result);
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
                format!("{} per visit, {share:.1} % busy", time(cpu_ns)),
            );
        }
    }
    table.row(
        "steal, others",
        format!(
            "{} % of CPU time, {} % of one CPU",
            known(result.steal_percent),
            known(result.others_percent)
        ),
    );
    let verdict = result.verdict.name();
    table.row("verdict", format!("{verdict}: {}", result.verdict_reason));
}

/// How an open loop's schedule was held.
fn schedule_rows(table: &mut Table, result: &StormResult) {
    if let Some(lateness) = result.lateness.as_ref().filter(|late| late.count > 0) {
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
    if let Some(backlog) = &result.backlog {
        table.row(
            "backlog",
            format!(
                "{} visits had to wait for others to end; {} waited at most at a time, {} at the end",
                grouped(backlog.visits_late),
                grouped(backlog.visits_max),
                grouped(backlog.visits_end)
            ),
        );
    }
}

fn close_rows(table: &mut Table, result: &StormResult) {
    let closes = &result.closes;
    table.row(
        "ends",
        format!(
            "{} orderly, {} reset, {} without a Close, {} other",
            grouped(closes.orderly),
            grouped(closes.reset),
            grouped(closes.end_of_stream_without_close),
            grouped(closes.other)
        ),
    );
    for (index, kind) in result.failures.iter().enumerate() {
        let name = if index == 0 { "failed" } else { "" };
        let sentence = kind.sentence.replace('\n', " ");
        table.row(name, format!("{} × {sentence}", grouped(kind.count)));
    }
}

//! The figures that `--fail-if` can be asked for, of each kind of document.

use self::Value::{Bytes, Plain, Time, Times};
use crate::assess::condition::{Unit, quantile};
use crate::result::latency::Latency;
use crate::result::{Document, Outcome};

/// A figure's name, older ones behind it, and what it is in a document.
type Figure<'a> = (&'static str, Value<'a>);

/// What a figure is a number of, and its value in the base of that; `None` if it is not known.
type Reading = (Unit, Option<f64>);

/// What is known of a figure, in the base of its unit.
enum Value<'a> {
    Plain(Option<f64>),
    Bytes(Option<f64>),
    Time(Option<f64>),
    /// A distribution, whose percentiles, `max` and `mean` are figures; its name stands before theirs.
    Times(Option<&'a Latency>),
}

/// All that a document of this kind has; without a document nothing is known but their names.
fn figures<'a>(kind: &str, document: Option<&'a Document>) -> Vec<Figure<'a>> {
    match kind {
        "run" | "churn" | "merge" => of_load(kind, document),
        "idle" => of_idle(document),
        "capacity" => of_capacity(document),
        _ => Vec::new(),
    }
}

fn of_load<'a>(kind: &str, document: Option<&'a Document>) -> Vec<Figure<'a>> {
    let load = document.and_then(Document::figures);
    let server = load.and_then(|it| it.server.as_ref());
    let sessions = load.and_then(|it| it.sessions.as_ref());
    let sum = document.and_then(|it| match &it.outcome {
        Outcome::Merge(merge) => merge.as_ref()?.sum.as_ref(),
        _ => None,
    });
    let rate = load.map(|it| it.completed_per_second);
    let rate = rate.or(sum.map(|it| it.completed_per_second));
    let backlog = load.and_then(|it| it.backlog);
    let backlog = backlog.or(sum.and_then(|it| it.backlog));
    let cpu = server.and_then(|it| it.cpu_ns_each);
    let cpu = cpu.or(sum.and_then(|it| it.server_cpu_ns_each));
    let latency = load.map(|it| &it.latency).or(sum.map(|it| &it.latency));
    // Of a closed loop there is nothing to correct.
    let uncorrected = load.map(|it| it.uncorrected_latency.as_ref().unwrap_or(&it.latency));
    let uncorrected = uncorrected.or(sum.and_then(|it| it.uncorrected_latency.as_ref()));
    let ping = load.and_then(|it| it.ping.as_ref());
    let ping = ping.or(sum.and_then(|it| it.ping.as_ref()));
    let send_lag = load.and_then(|it| it.send_lag.as_ref());
    let send_lag = send_lag.or(sum.and_then(|it| it.send_lag.as_ref()));
    let checks = document.map(|it| &it.checks);
    let errors = match kind {
        "churn" => sessions.map(|it| it.failed),
        _ => checks.map(|it| {
            let lost = it.messages_wrong + it.messages_unanswered + it.pings_unanswered;
            lost + it.faults.len() as u64
        }),
    };

    let mut all = vec![
        ("rate throughput", Plain(rate)),
        ("errors", Plain(real(errors))),
        ("backlog", Plain(real(backlog.map(|it| it.end)))),
        ("cpu", Time(cpu)),
    ];
    if kind != "merge" {
        let memory = server.and_then(|it| it.memory);
        all.push(("memory", Bytes(real(memory.map(|it| it.rss_bytes)))));
    }
    all.push(("", Times(latency)));
    if kind != "churn" {
        all.push(("uncorrected- service-", Times(uncorrected)));
        all.push(("ping-", Times(ping)));
    }
    all.push(("send-lag- lateness-", Times(send_lag)));
    if kind == "churn" {
        all.push(("connect-", Times(sessions.map(|it| &it.connect))));
        all.push(("handshake-", Times(sessions.map(|it| &it.handshake))));
        all.push(("first-echo-", Times(sessions.map(|it| &it.first_echo))));
    }
    all
}

fn of_idle(document: Option<&Document>) -> Vec<Figure<'_>> {
    let idle = document.and_then(|it| match &it.outcome {
        Outcome::Idle(idle) => idle.as_deref(),
        _ => None,
    });
    let [growth, kept] = [idle.and_then(|it| it.growth), idle.and_then(|it| it.kept)]
        .map(|growth| growth.map(|it| it.rss_bytes_per_connection));
    let full = idle.and_then(|it| it.memory_full);
    let opened = idle.map(|it| it.connections_opened);
    let errors = document.zip(idle).map(|(document, idle)| {
        let asked = document.load.connections;
        asked.saturating_sub(idle.connections_opened) + idle.connections_lost
    });
    vec![
        ("growth", Bytes(growth)),
        ("kept", Bytes(kept)),
        ("memory", Bytes(real(full.map(|it| it.rss_bytes)))),
        ("connections", Plain(opened.map(|it| it as f64))),
        ("errors", Plain(errors.map(|it| it as f64))),
    ]
}

/// Of the step that a search found best: without one nothing is known.
fn of_capacity(document: Option<&Document>) -> Vec<Figure<'_>> {
    let best = document.and_then(|it| match &it.outcome {
        Outcome::Capacity(capacity) => capacity.as_ref()?.best_point(),
        _ => None,
    });
    vec![
        ("rate capacity knee", Plain(best.map(|it| it.rate))),
        ("cpu", Time(best.and_then(|it| it.server_cpu_ns_each))),
        ("p50", Time(real(best.and_then(|it| it.p50_ns)))),
        ("p90", Time(real(best.and_then(|it| it.p90_ns)))),
        ("p99", Time(real(best.and_then(|it| it.p99_ns)))),
        ("p99.9", Time(real(best.and_then(|it| it.p99_9_ns)))),
        ("max", Time(real(best.and_then(|it| it.max_ns)))),
    ]
}

fn real(whole: Option<u64>) -> Option<f64> {
    whole.map(|it| it as f64)
}

/// What is known of a figure, with its unit; `None` if documents of this kind have none of this name.
pub(super) fn find(kind: &str, name: &str, document: Option<&Document>) -> Option<Reading> {
    let figures = figures(kind, document);
    figures.into_iter().find_map(|(names, value)| {
        let mut rests = names.split(' ').filter_map(|it| name.strip_prefix(it));
        rests.find_map(|rest| match value {
            Times(latency) => Some((Unit::Time, moment(latency, rest)?)),
            _ if !rest.is_empty() => None,
            Plain(value) => Some((Unit::Plain, value)),
            Bytes(value) => Some((Unit::Bytes, value)),
            Time(value) => Some((Unit::Time, value)),
        })
    })
}

/// What is known of a percentile, the maximum or the mean; `None` if the name is that of none.
fn moment(latency: Option<&Latency>, name: &str) -> Option<Option<f64>> {
    let latency = latency.filter(|latency| latency.count > 0);
    if name == "mean" {
        return Some(latency.map(|it| it.mean_ns));
    }
    let quantile = quantile(name)?;
    let histogram = latency.and_then(|it| it.histogram().ok());
    Some(histogram.map(|it| it.value_at_quantile(quantile) as f64))
}

/// All names of a kind, for whoever wrote another.
pub(super) fn names(kind: &str) -> String {
    let names = figures(kind, None).into_iter().map(|(names, value)| {
        let name = names.split(' ').next().unwrap_or_default();
        match value {
            Times(_) => format!("{name}p50 ({name}p99.9, any), {name}mean, {name}max"),
            _ => name.to_owned(),
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

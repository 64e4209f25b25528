//! The figures that `--fail-if` can be asked for: one table over the document, whatever its kind.

use crate::assess::condition::{Unit, quantile};
use crate::result::capacity::Point;
use crate::result::idle::IdleResult;
use crate::result::latency::Latency;
use crate::result::merge::Sum;
use crate::result::{Document, Outcome};

/// Reads a figure, in the base of its unit; `None` if it is not known.
type Reading = fn(&Document) -> Option<f64>;

/// A figure: the kinds of document that have it, its name and older ones, what it is a number of, how it is read.
struct Figure(
    &'static [&'static str],
    &'static [&'static str],
    Unit,
    Reading,
);

/// A distribution, whose percentiles, `max` and `mean` are figures: kinds, what stands before `p99`, how it is read.
struct Distribution(
    &'static [&'static str],
    &'static [&'static str],
    fn(&Document) -> Option<&Latency>,
);

const LOADS: &[&str] = &["run", "churn", "merge"];
const MESSAGES: &[&str] = &["run", "merge"];
const CHURN: &[&str] = &["churn"];
const IDLE: &[&str] = &["idle"];
const CAPACITY: &[&str] = &["capacity"];

const FIGURES: &[Figure] = &[
    Figure(LOADS, &["rate", "throughput"], Unit::Plain, |document| {
        let of_figures = document
            .figures()
            .map(|figures| figures.completed_per_second);
        of_figures.or_else(|| Some(sum(document)?.completed_per_second))
    }),
    Figure(MESSAGES, &["errors"], Unit::Plain, |document| {
        let checks = &document.checks;
        let lost = checks.messages_wrong + checks.messages_unanswered + checks.pings_unanswered;
        Some((lost + checks.faults.len() as u64) as f64)
    }),
    Figure(CHURN, &["errors"], Unit::Plain, |document| {
        Some(document.figures()?.sessions.as_ref()?.failed as f64)
    }),
    Figure(LOADS, &["backlog"], Unit::Plain, |document| {
        let of_figures = document.figures().and_then(|figures| figures.backlog);
        Some(of_figures.or_else(|| sum(document)?.backlog)?.end as f64)
    }),
    Figure(LOADS, &["cpu"], Unit::Time, |document| {
        let server = document
            .figures()
            .and_then(|figures| figures.server.as_ref());
        let of_figures = server.and_then(|server| server.cpu_ns_each);
        of_figures.or_else(|| sum(document)?.server_cpu_ns_each)
    }),
    Figure(&["run", "churn"], &["memory"], Unit::Bytes, |document| {
        let memory = document.figures()?.server.as_ref()?.memory?;
        Some(memory.rss_bytes as f64)
    }),
    Figure(IDLE, &["growth"], Unit::Bytes, |document| {
        Some(idle(document)?.growth?.rss_bytes_per_connection)
    }),
    Figure(IDLE, &["kept"], Unit::Bytes, |document| {
        Some(idle(document)?.kept?.rss_bytes_per_connection)
    }),
    Figure(IDLE, &["memory"], Unit::Bytes, |document| {
        Some(idle(document)?.memory_full?.rss_bytes as f64)
    }),
    Figure(IDLE, &["connections"], Unit::Plain, |document| {
        Some(idle(document)?.connections_opened as f64)
    }),
    Figure(IDLE, &["errors"], Unit::Plain, |document| {
        let idle = idle(document)?;
        let unopened = document
            .load
            .connections
            .saturating_sub(idle.connections_opened);
        Some((unopened + idle.connections_lost) as f64)
    }),
    Figure(
        CAPACITY,
        &["rate", "capacity", "knee"],
        Unit::Plain,
        |document| Some(best(document)?.rate),
    ),
    Figure(CAPACITY, &["cpu"], Unit::Time, |document| {
        best(document)?.server_cpu_ns_each
    }),
    Figure(CAPACITY, &["p50"], Unit::Time, |document| {
        of(best(document)?.p50_ns)
    }),
    Figure(CAPACITY, &["p90"], Unit::Time, |document| {
        of(best(document)?.p90_ns)
    }),
    Figure(CAPACITY, &["p99"], Unit::Time, |document| {
        of(best(document)?.p99_ns)
    }),
    Figure(CAPACITY, &["p99.9"], Unit::Time, |document| {
        of(best(document)?.p99_9_ns)
    }),
    Figure(CAPACITY, &["max"], Unit::Time, |document| {
        of(best(document)?.max_ns)
    }),
];

const DISTRIBUTIONS: &[Distribution] = &[
    Distribution(LOADS, &[""], |document| {
        let of_figures = document.figures().map(|figures| &figures.latency);
        of_figures.or_else(|| Some(&sum(document)?.latency))
    }),
    Distribution(MESSAGES, &["uncorrected-", "service-"], |document| {
        // Of a closed loop there is nothing to correct.
        let of_figures = document.figures().map(|figures| {
            let uncorrected = figures.uncorrected_latency.as_ref();
            uncorrected.unwrap_or(&figures.latency)
        });
        of_figures.or_else(|| sum(document)?.uncorrected_latency.as_ref())
    }),
    Distribution(MESSAGES, &["ping-"], |document| {
        let of_figures = document.figures().and_then(|figures| figures.ping.as_ref());
        of_figures.or_else(|| sum(document)?.ping.as_ref())
    }),
    Distribution(LOADS, &["send-lag-", "lateness-"], |document| {
        let of_figures = document
            .figures()
            .and_then(|figures| figures.send_lag.as_ref());
        of_figures.or_else(|| sum(document)?.send_lag.as_ref())
    }),
    Distribution(CHURN, &["connect-"], |document| {
        Some(&document.figures()?.sessions.as_ref()?.connect)
    }),
    Distribution(CHURN, &["handshake-"], |document| {
        Some(&document.figures()?.sessions.as_ref()?.handshake)
    }),
    Distribution(CHURN, &["first-echo-"], |document| {
        Some(&document.figures()?.sessions.as_ref()?.first_echo)
    }),
];

fn sum(document: &Document) -> Option<&Sum> {
    match &document.outcome {
        Outcome::Merge(merge) => merge.as_ref()?.sum.as_ref(),
        _ => None,
    }
}

fn idle(document: &Document) -> Option<&IdleResult> {
    match &document.outcome {
        Outcome::Idle(idle) => idle.as_deref(),
        _ => None,
    }
}

/// The step that a search found best: without one nothing is known.
fn best(document: &Document) -> Option<&Point> {
    match &document.outcome {
        Outcome::Capacity(capacity) => capacity.as_ref()?.best_point(),
        _ => None,
    }
}

fn of(ns: Option<u64>) -> Option<f64> {
    Some(ns? as f64)
}

/// How a figure is read out of a document.
type Read = Box<dyn Fn(&Document) -> Option<f64>>;

/// What a document of this kind has by this name: its unit, and how it is read.
pub(super) fn find(kind: &str, name: &str) -> Option<(Unit, Read)> {
    let figures = FIGURES.iter().filter(|it| it.0.contains(&kind));
    if let Some(Figure(_, _, unit, of)) = figures.into_iter().find(|it| it.1.contains(&name)) {
        return Some((*unit, Box::new(of)));
    }
    let distributions = DISTRIBUTIONS.iter().filter(|it| it.0.contains(&kind));
    distributions
        .into_iter()
        .find_map(|Distribution(_, prefixes, of)| {
            let rest = |prefix: &&str| name.strip_prefix(*prefix);
            let found = prefixes.iter().filter_map(rest).find_map(|rest| {
                let quantile = quantile(rest);
                (rest == "mean" || quantile.is_some()).then_some(quantile)
            });
            let quantile = found?;
            let read = move |document: &Document| {
                let latency = of(document).filter(|latency| latency.count > 0)?;
                Some(match quantile {
                    None => latency.mean_ns,
                    Some(quantile) => latency.histogram().ok()?.value_at_quantile(quantile) as f64,
                })
            };
            Some((Unit::Time, Box::new(read) as Box<_>))
        })
}

/// All names of a kind, for whoever wrote another.
pub(super) fn names(kind: &str) -> String {
    let figures = FIGURES.iter().filter(|it| it.0.contains(&kind));
    let distributions = DISTRIBUTIONS.iter().filter(|it| it.0.contains(&kind));
    let figures = figures.map(|it| it.1[0].to_owned());
    let distributions = distributions.map(|it| {
        let prefix = it.1[0];
        format!("{prefix}p50 ({prefix}p99.9, any), {prefix}mean, {prefix}max")
    });
    figures.chain(distributions).collect::<Vec<_>>().join(", ")
}

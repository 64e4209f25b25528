//! The search as a document, a line a step, and the curve as spreadsheets read it.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::options::CapacityOptions;
use super::search::{Above, Cause};
use super::{Course, Ending};
use crate::assess::findings::sentence;
use crate::output::tables::rate;
use crate::quantity::time;
use crate::result::capacity::{Best, CapacityResult, Point};
use crate::result::load::{Load, Rate};
use crate::result::{Checks, Document, Outcome, Status};

/// What is said of a step as soon as it is over.
pub(super) fn progress_line(point: &Point) -> String {
    let value = |ns: Option<u64>| ns.map_or("-".to_owned(), |ns| time(ns as f64));
    let outcome = match &point.why {
        None => "meets".to_owned(),
        Some(why) => format!("misses: {why}"),
    };
    let rate = rate(point.rate);
    if point.completed_per_second.is_none() {
        return format!("{rate} messages/s: {outcome}");
    }
    let (p50, p99) = (value(point.p50_ns), value(point.p99_ns));
    format!("{rate} messages/s: p50 {p50}, p99 {p99}; {outcome}")
}

/// Sums up. Without a step there is no result.
pub(super) fn document(options: &CapacityOptions, load: Option<Load>, course: Course) -> Document {
    let found = course.finding;
    let has_figures = course.points.iter().any(|point| point.p50_ns.is_some());
    // The lowest rate that was believed to miss stands right above the best. Of its steps one at which something
    // went wrong tells more than one that was slow.
    let is_above = |(_, point): &(usize, &Point)| {
        !point.meets && found.best.is_none_or(|best| point.rate > best)
    };
    let numbered = course.points.iter().enumerate();
    let next = numbered.filter(is_above).min_by(|a, b| {
        let has_failed = |(index, _): &(usize, &Point)| course.failed.contains(index);
        let by_rate = a.1.rate.total_cmp(&b.1.rate);
        by_rate.then(has_failed(b).cmp(&has_failed(a)))
    });
    let missed = next.map_or_else(String::new, |(_, point)| {
        let why = point.why.as_deref().unwrap_or_default();
        format!("at {} messages/s, {why}", rate(point.rate))
    });
    let has_failed = next.is_some_and(|(index, _)| course.failed.contains(&index));
    let (status, error) = match &course.ending {
        Ending::Interrupted => (
            Status::Interrupted,
            Some("interrupted: the curve is partial".to_owned()),
        ),
        Ending::Broken(why) if has_figures => (
            Status::Failed,
            Some(format!("the search broke off, the curve is partial: {why}")),
        ),
        Ending::Broken(why) => (
            Status::Failed,
            Some(format!("the search cannot begin: {why}")),
        ),
        // A server that answers wrongly or hangs up has failed, whatever the rate.
        Ending::Over if has_failed => (
            Status::Failed,
            Some(format!(
                "something went wrong where the search ended: {missed}"
            )),
        ),
        Ending::Over if found.best.is_none() => (
            Status::Missed,
            Some(format!(
                "no rate meets {}: {missed}; lower --from, or ask for less",
                options.slo
            )),
        ),
        Ending::Over => (Status::Ok, None),
    };
    let to = options.to.map_or(String::new(), |to| to.to_string());
    let load = Load {
        rate: Some(Rate {
            text: format!("{}..{to}", options.from),
            arrivals: options.arrivals.name().to_owned(),
        }),
        ..load.unwrap_or_default()
    };
    let mut result = CapacityResult {
        objective: options.slo.to_string(),
        precision_percent: options.precision,
        best: None,
        is_lower_bound: found.best.is_some() && found.above != Above::Missed(Cause::Server),
        points: course.points,
    };
    result.best = found.best.and_then(|rate| {
        let point = result.last_met(rate)?;
        Some(Best {
            rate,
            p50_ns: point.p50_ns?,
            p99_ns: point.p99_ns?,
            p99_9_ns: point.p99_9_ns?,
        })
    });
    let of = result.best_point().or(result.points.last());
    let findings = of.map_or_else(Vec::new, |point| point.findings.clone());
    let why = match found.above {
        _ if status == Status::Failed => "it failed, and is no result".to_owned(),
        Above::Missed(Cause::Server) => missed,
        Above::Missed(Cause::Generator) => format!("the generator could do no more ({missed})"),
        Above::Missed(Cause::Noise) => format!("others took part ({missed})"),
        Above::Range => "every rate up to --to met the objective".to_owned(),
        Above::Unknown => "the search was not finished, and what it found not confirmed".to_owned(),
    };
    let met = result.best.map(|best| {
        let bound = if result.is_lower_bound {
            "at least "
        } else {
            ""
        };
        let (objective, rate) = (&result.objective, rate(best.rate));
        format!("the objective {objective} is met up to {bound}{rate} messages/s")
    });
    let met = met.unwrap_or_else(|| format!("no rate met {}", result.objective));
    Document {
        summary: sentence(&format!("{met}; {why}")),
        findings,
        ..Document::new(
            (status, error),
            load,
            Checks::default(),
            Outcome::Capacity((!result.points.is_empty()).then_some(result)),
        )
    }
}

/// A step, flat.
#[derive(Serialize)]
struct Row<'a> {
    rate: f64,
    completed_per_second: Option<f64>,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    p99_9_ns: Option<u64>,
    max_ns: Option<u64>,
    backlog_end: Option<u64>,
    send_lag_p99_9_ns: Option<u64>,
    server_cpu_ns_each: Option<f64>,
    findings: String,
    meets: bool,
    why: Option<&'a str>,
}

/// Writes the points as CSV (RFC 4180), in the order measured. What is not known is empty, not 0.
pub(super) fn write_csv(path: &Path, points: &[Point]) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_path(path)?;
        for point in points {
            let found: Vec<_> = point.findings.iter().map(|it| it.id.name()).collect();
            writer.serialize(Row {
                rate: point.rate,
                completed_per_second: point.completed_per_second,
                p50_ns: point.p50_ns,
                p90_ns: point.p90_ns,
                p99_ns: point.p99_ns,
                p99_9_ns: point.p99_9_ns,
                max_ns: point.max_ns,
                backlog_end: point.backlog_end,
                send_lag_p99_9_ns: point.send_lag_p99_9_ns,
                server_cpu_ns_each: point.server_cpu_ns_each,
                findings: found.join(" "),
                meets: point.meets,
                why: point.why.as_deref(),
            })?;
        }
        Ok(writer.flush()?)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

//! The search as a document, a line a step, and the curve as spreadsheets read it.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::options::CapacityOptions;
use super::search::{Cause, Search};
use crate::assess::findings::sentence;
use crate::output::tables::rate;
use crate::quantity::time;
use crate::result::capacity::{Best, CapacityResult, Point};
use crate::result::load::{Load, Rate};
use crate::result::{Checks, Document, Outcome, Status};

/// What is said of a step as soon as it is over.
pub(super) fn progress_line(point: &Point) -> String {
    let line = format!("{} messages/s: ", rate(point.rate));
    let figures = point.completed_per_second.map_or(String::new(), |_| {
        let [p50, p99] =
            [point.p50_ns, point.p99_ns].map(|ns| ns.map_or("-".to_owned(), |ns| time(ns as f64)));
        format!("p50 {p50}, p99 {p99}; ")
    });
    match &point.why {
        Some(why) => line + &figures + "misses: " + why,
        None => line + &figures + "meets",
    }
}

/// Sums up. `points` are of the search's trials, in the same order; without one there is no result. `load` is that of
/// a step; `ending` says how the search ended, and why, unless there was nothing left to try.
pub(super) fn document(
    options: &CapacityOptions,
    load: Load,
    search: &Search,
    points: Vec<Point>,
    ending: (Status, String),
) -> Document {
    let (best, limit) = (search.highest_met(), search.lowest_missed());
    // Of the steps at the rate that ended the search, one that it is blamed for tells most.
    let mut steps = points.iter().zip(&search.trials);
    let step = limit.and_then(|(rate, cause)| steps.find(|step| *step.1 == (rate, Some(cause))));
    let missed = step.map_or_else(String::new, |(point, _)| {
        let why = point.why.as_deref().unwrap_or_default();
        format!("at {} messages/s, {why}", rate(point.rate))
    });
    let cause = limit.map(|(_, cause)| cause);
    let objective = options.slo.to_string();
    let has_figures = points.iter().any(|point| point.p50_ns.is_some());
    let (status, error) = match ending {
        // A server that answers wrongly or hangs up has failed, whatever the rate.
        (Status::Ok, _) if cause == Some(Cause::Fault) => {
            let error = format!("something went wrong where the search ended: {missed}");
            (Status::Failed, error)
        }
        (Status::Ok, _) if best.is_none() => {
            let error =
                format!("no rate meets {objective}: {missed}; lower --from, or ask for less");
            (Status::Missed, error)
        }
        (Status::Failed, why) if has_figures => {
            let error = format!("the search broke off, the curve is partial: {why}");
            (Status::Failed, error)
        }
        (Status::Failed, why) => (Status::Failed, format!("the search cannot begin: {why}")),
        ending => ending,
    };
    let error = (status != Status::Ok).then_some(error);
    let is_servers = matches!(cause, Some(Cause::Fault | Cause::Server));
    let why = match cause {
        _ if status == Status::Failed => "it failed, and is no result".to_owned(),
        _ if !search.is_over() => {
            "the search was not finished, and what it found not confirmed".to_owned()
        }
        None => "every rate up to --to met the objective".to_owned(),
        Some(Cause::Generator) => format!("the generator could do no more ({missed})"),
        Some(Cause::Noise) => format!("others took part ({missed})"),
        Some(_) => missed,
    };
    let mut result = CapacityResult {
        objective,
        precision_percent: options.precision,
        best: None,
        is_lower_bound: best.is_some() && !(is_servers && search.is_over()),
        points,
    };
    result.best = best.and_then(|rate| {
        let point = result.last_met(rate)?;
        Some(Best {
            rate,
            p50_ns: point.p50_ns?,
            p99_ns: point.p99_ns?,
            p99_9_ns: point.p99_9_ns?,
        })
    });
    let objective = &result.objective;
    let met = match result.best.map(|best| rate(best.rate)) {
        Some(rate) if result.is_lower_bound => {
            format!("the objective {objective} is met up to at least {rate} messages/s")
        }
        Some(rate) => format!("the objective {objective} is met up to {rate} messages/s"),
        None => format!("no rate met {objective}"),
    };
    let to = options.to.map_or(String::new(), |to| to.to_string());
    let load = Load {
        rate: Some(Rate {
            text: format!("{}..{to}", options.from),
            arrivals: options.arrivals.name().to_owned(),
        }),
        ..load
    };
    let of = result.best_point().or(result.points.last());
    let findings = of.map_or_else(Vec::new, |point| point.findings.clone());
    let outcome = Outcome::Capacity((!result.points.is_empty()).then_some(result));
    Document {
        summary: sentence(&format!("{met}; {why}")),
        findings,
        ..Document::new((status, error), load, Checks::default(), outcome)
    }
}

/// The columns of the curve, as the fields of a [`Point`] are named.
const COLUMNS: &str = "rate,completed_per_second,p50_ns,p90_ns,p99_ns,p99_9_ns,max_ns,backlog_end,send_lag_p99_9_ns,\
                       server_cpu_ns_each,findings,meets,why";

/// Writes the points as CSV (RFC 4180), in the order measured. What is not known is empty, not 0.
pub(super) fn write_csv(path: &Path, points: &[Point]) -> anyhow::Result<()> {
    let write = || -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_path(path)?;
        writer.write_record(COLUMNS.split(','))?;
        for point in points {
            let found: Vec<_> = point.findings.iter().map(|it| it.id.name()).collect();
            let fields = serde_json::to_value(point)?;
            writer.write_record(COLUMNS.split(',').map(|column| match &fields[column] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                Value::Array(_) => found.join(" "),
                number => number.to_string(),
            }))?;
        }
        Ok(writer.flush()?)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

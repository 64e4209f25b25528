//! `ringload capacity`: finds the highest rate that meets an objective.
//!
//! ```text
//! search (which rate next) ── run (a step at it) ── point (did it meet?)
//!    └──────────────────────────────────────────────────┘
//! ```

pub(crate) mod options;
mod point;
mod report;
mod search;

use anyhow::{Context, bail};

use self::search::Search;
use crate::capacity::options::CapacityOptions;
use crate::interrupt::Interrupt;
use crate::output::{check_writable, tell};
use crate::result::{Document, Outcome, Status};
use crate::run::measure;

/// Runs and reports.
pub(crate) fn run(options: &CapacityOptions) -> anyhow::Result<Status> {
    options.check()?;
    options.report.check("capacity")?;
    options.csv.as_deref().map_or(Ok(()), check_writable)?;
    let interrupt = Interrupt::install().context("taking over signals")?;
    let measure_at = |rate: f64| match measure(&options.run_at(rate), &interrupt) {
        Ok(measured) => Ok(Some(measured.document)),
        Err(_) if interrupt.is_raised() => Ok(None),
        Err(error) => Err(error),
    };
    let mut document = climb(options, measure_at)?;
    let published = options.report.publish(&mut document);
    if let (Some(path), Outcome::Capacity(Some(capacity))) = (&options.csv, &document.outcome) {
        report::write_csv(path, &capacity.points)?;
    }
    published
}

/// Tries rate after rate, tells what came of each, and sums up. `measure` yields `None` if a signal came; its error ends the
/// search, and is this function's if there is nothing else to report.
fn climb(
    options: &CapacityOptions,
    mut measure: impl FnMut(f64) -> anyhow::Result<Option<Document>>,
) -> anyhow::Result<Document> {
    let mut search = Search {
        from: options.from,
        to: options.to.unwrap_or(f64::INFINITY),
        precision: options.precision / 100.0,
        trials: Vec::new(),
    };
    let (mut load, mut points) = (None, Vec::new());
    let ending = loop {
        let Some(rate) = search.next() else {
            break (Status::Ok, String::new());
        };
        let step = match measure(rate) {
            Ok(Some(step)) if step.status != Status::Interrupted => step,
            Ok(_) if points.is_empty() => bail!("interrupted before the first step was over"),
            Ok(_) => {
                let why = "interrupted: the curve is partial";
                break (Status::Interrupted, why.to_owned());
            }
            Err(error) if points.is_empty() => return Err(error),
            Err(error) => break (Status::Failed, format!("{error:#}")),
        };
        let (point, missed) = point::judge(rate, &step, &options.slo);
        load.get_or_insert(step.load);
        // Where no connection opens, none would at another rate.
        if point.completed_per_second.is_none() && step.checks.messages_verified == 0 {
            break (Status::Failed, step.error.unwrap_or_default());
        }
        if !options.report.output.quiet {
            tell(format_args!("ringload: {}", report::progress_line(&point)));
        }
        search.trials.push((rate, missed));
        points.push(point);
    };
    let load = load.unwrap_or_default();
    Ok(report::document(options, load, &search, points, ending))
}

#[cfg(test)]
#[path = "capacity_tests.rs"]
mod tests;

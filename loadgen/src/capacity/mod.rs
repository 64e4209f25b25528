//! `ringload capacity`: finds the highest rate that meets an objective.
//!
//! ```text
//! search (which rate next) ── step (a run at it) ── point (did it meet?)
//!    └───────────────────────────────────────────────────┘
//! ```

pub(crate) mod options;
mod point;
mod report;
mod search;

use anyhow::{Context, anyhow};

use self::point::Step;
use self::search::{Above, Finding, Range, Search};
use crate::assess::objective::Objective;
use crate::capacity::options::CapacityOptions;
use crate::interrupt::Interrupt;
use crate::output::{check_writable, tell};
use crate::result::capacity::Point;
use crate::result::{Outcome, Status};
use crate::run::measure;

/// Runs and reports.
pub(crate) fn run(options: &CapacityOptions) -> anyhow::Result<Status> {
    options.check()?;
    options.report.check("capacity")?;
    options.csv.as_deref().map_or(Ok(()), check_writable)?;
    let interrupt = Interrupt::install().context("taking over signals")?;
    let mut load = None;
    let measure_at = |rate: f64| {
        let measured = match measure(&options.run_at(rate), &interrupt) {
            Ok(measured) => measured,
            Err(_) if interrupt.is_raised() => return Ok(None),
            Err(error) => return Err(error),
        };
        if measured.document.status == Status::Interrupted {
            return Ok(None);
        }
        load.get_or_insert_with(|| measured.document.load.clone());
        Ok(Some(Step::of(rate, measured)))
    };
    let tell = |point: &Point| {
        if !options.report.output.quiet {
            tell(format_args!("ringload: {}", report::progress_line(point)));
        }
    };
    let range = Range {
        from: options.from,
        to: options.to.unwrap_or(f64::INFINITY),
        precision: options.precision / 100.0,
    };
    let course = climb(range, &options.slo, measure_at, tell)?;
    let mut document = report::document(options, load, course);
    let published = options.report.publish(&mut document);
    if let (Some(path), Outcome::Capacity(Some(capacity))) = (&options.csv, &document.outcome) {
        report::write_csv(path, &capacity.points)?;
    }
    published
}

/// How the search went.
struct Course {
    points: Vec<Point>,
    /// Which of them were no slow step but a failure.
    failed: Vec<usize>,
    finding: Finding,
    ending: Ending,
}

/// How it ended.
#[derive(Debug)]
enum Ending {
    /// There was nothing left to try.
    Over,
    /// A signal cut it short.
    Interrupted,
    /// The server could not be loaded any more.
    Broken(String),
}

/// Tries rate after rate. `measure` yields `None` if a signal came; its error ends the search, and is
/// this function's if there is nothing else to report.
fn climb(
    range: Range,
    objective: &Objective,
    mut measure: impl FnMut(f64) -> anyhow::Result<Option<Step>>,
    tell: impl Fn(&Point),
) -> anyhow::Result<Course> {
    let mut search = Search::new(range);
    let mut points: Vec<Point> = Vec::new();
    let mut failed = Vec::new();
    let ending = loop {
        let Some(rate) = search.next() else {
            break Ending::Over;
        };
        let step = match measure(rate) {
            Ok(Some(step)) => step,
            Ok(None) => break Ending::Interrupted,
            Err(error) if points.is_empty() => return Err(error),
            Err(error) => break Ending::Broken(format!("{error:#}")),
        };
        // Where no connection opens, none would at another rate.
        if step.is_hopeless {
            break Ending::Broken(step.failure.unwrap_or_default());
        }
        failed.extend(step.failure.as_ref().map(|_| points.len()));
        let (point, outcome) = step.judge(objective);
        tell(&point);
        search.record(rate, outcome);
        points.push(point);
    };
    if points.is_empty() && matches!(ending, Ending::Interrupted) {
        return Err(anyhow!("interrupted before the first step was over"));
    }
    let finding = match ending {
        Ending::Over => search.finding(),
        _ => Finding {
            above: Above::Unknown,
            ..search.finding()
        },
    };
    Ok(Course {
        points,
        failed,
        finding,
        ending,
    })
}

#[cfg(test)]
#[path = "capacity_tests.rs"]
mod tests;

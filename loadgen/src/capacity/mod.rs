//! `ringload knee`: finds the highest rate that meets an objective.
//!
//! ```text
//! search (which rate next) ── step (a run at it) ── point (did it meet?)
//!    └───────────────────────────────────────────────────┘
//! ```

mod figures;
pub(crate) mod options;
mod point;
mod report;
mod search;

use anyhow::{Context, anyhow};

use self::figures::FIGURES;
use self::point::{Step, Terms};
use self::search::{Above, Cause, Finding, Range, Search};
use crate::assess::verdict::Verdict;
use crate::capacity::options::KneeOptions;
use crate::interrupt::Interrupt;
use crate::output::document::knee::{Best, KNEE_SCHEMA, KneeDocument, Point};
use crate::output::document::run::{Load, Rate};
use crate::output::document::{Environment, Status};
use crate::output::gate::Judged;
use crate::output::{check_writable, deliver, gate, tell};
use crate::run::measure;

/// Runs and reports.
pub(crate) fn run(options: &KneeOptions) -> anyhow::Result<Status> {
    options.check()?;
    options.gate.check(&FIGURES)?;
    for file in [&options.output.json, &options.csv].into_iter().flatten() {
        check_writable(file)?;
    }
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
        if !options.output.quiet {
            tell(format_args!("ringload: {}", report::progress_line(point)));
        }
    };
    let terms = Terms {
        objective: &options.slo,
        arrivals: options.arrivals,
    };
    let range = Range {
        from: options.from,
        to: options.to.unwrap_or(f64::INFINITY),
        precision: options.precision / 100.0,
    };
    let course = climb(range, &terms, measure_at, tell)?;
    let mut document = document(options, load, course);
    document.gate = options.gate.judge(&FIGURES, &document);
    gate::conclude(&document.gate, &mut document.status, &mut document.error);
    let delivered = deliver(
        &document,
        || report::text(&document),
        document.error.as_deref(),
        options.output.json.as_deref(),
        options.output.quiet,
    );
    if let Some(path) = &options.csv {
        report::write_csv(path, &document.points)?;
    }
    let judged = Judged {
        name: format!("knee {}", options.target.urls[0].url),
        status: document.status,
        error: document.error.as_deref(),
        gate: &document.gate,
    };
    let reported = options.gate.report(&judged, || report::table(&document));
    delivered.and(reported)?;
    Ok(document.status)
}

/// How the search went.
struct Course {
    points: Vec<Point>,
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
    terms: &Terms<'_>,
    mut measure: impl FnMut(f64) -> anyhow::Result<Option<Step>>,
    tell: impl Fn(&Point),
) -> anyhow::Result<Course> {
    let mut search = Search::new(range);
    let mut points: Vec<Point> = Vec::new();
    let mut stillborn = 0;
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
        let is_hopeless = points.is_empty() && step.is_hopeless;
        stillborn = if step.has_begun() { 0 } else { stillborn + 1 };
        let (point, outcome) = step.judge(terms);
        tell(&point);
        search.record(rate, outcome);
        let why = point.why.clone();
        points.push(point);
        // Two that did not come to a window say that the server is gone, whatever the rate, and the first
        // that there is none to search.
        if stillborn >= 2 || is_hopeless {
            break Ending::Broken(why.unwrap_or_default());
        }
    };
    if points.is_empty() {
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
        finding,
        ending,
    })
}

fn document(options: &KneeOptions, load: Option<Load>, course: Course) -> KneeDocument {
    let Course {
        points,
        finding,
        ending,
    } = course;
    let (verdict, verdict_reason) = verdict(&finding, &points);
    let (status, error) = match (&ending, verdict) {
        (Ending::Interrupted, _) => (
            Status::Interrupted,
            Some("interrupted: the curve is partial".to_owned()),
        ),
        (Ending::Broken(why), _) => (
            Status::Failed,
            Some(if points.iter().any(|point| point.p50_ns.is_some()) {
                format!("the search broke off, the curve is partial: {why}")
            } else {
                format!("the search cannot begin: {why}")
            }),
        ),
        // A server that answers wrongly or hangs up has failed, whatever the rate.
        (Ending::Over, Verdict::Invalid) => (
            Status::Failed,
            Some(format!(
                "something went wrong where the search ended: {verdict_reason}"
            )),
        ),
        (Ending::Over, _) => match finding.best {
            Some(_) => (Status::Ok, None),
            None => (Status::Missed, Some(nothing_met(options, &points))),
        },
    };
    KneeDocument {
        schema: KNEE_SCHEMA.to_owned(),
        status,
        error,
        gate: Vec::new(),
        environment: Environment::read(),
        load: load.map(|load| Load {
            rate: Some(Rate {
                text: range_text(options),
                arrivals: options.arrivals.name().to_owned(),
            }),
            ..load
        }),
        objective: options.slo.to_string(),
        precision_percent: options.precision,
        best: finding.best.and_then(|rate| best(rate, &points)),
        is_lower_bound: finding.best.is_some() && finding.above != Above::Missed(Cause::Server),
        verdict,
        verdict_reason,
        points,
    }
}

/// The rates that were to be searched, as a range without an end if there was none.
fn range_text(options: &KneeOptions) -> String {
    let to = options.to.map_or(String::new(), |to| to.to_string());
    format!("{}..{to}", options.from)
}

fn nothing_met(options: &KneeOptions, points: &[Point]) -> String {
    let last = points.last();
    let why = last
        .and_then(|point| point.why.as_deref())
        .unwrap_or_default();
    format!(
        "no rate meets {}: at {} messages/s, {why}; lower --from, or ask for less",
        options.slo,
        report::rate(last.map_or(0.0, |point| point.rate)),
    )
}

/// The last step at the best rate that met.
fn best(rate: f64, points: &[Point]) -> Option<Best> {
    let point = figures::best(rate, points)?;
    Some(Best {
        rate,
        p50_ns: point.p50_ns?,
        p99_ns: point.p99_ns?,
        p99_9_ns: point.p99_9_ns?,
    })
}

/// Who set the knee, and why it is said so.
fn verdict(finding: &Finding, points: &[Point]) -> (Verdict, String) {
    let best = finding.best;
    let lower_bound = "; the knee is a lower bound of what the server can do";
    let lower_bound = if best.is_some() { lower_bound } else { "" };
    // The lowest rate that was believed to miss stands right above the best. Of its steps one at which
    // something went wrong tells more than one that was slow.
    let is_above = |point: &&Point| !point.meets && best.is_none_or(|best| point.rate > best);
    let above = points.iter().filter(is_above);
    let next = above.min_by(|a, b| {
        let is_valid = |point: &Point| point.verdict != Verdict::Invalid;
        let by_rate = a.rate.total_cmp(&b.rate);
        by_rate.then(is_valid(a).cmp(&is_valid(b)))
    });
    let missed = next.map_or(String::new(), |point| {
        format!(
            "at {} messages/s, {}",
            report::rate(point.rate),
            point.why.as_deref().unwrap_or_default()
        )
    });
    let observed = points
        .iter()
        .any(|point| point.server_cpu_ns_per_message.is_some());
    match finding.above {
        Above::Missed(Cause::Server)
            if next.is_some_and(|next| next.verdict == Verdict::Invalid) =>
        {
            (Verdict::Invalid, missed)
        }
        Above::Missed(Cause::Server) if observed => (
            Verdict::ServerBound,
            format!("{missed}, while the generator had CPU time left and held the schedule"),
        ),
        Above::Missed(Cause::Server) => (
            Verdict::Unobserved,
            format!(
                "{missed}, while the generator had CPU time left and held the schedule; the server was \
                 not observed (give --server-pid)"
            ),
        ),
        Above::Missed(Cause::Generator) => (
            Verdict::GeneratorBound,
            format!("{missed}, where the generator could do no more{lower_bound}"),
        ),
        Above::Missed(Cause::Noise) => (
            Verdict::Noisy,
            format!("{missed}, and others took part{lower_bound}"),
        ),
        Above::Range => (
            Verdict::LoadBound,
            format!("every rate up to --to met the objective{lower_bound}"),
        ),
        Above::Unknown if best.is_some() => (
            Verdict::LoadBound,
            format!("the search was not finished{lower_bound}, and was not confirmed"),
        ),
        Above::Unknown => (
            Verdict::Invalid,
            "the search ended before any rate had met the objective".to_owned(),
        ),
    }
}

#[cfg(test)]
#[path = "knee_tests.rs"]
mod tests;

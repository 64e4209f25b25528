//! `--fail-if`: conditions on what a command found, and what came of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::assess::condition::{Condition, Unit, quantile};
use crate::output::document::Status;
use crate::output::document::gate::{GateResult, Outcome};
use crate::output::document::latency::Latency;
use crate::output::junit::{Ending, TestCase, junit};
use crate::output::table::{Table, markdown};
use crate::output::{append_file, appended, check_file, write_file};
use crate::usage::UsageError;

/// When a result is a failure.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct GateOptions {
    /// Fail with exit status 3 if a figure is beyond a bound, or is not known: p99>5ms, rate<49k, cpu>6us,
    /// errors>0; a name that is not known lists those that are; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    pub(crate) fail_if: Vec<Condition>,

    /// Append the result as a table of Markdown, as for "$GITHUB_STEP_SUMMARY"
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,

    /// Write JUnit's XML: a test case for each --fail-if, and one for whether all went well
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// A document that is judged: what came of it, as one of many.
pub(crate) struct Judged<'a> {
    /// Command and URLs, such as `run ws://127.0.0.1:3000`.
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) error: Option<&'a str>,
    pub(crate) gate: &'a [GateResult],
}

/// A figure of the document `D` that a condition may name.
pub(crate) struct Figure<D> {
    name: &'static str,
    unit: Unit,
    /// In the base of the unit; `None` if it is not known.
    of: fn(&D) -> Option<f64>,
    /// What it takes to know it.
    needs: &'static str,
}

impl<D> Figure<D> {
    /// A count or a rate.
    pub(crate) const fn plain(name: &'static str, of: fn(&D) -> Option<f64>) -> Figure<D> {
        let (unit, needs) = (Unit::Plain, "");
        Figure {
            name,
            unit,
            of,
            needs,
        }
    }

    /// A time in nanoseconds.
    pub(crate) const fn time(name: &'static str, of: fn(&D) -> Option<f64>) -> Figure<D> {
        let (unit, needs) = (Unit::Time, "");
        Figure {
            name,
            unit,
            of,
            needs,
        }
    }

    /// What is known of an observed server only.
    pub(crate) const fn of_server(
        name: &'static str,
        unit: Unit,
        of: fn(&D) -> Option<f64>,
    ) -> Figure<D> {
        let needs = " (it needs --server-pid)";
        Figure {
            name,
            unit,
            of,
            needs,
        }
    }
}

/// A distribution of times of the document `D`: its percentiles, `max` and `mean` are figures.
pub(crate) struct Distribution<D> {
    /// What stands before `p99`, such as `handshake-`; nothing for the one that matters most.
    pub(crate) prefix: &'static str,
    pub(crate) of: fn(&D) -> Option<&Latency>,
}

/// How a figure is read out of a document.
type Reading<'a, D> = Box<dyn Fn(&D) -> Option<f64> + 'a>;

/// What a command has figures for.
pub(crate) struct Known<D: 'static> {
    pub(crate) figures: &'static [Figure<D>],
    pub(crate) distributions: &'static [Distribution<D>],
}

impl<D> Known<D> {
    /// The unit of a name and how its figure is read; `None` if there is no such name.
    fn find<'a>(&'a self, name: &str) -> Option<(Unit, Reading<'a, D>)> {
        if let Some(figure) = self.figures.iter().find(|figure| figure.name == name) {
            return Some((figure.unit, Box::new(figure.of)));
        }
        self.distributions.iter().find_map(|distribution| {
            let rest = name.strip_prefix(distribution.prefix)?;
            let quantile = quantile(rest);
            let is_mean = rest == "mean";
            (is_mean || quantile.is_some()).then(|| {
                let of = move |document: &D| {
                    let latency = (distribution.of)(document)?;
                    let latency = Some(latency).filter(|latency| latency.count > 0)?;
                    match quantile {
                        None => Some(latency.mean_ns),
                        Some(quantile) => {
                            let histogram = latency.histogram().ok()?;
                            Some(histogram.value_at_quantile(quantile) as f64)
                        }
                    }
                };
                (Unit::Time, Box::new(of) as Reading<'a, D>)
            })
        })
    }

    /// All names, for whoever wrote another.
    fn names(&self) -> String {
        let figures = self.figures.iter().map(|figure| figure.name.to_owned());
        let distributions = self.distributions.iter().map(|distribution| {
            let prefix = distribution.prefix;
            format!("{prefix}p50 ({prefix}p99.9, any), {prefix}mean, {prefix}max")
        });
        let names: Vec<_> = figures.chain(distributions).collect();
        names.join(", ")
    }
}

impl GateOptions {
    /// Refuses conditions on what the command has no figure for. The error names those that it has.
    pub(crate) fn check<D>(&self, known: &Known<D>) -> Result<(), UsageError> {
        for condition in &self.fail_if {
            let name = &condition.name;
            let why = match known.find(name) {
                None => format!("{name:?} is not known; the names are {}", known.names()),
                Some((unit, _)) if unit != condition.unit => {
                    format!("the bound of {name} is {}", unit.example())
                }
                Some(_) => continue,
            };
            return Err(UsageError(format!("--fail-if {condition}: {why}")));
        }
        self.junit.as_deref().map_or(Ok(()), check_file)?;
        self.summary.as_deref().map_or(Ok(()), check_appended)
    }

    /// Writes the files that were asked for. What cannot be written keeps the other from nobody.
    pub(crate) fn report(
        &self,
        judged: &Judged<'_>,
        table: impl FnOnce() -> Table,
    ) -> anyhow::Result<()> {
        let summary = self
            .summary
            .as_ref()
            .map_or(Ok(()), |path| append_file(path, &summary(judged, table())));
        let junit = self.junit.as_ref().map_or(Ok(()), |path| {
            write_file(
                path,
                &junit(&format!("ringload {}", judged.name), &test_cases(judged)),
            )
        });
        summary.and(junit)
    }

    /// What `document` says about each condition.
    pub(crate) fn judge<D>(&self, known: &Known<D>, document: &D) -> Vec<GateResult> {
        let judge = |condition: &Condition| {
            let name = &condition.name;
            let figure = known.find(name);
            let value = figure.and_then(|(_, of)| of(document));
            let (outcome, reason) = match value {
                None => {
                    let figure = known.figures.iter().find(|figure| figure.name == name);
                    let needs = figure.map_or("", |figure| figure.needs);
                    let reason = format!("{name} is not known: it was not measured{needs}");
                    (Outcome::Failed, reason)
                }
                Some(value) => {
                    let outcome = if condition.holds(value) {
                        Outcome::Failed
                    } else {
                        Outcome::Passed
                    };
                    (outcome, format!("{name} is {}", condition.unit.show(value)))
                }
            };
            GateResult {
                condition: condition.to_string(),
                outcome,
                reason,
            }
        };
        self.fail_if.iter().map(judge).collect()
    }
}

/// Refuses a file that cannot be appended to, before there is anything to say.
fn check_appended(path: &Path) -> Result<(), UsageError> {
    appended(path).map(drop).map_err(|error| {
        let path = path.display();
        let right = "name a file in a directory that exists";
        UsageError(format!(
            "--summary {path} cannot be written ({error}); {right}"
        ))
    })
}

/// Makes a result that went well one that missed what was asked for, if a condition failed.
pub(crate) fn conclude(gate: &[GateResult], status: &mut Status, error: &mut Option<String>) {
    let failed = gate
        .iter()
        .filter(|result| result.outcome == Outcome::Failed);
    let failed: Vec<_> = failed
        .map(|result| format!("--fail-if {}: {}", result.condition, result.reason))
        .collect();
    if *status == Status::Ok && !failed.is_empty() {
        *status = Status::Missed;
        *error = Some(failed.join("; "));
    }
}

/// A heading, what is wrong, the conditions, and the table.
fn summary(judged: &Judged<'_>, table: Table) -> String {
    let state = match judged.status {
        Status::Ok => "ok",
        Status::Failed => "FAILED",
        Status::Interrupted => "interrupted",
        Status::Missed => "FAILED: what was asked for is not met",
    };
    let mut text = format!("### ringload {}: {state}\n\n", markdown(&judged.name));
    if let Some(error) = judged.error {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\n", markdown(error));
    }
    let _ = writeln!(text, "{}", table.into_markdown());
    text
}

fn test_cases(judged: &Judged<'_>) -> Vec<TestCase> {
    let case = |name: &str, failure: Option<(&'static str, &str)>| TestCase {
        group: judged.name.clone(),
        name: name.to_owned(),
        seconds: 0.0,
        ending: failure.map_or(Ending::Passed, |(kind, why)| Ending::Failed {
            kind,
            message: why.to_owned(),
            story: why.to_owned(),
        }),
    };
    let is_over = matches!(judged.status, Status::Failed | Status::Interrupted);
    let failure = is_over.then(|| ("failed", judged.error.unwrap_or_default()));
    let ended = case("all went well", failure);
    let conditions = judged.gate.iter().map(|result| {
        let is_failed = result.outcome == Outcome::Failed;
        case(
            &result.condition,
            is_failed.then_some(("fail-if", &*result.reason)),
        )
    });
    std::iter::once(ended).chain(conditions).collect()
}

/// A condition and what came of it.
pub(crate) fn line(result: &GateResult) -> String {
    let outcome = match result.outcome {
        Outcome::Failed => "FAILED",
        Outcome::Passed => "passed",
        Outcome::Unresolved => "unresolved",
    };
    format!("{}: {outcome}: {}", result.condition, result.reason)
}

/// The rows of a table that say what came of each condition.
pub(crate) fn rows(table: &mut Table, gate: &[GateResult]) {
    for result in gate {
        table.row("--fail-if", line(result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;

    const KNOWN: Known<(Option<f64>, Latency)> = Known {
        figures: &[Figure::of_server("cpu", Unit::Time, |document| document.0)],
        distributions: &[Distribution {
            prefix: "ping-",
            of: |document| Some(&document.1),
        }],
    };

    fn gate(conditions: &[&str]) -> GateOptions {
        let conditions = conditions
            .iter()
            .map(|text| Condition::parse(text).unwrap());
        GateOptions {
            fail_if: conditions.collect(),
            ..GateOptions::default()
        }
    }

    #[test]
    fn what_is_not_known_lists_what_is() {
        let refused = |text| gate(&[text]).check(&KNOWN).unwrap_err().0;
        assert_eq!(
            refused("cqu>1us"),
            "--fail-if cqu>1us: \"cqu\" is not known; the names are cpu, ping-p50 (ping-p99.9, any), \
             ping-mean, ping-max"
        );
        assert!(refused("p99>1ms").contains("is not known"));
        assert!(refused("cpu>6").contains("the bound of cpu is a time with its unit"));
        assert!(gate(&["cpu>6us", "ping-p99.9<1s"]).check(&KNOWN).is_ok());
    }

    #[test]
    fn a_figure_beyond_its_bound_or_unknown_is_a_failure() {
        let mut histogram = latency_histogram();
        let none = (None, Latency::of(&histogram));
        (1..=100).for_each(|us| histogram.saturating_record(us * 1000));
        let some = (Some(7_000.0), Latency::of(&histogram));
        let gate = gate(&["cpu>6us", "ping-max>1ms", "ping-p50<1us", "ping-mean<1ms"]);
        let outcomes = |document| {
            let gate = gate.judge(&KNOWN, document);
            gate.iter().map(|result| result.outcome).collect::<Vec<_>>()
        };
        use Outcome::{Failed, Passed};
        assert_eq!(outcomes(&some), [Failed, Passed, Passed, Failed]);
        assert_eq!(outcomes(&none), [Failed; 4]);

        let (mut status, mut error) = (Status::Ok, None);
        conclude(&gate.judge(&KNOWN, &some), &mut status, &mut error);
        assert_eq!(status, Status::Missed);
        let error = error.unwrap();
        assert!(
            error.starts_with(
                "--fail-if cpu>6us: cpu is 7.00 µs; --fail-if ping-mean<1ms: ping-mean is 50."
            ),
            "{error}"
        );
        // What went wrong says more than what is missed.
        let (mut status, mut error) = (Status::Failed, Some("died".to_owned()));
        conclude(&gate.judge(&KNOWN, &none), &mut status, &mut error);
        assert_eq!((status, error.as_deref()), (Status::Failed, Some("died")));
        let unknown = &gate.judge(&KNOWN, &none)[0];
        assert_eq!(
            line(unknown),
            "cpu>6us: FAILED: cpu is not known: it was not measured (it needs --server-pid)"
        );
    }
}

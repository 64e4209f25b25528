//! `--fail-if`: conditions on what a command found, and what came of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::assess::condition::Condition;
use crate::output::figures::{find, names};
use crate::output::junit::{Ending, TestCase, junit};
use crate::output::table::{Table, markdown};
use crate::output::{append_file, appended, check_file, write_file};
use crate::result::gate::{GateResult, Outcome};
use crate::result::{Document, Status};
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

impl GateOptions {
    /// Refuses conditions on what a document of this kind has no figure for. The error names those that it has.
    pub(crate) fn check(&self, kind: &str) -> Result<(), UsageError> {
        for condition in &self.fail_if {
            let name = &condition.name;
            let why = match find(kind, name) {
                None => format!("{name:?} is not known; the names are {}", names(kind)),
                Some((unit, _)) if unit != condition.unit => {
                    format!("the bound of {name} is {}", unit.example())
                }
                Some(_) => continue,
            };
            return Err(UsageError(format!("--fail-if {condition}: {why}")));
        }
        self.check_files()
    }

    /// Refuses files that cannot be written.
    pub(crate) fn check_files(&self) -> Result<(), UsageError> {
        self.junit.as_deref().map_or(Ok(()), check_file)?;
        self.summary.as_deref().map_or(Ok(()), check_appended)
    }

    /// Writes the files that were asked for. What cannot be written keeps the other from nobody.
    pub(crate) fn report(
        &self,
        document: &Document,
        table: impl FnOnce() -> Table,
    ) -> anyhow::Result<()> {
        let name = format!(
            "{} {}",
            document.outcome.kind(),
            document.load.urls.join(" ")
        );
        let summary = self.summary.as_ref().map_or(Ok(()), |path| {
            append_file(path, &summary(&name, document, table()))
        });
        let junit = self.junit.as_ref().map_or(Ok(()), |path| {
            let cases = test_cases(&name, document);
            write_file(path, &junit(&format!("ringload {name}"), &cases))
        });
        summary.and(junit)
    }

    /// Judges `document` by each condition; one that went well and misses what was asked for says so.
    pub(crate) fn judge(&self, document: &mut Document) {
        let kind = document.outcome.kind();
        let judge = |condition: &Condition| {
            let name = &condition.name;
            let value = find(kind, name).and_then(|(_, of)| of(document));
            let (is_failed, reason) = match value {
                Some(value) => (
                    condition.holds(value),
                    format!("{name} is {}", condition.unit.show(value)),
                ),
                None => {
                    let needs_pid = document.load.server_pids.is_empty()
                        && ["cpu", "memory"].contains(&name.as_str());
                    let needs = if needs_pid {
                        " (it needs --server-pid)"
                    } else {
                        ""
                    };
                    let reason = format!("{name} is not known: it was not measured{needs}");
                    (true, reason)
                }
            };
            GateResult {
                condition: condition.to_string(),
                outcome: if is_failed {
                    Outcome::Failed
                } else {
                    Outcome::Passed
                },
                reason,
            }
        };
        let gate: Vec<_> = self.fail_if.iter().map(judge).collect();
        let failed: Vec<_> = gate
            .iter()
            .filter(|result| result.outcome == Outcome::Failed)
            .map(|result| format!("--fail-if {}: {}", result.condition, result.reason))
            .collect();
        if document.status == Status::Ok && !failed.is_empty() {
            document.status = Status::Missed;
            document.error = Some(failed.join("; "));
        }
        document.gate = gate;
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

/// A heading, what is wrong, the conditions, and the table.
fn summary(name: &str, document: &Document, table: Table) -> String {
    let state = match document.status {
        Status::Ok => "ok",
        Status::Failed => "FAILED",
        Status::Interrupted => "interrupted",
        Status::Missed => "FAILED: what was asked for is not met",
    };
    let mut text = format!("### ringload {}: {state}\n\n", markdown(name));
    if let Some(error) = &document.error {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\n", markdown(error));
    }
    let _ = writeln!(text, "{}", table.into_markdown());
    text
}

fn test_cases(group: &str, document: &Document) -> Vec<TestCase> {
    let case = |name: &str, failure: Option<(&'static str, &str)>| TestCase {
        group: group.to_owned(),
        name: name.to_owned(),
        seconds: 0.0,
        ending: failure.map_or(Ending::Passed, |(kind, why)| Ending::Failed {
            kind,
            message: why.to_owned(),
            story: why.to_owned(),
        }),
    };
    let is_over = matches!(document.status, Status::Failed | Status::Interrupted);
    let failure = is_over.then(|| ("failed", document.error.as_deref().unwrap_or_default()));
    let ended = case("all went well", failure);
    let conditions = document.gate.iter().map(|result| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::figures::Figures;
    use crate::result::latency::Latency;
    use crate::result::load::Load;
    use crate::result::{Checks, Outcome as Kind};

    fn gate(conditions: &[&str]) -> GateOptions {
        let conditions = conditions
            .iter()
            .map(|text| Condition::parse(text).unwrap());
        GateOptions {
            fail_if: conditions.collect(),
            ..GateOptions::default()
        }
    }

    fn document(status: Status, figures: Option<Figures>) -> Document {
        let error = (status == Status::Failed).then(|| "died".to_owned());
        let outcome = Kind::Run(figures.map(Box::new));
        Document::new((status, error), Load::default(), Checks::default(), outcome)
    }

    #[test]
    fn what_is_not_known_lists_what_is() {
        let refused = |text| gate(&[text]).check("idle").unwrap_err().0;
        assert_eq!(
            refused("cqu>1us"),
            "--fail-if cqu>1us: \"cqu\" is not known; the names are growth, kept, memory, connections, errors"
        );
        assert!(refused("p99>1ms").contains("is not known"));
        assert!(refused("memory>6").contains("the bound of memory is a size with its unit"));
        for kind in ["run", "churn", "merge"] {
            let known = [
                "cpu>6us",
                "p99.9<1s",
                "send-lag-max<1s",
                "lateness-p99<1s",
                "throughput<1",
            ];
            assert!(gate(&known).check(kind).is_ok(), "{kind}");
        }
        assert!(gate(&["knee<1", "p99.9<1s"]).check("capacity").is_ok());
        assert!(gate(&["handshake-p90<1s"]).check("run").is_err());
    }

    #[test]
    fn a_figure_beyond_its_bound_or_unknown_is_a_failure() {
        let mut histogram = crate::echo::tally::latency_histogram();
        (1..=100).for_each(|us| histogram.saturating_record(us * 1000));
        let figures = Figures {
            completed_per_second: 7_000.0,
            ping: Some(Latency::of(&histogram)),
            ..Figures::default()
        };
        let conditions = [
            "rate<8k",
            "ping-max>1ms",
            "ping-p50<1us",
            "ping-mean<1ms",
            "cpu>1s",
        ];
        let judge = |mut document: Document| {
            gate(&conditions).judge(&mut document);
            document
        };
        let some = judge(document(Status::Ok, Some(figures)));
        use Outcome::{Failed, Passed};
        let outcomes = |document: &Document| {
            let gate = document.gate.iter();
            gate.map(|result| result.outcome).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(&some), [Failed, Passed, Passed, Failed, Failed]);
        assert_eq!(some.status, Status::Missed);
        let error = some.error.unwrap();
        assert!(
            error.starts_with(
                "--fail-if rate<8k: rate is 7,000; --fail-if ping-mean<1ms: ping-mean is 50."
            ),
            "{error}"
        );
        assert_eq!(
            line(&some.gate[4]),
            "cpu>1s: FAILED: cpu is not known: it was not measured (it needs --server-pid)"
        );
        // What went wrong says more than what is missed.
        let none = judge(document(Status::Failed, None));
        assert_eq!(outcomes(&none), [Failed; 5]);
        assert_eq!(
            (none.status, none.error.as_deref()),
            (Status::Failed, Some("died"))
        );
    }
}

//! `--fail-if`: conditions on what a command found, and what came of them.

use std::path::PathBuf;

use clap::Args;

use crate::assess::condition::Condition;
use crate::output::figures::{find, names};
use crate::output::junit::{Ending, TestCase, junit};
use crate::output::table::{Table, markdown};
use crate::output::{append_file, check_appended, check_file, write_file};
use crate::result::gate::GateResult;
use crate::result::gate::Outcome::{Failed, Passed, Unresolved};
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
            let why = match find(kind, name, None) {
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
        let urls = document.load.urls.join(" ");
        let name = format!("{} {urls}", document.outcome.kind());
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
        let gate = self.fail_if.iter().map(|it| judge(it, document));
        let gate: Vec<_> = gate.collect();
        let failed = gate.iter().filter(|it| it.outcome == Failed);
        let failed = failed.map(|it| format!("--fail-if {}: {}", it.condition, it.reason));
        let failed: Vec<_> = failed.collect();
        if document.status == Status::Ok && !failed.is_empty() {
            document.status = Status::Missed;
            document.error = Some(failed.join("; "));
        }
        document.gate = gate;
    }
}

/// What `document` says about a condition: what is not known is a failure.
fn judge(condition: &Condition, document: &Document) -> GateResult {
    let name = &condition.name;
    let found = find(document.outcome.kind(), name, Some(document));
    let value = found.and_then(|(_, value)| value);
    let is_failed = value.is_none_or(|value| condition.holds(value));
    let needs_pid = matches!(name.as_str(), "cpu" | "memory");
    let needs = if needs_pid && document.load.server_pids.is_empty() {
        " (it needs --server-pid)"
    } else {
        ""
    };
    GateResult {
        condition: condition.to_string(),
        outcome: if is_failed { Failed } else { Passed },
        reason: match value {
            Some(value) => format!("{name} is {}", condition.unit.show(value)),
            None => format!("{name} is not known: it was not measured{needs}"),
        },
    }
}

/// A heading, what is wrong, the conditions, and the table.
fn summary(name: &str, document: &Document, table: Table) -> String {
    let state = match document.status {
        Status::Ok => "ok",
        Status::Failed => "FAILED",
        Status::Interrupted => "interrupted",
        Status::Missed => "FAILED: what was asked for is not met",
    };
    let error = document.error.as_deref().map(markdown);
    let error = error.map(|error| error + "\n\n").unwrap_or_default();
    let (name, table) = (markdown(name), table.into_markdown());
    format!("### ringload {name}: {state}\n\n{error}{table}\n")
}

/// One for whether all went well, and one for each condition.
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
    let error = document.error.as_deref().unwrap_or_default();
    let ended = case("all went well", is_over.then_some(("failed", error)));
    let conditions = document.gate.iter().map(|it| {
        let is_failed = it.outcome == Failed;
        case(&it.condition, is_failed.then_some(("fail-if", &*it.reason)))
    });
    std::iter::once(ended).chain(conditions).collect()
}

/// A condition and what came of it.
pub(crate) fn line(result: &GateResult) -> String {
    let outcome = match result.outcome {
        Failed => "FAILED",
        Passed => "passed",
        Unresolved => "unresolved",
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

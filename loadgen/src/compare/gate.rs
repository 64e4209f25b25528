//! What is compared, and when a difference is a failure.

use std::fmt;

use crate::assess::condition::{Condition as Written, Side, Unit};
use crate::assess::estimate::{Estimate, ROUNDS_TO_DECIDE};
use crate::compare::document::Figures;
use crate::result::gate::{GateResult, Outcome};

/// What two servers can differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Messages per second.
    Throughput,
    /// The server's CPU time per message.
    Cpu,
    /// Median latency.
    P50,
    /// 99th percentile of latency.
    P99,
}

/// All of them, in the order in which they are reported.
pub(crate) const METRICS: [Metric; 4] = [Metric::Throughput, Metric::Cpu, Metric::P50, Metric::P99];

impl Metric {
    /// Short name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Metric::Throughput => "throughput",
            Metric::Cpu => "cpu",
            Metric::P50 => "p50",
            Metric::P99 => "p99",
        }
    }

    /// Its value in one run, if that has one.
    pub(crate) fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Metric::Throughput => Some(figures.messages_per_second),
            Metric::Cpu => figures.server_cpu_ns_per_message,
            Metric::P50 => Some(figures.latency.p50_ns as f64),
            Metric::P99 => Some(figures.latency.p99_ns as f64),
        }
    }
}

/// A condition of `--fail-if`: `cpu>1.05`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) metric: Metric,
    /// The bound is a ratio.
    written: Written,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

impl Condition {
    /// Reads one. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Condition, String> {
        let written = Written::parse(text)?;
        let metric = METRICS
            .into_iter()
            .find(|metric| metric.name() == written.name)
            .or((written.name == "rate").then_some(Metric::Throughput))
            .ok_or_else(|| {
                let name = &written.name;
                format!("{name:?} is not compared; the metrics are throughput, cpu, p50 and p99")
            })?;
        if written.unit != Unit::Plain || written.bound <= 0.0 {
            return Err("the bound is a ratio of B to A above 0, such as 1.05".to_owned());
        }
        Ok(Condition { metric, written })
    }

    /// What `estimate` says about it.
    ///
    /// It holds if the estimate is beyond the bound and the interval leaves no doubt that there is a
    /// difference at all: the whole of it is beyond 1. If the bound itself is on the other side of 1,
    /// as in `cpu>0.9`, which asks for a gain, the whole interval must be beyond the bound. It does not
    /// hold if the whole interval is on this side of the bound.
    ///
    /// `held` says whether the generator was the limit of A and of B in each round: throughput that the generator held down is that of
    /// neither.
    pub(crate) fn judge(&self, estimate: Option<Estimate>, held: &[[bool; 2]]) -> GateResult {
        let held_down = match self.metric {
            Metric::Throughput => held_down(held),
            Metric::Cpu | Metric::P50 | Metric::P99 => None,
        };
        let (outcome, reason) = match (estimate, held_down) {
            (None, _) => (
                Outcome::Unresolved,
                format!("no round has a ratio of {}", self.metric.name()),
            ),
            (Some(_), Some(why)) => (Outcome::Unresolved, why),
            (Some(estimate), None) => self.outcome(estimate),
        };
        GateResult {
            condition: self.to_string(),
            outcome,
            reason,
        }
    }

    fn outcome(&self, estimate: Estimate) -> (Outcome, String) {
        let Estimate {
            ratio,
            low,
            high,
            rounds,
        } = estimate;
        let found = format!("{ratio:.3} [{low:.3}, {high:.3}]");
        if !estimate.is_of_enough_rounds() {
            let why =
                format!("{rounds} rounds settle nothing, {ROUNDS_TO_DECIDE} may; they say {found}");
            return (Outcome::Unresolved, why);
        }
        let bound = self.written.bound;
        let is_beyond = self.written.holds(ratio);
        let (is_certain, is_clear) = match self.written.side {
            Side::Above => (low > bound.min(1.0), high <= bound),
            Side::Below => (high < bound.max(1.0), low >= bound),
        };
        if is_beyond && is_certain {
            (Outcome::Failed, format!("the ratio is {found}"))
        } else if is_clear {
            (Outcome::Passed, format!("the ratio is {found}"))
        } else {
            let why =
                format!("the rounds cannot tell: the ratio is {found}; more rounds narrow it");
            (Outcome::Unresolved, why)
        }
    }
}

/// Why the rounds' throughput is not the servers', unless it is.
fn held_down(held: &[[bool; 2]]) -> Option<String> {
    let count = |side: usize| held.iter().filter(|round| round[side]).count();
    let (a, b, rounds) = (count(0), count(1), held.len());
    (a + b > 0).then(|| {
        format!(
            "of {rounds} rounds, A was generator-bound in {a} and B in {b}: throughput there is a lower bound, \
             and its ratio tells nothing; give the generator more CPUs or the servers less, or judge cpu"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(condition: &str, ratio: f64, low: f64, high: f64) -> Outcome {
        let estimate = Estimate {
            ratio,
            low,
            high,
            rounds: 15,
        };
        let condition = Condition::parse(condition).unwrap();
        condition.judge(Some(estimate), &[]).outcome
    }

    #[test]
    fn throughput_that_the_generator_held_down_settles_nothing() {
        let estimate = Estimate {
            ratio: 0.5,
            low: 0.49,
            high: 0.51,
            rounds: 15,
        };
        let judge = |condition: &str, last| {
            let mut held = vec![[false; 2]; 14];
            held.push(last);
            let condition = Condition::parse(condition).unwrap();
            condition.judge(Some(estimate), &held)
        };
        let fine = [false, false];
        assert_eq!(judge("throughput<0.95", fine).outcome, Outcome::Failed);
        for (last, phrase) in [
            ([true, false], "A was generator-bound in 1 and B in 0"),
            ([false, true], "A was generator-bound in 0 and B in 1"),
        ] {
            for condition in ["throughput<0.95", "throughput>1.2"] {
                let result = judge(condition, last);
                assert_eq!(result.outcome, Outcome::Unresolved);
                assert!(result.reason.contains(phrase), "{result:?}");
            }
            // What a message costs holds all the same.
            assert_eq!(judge("cpu<0.95", last).outcome, Outcome::Failed);
        }
    }

    #[test]
    fn conditions_are_ratios_of_what_is_compared() {
        for text in ["cpu>1.05", "throughput<0.95", "p99>2", "p50<0.5"] {
            assert_eq!(Condition::parse(text).unwrap().to_string(), text);
        }
        let spaced = Condition::parse(" cpu > 1.05").unwrap();
        assert_eq!(spaced.to_string(), "cpu>1.05");
        let rate = Condition::parse("rate<0.9").unwrap();
        assert_eq!(rate.metric, Metric::Throughput);
        for wrong in [
            "", "cpu", "cpu=1", "cpu>", "cpu>x", "cpu>0", "cpu>-1", "cpu>NaN", "cpu>inf", "rss>1",
            "p99>5ms", "rss>1KiB",
        ] {
            assert!(Condition::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_loss_fails_once_it_is_certain_that_it_is_one() {
        use Outcome::{Failed, Passed, Unresolved};
        for (ratio, low, high, expected) in [
            (1.10, 1.06, 1.14, Failed),
            // Beyond the bound, and certainly a loss, if not certainly so large a one.
            (1.06, 1.01, 1.11, Failed),
            (1.06, 0.99, 1.13, Unresolved),
            (1.02, 0.98, 1.06, Unresolved),
            (1.02, 1.00, 1.04, Passed),
            (0.50, 0.49, 0.51, Passed),
        ] {
            assert_eq!(outcome("cpu>1.05", ratio, low, high), expected, "{ratio}");
        }
        assert_eq!(outcome("throughput<0.95", 0.90, 0.85, 0.99), Failed);
        assert_eq!(outcome("throughput<0.95", 0.90, 0.85, 1.01), Unresolved);
        assert_eq!(outcome("throughput<0.95", 1.00, 0.96, 1.04), Passed);
    }

    #[test]
    fn a_gain_that_is_asked_for_fails_only_if_all_of_the_interval_misses_it() {
        assert_eq!(outcome("cpu>0.9", 0.95, 0.91, 0.99), Outcome::Failed);
        assert_eq!(outcome("cpu>0.9", 0.95, 0.89, 1.01), Outcome::Unresolved);
        assert_eq!(outcome("cpu>0.9", 0.85, 0.81, 0.89), Outcome::Passed);
        assert_eq!(outcome("throughput<1.2", 1.1, 1.0, 1.19), Outcome::Failed);
        assert_eq!(
            outcome("throughput<1.2", 1.1, 1.0, 1.21),
            Outcome::Unresolved
        );
    }

    #[test]
    fn too_few_rounds_or_none_settle_nothing() {
        let condition = Condition::parse("cpu>1.05").unwrap();
        assert_eq!(condition.judge(None, &[]).outcome, Outcome::Unresolved);
        let few = Estimate {
            ratio: 2.0,
            low: 2.0,
            high: 2.0,
            rounds: ROUNDS_TO_DECIDE - 1,
        };
        let result = condition.judge(Some(few), &[]);
        assert_eq!(result.outcome, Outcome::Unresolved);
        assert!(
            result.reason.contains("5 rounds settle nothing"),
            "{result:?}"
        );
    }
}

//! What is compared, and when a difference is a failure.

use crate::assess::condition::{Condition as Written, Side, Unit};
use crate::assess::estimate::{Estimate, ROUNDS_TO_DECIDE};
use crate::assess::finding::{Comparable, Finding, Id};
use crate::result::compare::{Round, RoundFigures};
use crate::result::gate::{GateResult, Outcome};

/// What two servers can differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
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
pub(super) const METRICS: [Metric; 4] = [Metric::Throughput, Metric::Cpu, Metric::P50, Metric::P99];

impl Metric {
    /// Short name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Metric::Throughput => "throughput",
            Metric::Cpu => "cpu",
            Metric::P50 => "p50",
            Metric::P99 => "p99",
        }
    }

    /// What stands before its figures in the table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Metric::Throughput => "messages/s",
            Metric::Cpu => "CPU µs/message",
            Metric::P50 => "p50 µs",
            Metric::P99 => "p99 µs",
        }
    }

    /// Its value in one run, if that has one.
    pub(super) fn of(self, figures: &RoundFigures) -> Option<f64> {
        match self {
            Metric::Throughput => Some(figures.completed_per_second),
            Metric::Cpu => figures.server_cpu_ns_each,
            Metric::P50 => Some(figures.latency.p50_ns as f64),
            Metric::P99 => Some(figures.latency.p99_ns as f64),
        }
    }

    /// What the rounds say about the ratio B/A.
    pub(super) fn estimate(self, rounds: &[Round]) -> Option<Estimate> {
        let ratio = |round: &Round| Some(self.of(&round.b)? / self.of(&round.a)?);
        Estimate::of(rounds.iter().filter_map(ratio), METRICS.len())
    }

    /// Why it is not compared, if the figures of some round are not the server's.
    pub(super) fn obstacle(self, rounds: &[Round]) -> Option<String> {
        let count = |side: fn(&Round) -> &RoundFigures| {
            let is_wrong = |round: &&Round| !self.is_comparable(&side(round).findings);
            rounds.iter().filter(is_wrong).count()
        };
        let (a, b, all) = (
            count(|round| &round.a),
            count(|round| &round.b),
            rounds.len(),
        );
        (a + b > 0).then(|| {
            format!(
                "of {all} rounds the generator was the limit, or the rate not held, in {a} of A and {b} of B, where \
                 {} is not the server's; give the generator more CPUs or ask for less, or judge cpu",
                self.name()
            )
        })
    }

    /// What disturbs the machine counts for nothing here: it meets A and B alike, in random order, and is part of the
    /// interval.
    fn is_comparable(self, findings: &[Finding]) -> bool {
        let disturbing = [Id::Steal, Id::CpuShared, Id::Unsteady, Id::CpuUnsteady];
        let lasting = findings.iter().filter(|it| !disturbing.contains(&it.id));
        let comparable = Comparable::of(&lasting.cloned().collect::<Vec<_>>());
        match self {
            Metric::Throughput => comparable.throughput,
            Metric::Cpu => comparable.cpu,
            Metric::P50 | Metric::P99 => comparable.latency,
        }
    }
}

/// A condition of `--fail-if`: `cpu>1.05`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) metric: Metric,
    /// The bound is a ratio.
    written: Written,
}

impl Condition {
    /// What is asked of a ratio. The error says what would be right.
    pub(super) fn of(written: &Written) -> Result<Condition, String> {
        let name = match written.name.as_str() {
            "rate" => "throughput",
            name => name,
        };
        let metric = METRICS.into_iter().find(|metric| metric.name() == name);
        let metric = metric.ok_or_else(|| {
            format!("{name:?} is not compared; the metrics are throughput, cpu, p50 and p99")
        })?;
        if written.unit != Unit::Plain || written.bound <= 0.0 {
            return Err("the bound is a ratio of B to A above 0, such as 1.05".to_owned());
        }
        let written = written.clone();
        Ok(Condition { metric, written })
    }

    /// What `estimate` says about it, unless there is an `obstacle`.
    ///
    /// It holds if the estimate is beyond the bound and the interval leaves no doubt that there is a
    /// difference at all: the whole of it is beyond 1. If the bound itself is on the other side of 1,
    /// as in `cpu>0.9`, which asks for a gain, the whole interval must be beyond the bound. It does not
    /// hold if the whole interval is on this side of the bound.
    pub(super) fn judge(&self, estimate: Option<Estimate>, obstacle: Option<String>) -> GateResult {
        let (outcome, reason) = match (estimate, obstacle) {
            (None, _) => {
                let why = format!("no round has a ratio of {}", self.metric.name());
                (Outcome::Unresolved, why)
            }
            (Some(_), Some(why)) => (Outcome::Unresolved, why),
            (Some(estimate), None) => self.outcome(estimate),
        };
        GateResult {
            condition: self.written.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;
    use crate::result::latency::Latency;

    fn condition(text: &str) -> Result<Condition, String> {
        Condition::of(&Written::parse(text)?)
    }

    fn outcome(text: &str, ratio: f64, low: f64, high: f64) -> Outcome {
        let estimate = Estimate {
            ratio,
            low,
            high,
            rounds: 15,
        };
        let judged = condition(text).unwrap().judge(Some(estimate), None);
        judged.outcome
    }

    fn figures(found: &[Id]) -> RoundFigures {
        let finding = |id: &Id| Finding {
            id: *id,
            value: 1.0,
            limit: 0.0,
            unit: String::new(),
            means: String::new(),
        };
        RoundFigures {
            window_start_unix_seconds: 0.0,
            window_seconds: 1.0,
            completed_per_second: 1.0,
            server_cpu_ns_each: Some(1.0),
            generator_cpu_ns_each: Some(1.0),
            latency: Latency::of(&latency_histogram()),
            steal_percent: None,
            others_percent: None,
            findings: found.iter().map(finding).collect(),
        }
    }

    #[test]
    fn what_the_generator_held_down_is_not_compared_and_what_a_message_costs_is() {
        let obstacle = |metric: Metric, a: &[Id], b: &[Id]| {
            let fine = [&[Id::ServerSaturated][..], &[Id::Steal, Id::Unsteady]];
            let rounds: Vec<_> = [fine, [a, b]]
                .iter()
                .map(|[a, b]| Round {
                    round: 1,
                    order: "ab".to_owned(),
                    a: figures(a),
                    b: figures(b),
                })
                .collect();
            metric.obstacle(&rounds)
        };
        for metric in [Metric::Throughput, Metric::P50, Metric::P99] {
            let held = obstacle(metric, &[], &[Id::GeneratorSaturated]).unwrap();
            assert!(held.contains("in 0 of A and 1 of B"), "{held}");
            assert_eq!(obstacle(metric, &[], &[]), None);
        }
        assert_eq!(obstacle(Metric::Cpu, &[Id::GeneratorSaturated], &[]), None);
        assert!(obstacle(Metric::P99, &[Id::Backlog], &[]).is_some());
        assert_eq!(obstacle(Metric::Throughput, &[Id::Backlog], &[]), None);
        // Whatever it is, it settles nothing then.
        let estimate = Metric::Cpu.estimate(&[]);
        assert_eq!(estimate, None);
        let told = condition("p50>1.1").unwrap();
        let beyond = Estimate {
            ratio: 2.0,
            low: 1.9,
            high: 2.1,
            rounds: 15,
        };
        let judged = told.judge(Some(beyond), Some("held".to_owned()));
        assert_eq!(
            (judged.outcome, &*judged.reason),
            (Outcome::Unresolved, "held")
        );
    }

    #[test]
    fn conditions_are_ratios_of_what_is_compared() {
        for text in ["cpu>1.05", "throughput<0.95", "p99>2", "p50<0.5"] {
            assert_eq!(condition(text).unwrap().written.to_string(), text);
        }
        let rate = condition("rate<0.9").unwrap();
        assert_eq!(rate.metric, Metric::Throughput);
        for wrong in [
            "", "cpu", "cpu=1", "cpu>", "cpu>x", "cpu>0", "cpu>-1", "cpu>NaN", "cpu>inf", "rss>1",
            "p99>5ms", "rss>1KiB",
        ] {
            assert!(condition(wrong).is_err(), "{wrong:?}");
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
        let condition = condition("cpu>1.05").unwrap();
        assert_eq!(condition.judge(None, None).outcome, Outcome::Unresolved);
        let few = Estimate {
            ratio: 2.0,
            low: 2.0,
            high: 2.0,
            rounds: ROUNDS_TO_DECIDE - 1,
        };
        let result = condition.judge(Some(few), None);
        assert_eq!(result.outcome, Outcome::Unresolved);
        assert!(
            result.reason.contains("5 rounds settle nothing"),
            "{result:?}"
        );
    }
}

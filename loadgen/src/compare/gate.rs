//! What is compared, and when a difference is a failure.

use crate::assess::condition::{Condition, Side, Unit};
use crate::assess::estimate::{Estimate, ROUNDS_TO_DECIDE, confidence_percent};
use crate::assess::finding::{Comparable, Finding, Id};
use crate::result::compare::{Ratio, Round, RoundFigures};
use crate::result::gate::{GateResult, Outcome};

/// What two servers can differ in.
pub(super) struct Metric {
    /// What it is called in conditions and documents.
    pub(super) name: &'static str,
    /// And in a sentence.
    pub(super) words: &'static str,
    /// What stands before its figures in the table, what they are divided by there, and their decimals.
    pub(super) shown: (&'static str, f64, usize),
    /// Its value in one run, if that has one.
    pub(super) of: fn(&RoundFigures) -> Option<f64>,
    /// Whether it may be compared.
    is_comparable: fn(Comparable) -> bool,
}

/// All of them, in the order in which they are reported.
pub(super) static METRICS: [Metric; 4] = [
    Metric {
        name: "throughput",
        words: "throughput",
        shown: ("messages/s", 1.0, 0),
        of: |figures| Some(figures.completed_per_second),
        is_comparable: |comparable| comparable.throughput,
    },
    Metric {
        name: "cpu",
        words: "CPU time per message",
        shown: ("CPU µs/message", 1e3, 3),
        of: |figures| figures.server_cpu_ns_each,
        is_comparable: |comparable| comparable.cpu,
    },
    Metric {
        name: "p50",
        words: "median latency",
        shown: ("p50 µs", 1e3, 1),
        of: |figures| Some(figures.latency.p50_ns as f64),
        is_comparable: |comparable| comparable.latency,
    },
    Metric {
        name: "p99",
        words: "99th percentile of latency",
        shown: ("p99 µs", 1e3, 1),
        of: |figures| Some(figures.latency.p99_ns as f64),
        is_comparable: |comparable| comparable.latency,
    },
];

impl Metric {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<&'static Metric> {
        METRICS.iter().find(|metric| metric.name == name)
    }

    /// The one whose ratio `--fail-if` asks about: `cpu>1.05`; `has_rate` if both get the same rate. The error says
    /// what would be right.
    pub(super) fn asked(condition: &Condition, has_rate: bool) -> Result<&'static Metric, String> {
        let name = match condition.name.as_str() {
            "rate" => "throughput",
            name => name,
        };
        let metric = Metric::named(name).ok_or_else(|| {
            format!("{name:?} is not compared; the metrics are throughput, cpu, p50 and p99")
        })?;
        if condition.unit != Unit::Plain || condition.bound <= 0.0 {
            return Err("the bound is a ratio of B to A above 0, such as 1.05".to_owned());
        }
        if has_rate && metric.name == "throughput" {
            let why = "at a --rate both have that throughput, whatever they are; judge cpu, p50 or p99, or leave \
                       out --rate";
            return Err(why.to_owned());
        }
        Ok(metric)
    }

    /// What the rounds say about the ratio B/A.
    pub(super) fn estimate(&self, rounds: &[Round]) -> Option<Estimate> {
        let ratio = |round: &Round| Some((self.of)(&round.b)? / (self.of)(&round.a)?);
        Estimate::of(rounds.iter().filter_map(ratio), METRICS.len())
    }

    /// Why it is not compared, if the figures of some round are not the server's.
    pub(super) fn obstacle(&self, rounds: &[Round]) -> Option<String> {
        let is_wrong = |figures: &RoundFigures| !(self.is_comparable)(comparable(figures));
        let a = rounds.iter().filter(|round| is_wrong(&round.a)).count();
        let b = rounds.iter().filter(|round| is_wrong(&round.b)).count();
        (a + b > 0).then(|| {
            format!(
                "of {} rounds the generator was the limit, or the rate not held, in {a} of A and {b} of B, where {} is \
                 not the server's; give the generator more CPUs or ask for less, or judge cpu",
                rounds.len(),
                self.name
            )
        })
    }

    /// How B differs from A in it.
    pub(super) fn ratio(&self, rounds: &[Round]) -> Option<Ratio> {
        let estimate = self.estimate(rounds)?;
        let (verdict, reason) = match self.obstacle(rounds) {
            Some(obstacle) => ("not compared", Some(obstacle)),
            None if !estimate.is_resolved() => ("unresolved", Some(unresolved(&estimate))),
            None if estimate.ratio > 1.0 => ("b is higher", None),
            None => ("b is lower", None),
        };
        Some(Ratio {
            metric: self.name.to_owned(),
            estimate: estimate.ratio,
            low: estimate.low,
            high: estimate.high,
            confidence_percent: confidence_percent(METRICS.len()),
            rounds: estimate.rounds,
            verdict: verdict.to_owned(),
            reason,
        })
    }

    /// What `estimate` says about a condition on it, unless there is an `obstacle`.
    pub(super) fn judge(
        &self,
        condition: &Condition,
        estimate: Option<Estimate>,
        obstacle: Option<String>,
    ) -> GateResult {
        let judged = match (estimate, obstacle) {
            (None, _) => Err(format!("no round has a ratio of {}", self.name)),
            (Some(_), Some(why)) => Err(why),
            (Some(estimate), None) => outcome(condition, &estimate),
        };
        let (outcome, reason) = judged.unwrap_or_else(|why| (Outcome::Unresolved, why));
        GateResult {
            condition: condition.to_string(),
            outcome,
            reason,
        }
    }
}

/// Whether a condition holds, and the ratio; the error is why it is not resolved.
///
/// It holds if the estimate is beyond the bound and the interval leaves no doubt that there is a
/// difference at all: the whole of it is beyond 1. If the bound itself is on the other side of 1,
/// as in `cpu>0.9`, which asks for a gain, the whole interval must be beyond the bound. It does not
/// hold if the whole interval is on this side of the bound.
fn outcome(condition: &Condition, estimate: &Estimate) -> Result<(Outcome, String), String> {
    let (low, high, bound) = (estimate.low, estimate.high, condition.bound);
    let found = format!("{:.3} [{low:.3}, {high:.3}]", estimate.ratio);
    if !estimate.is_of_enough_rounds() {
        let rounds = estimate.rounds;
        return Err(format!(
            "{rounds} rounds settle nothing, {ROUNDS_TO_DECIDE} may; they say {found}"
        ));
    }
    let (is_certain, is_clear) = match condition.side {
        Side::Above => (low > bound.min(1.0), high <= bound),
        Side::Below => (high < bound.max(1.0), low >= bound),
    };
    if condition.holds(estimate.ratio) && is_certain {
        Ok((Outcome::Failed, format!("the ratio is {found}")))
    } else if is_clear {
        Ok((Outcome::Passed, format!("the ratio is {found}")))
    } else {
        Err(format!(
            "the rounds cannot tell: the ratio is {found}; more rounds narrow it"
        ))
    }
}

/// Why the rounds leave a ratio open.
pub(super) fn unresolved(estimate: &Estimate) -> String {
    let (low, high, rounds) = (estimate.low, estimate.high, estimate.rounds);
    if estimate.is_of_enough_rounds() {
        format!("the rounds cannot tell A and B apart ({low:.3} to {high:.3})")
    } else {
        format!("it takes {ROUNDS_TO_DECIDE} rounds at least, and {rounds} had it")
    }
}

/// Whether it was the machine that was disturbed.
pub(super) fn is_disturbing(finding: &Finding) -> bool {
    [Id::Steal, Id::CpuShared, Id::Unsteady].contains(&finding.id)
}

/// What may be compared. What disturbs the machine, or goes up and down within a window, counts for nothing here: it
/// meets A and B alike, in random order, and is part of the interval.
fn comparable(figures: &RoundFigures) -> Comparable {
    let is_lasting = |it: &&Finding| !is_disturbing(it) && it.id != Id::CpuUnsteady;
    let lasting = figures.findings.iter().filter(is_lasting);
    Comparable::of(&lasting.cloned().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;
    use crate::result::latency::Latency;

    fn condition(text: &str) -> Result<(&'static Metric, Condition), String> {
        let condition = Condition::parse(text)?;
        Ok((Metric::asked(&condition, false)?, condition))
    }

    fn outcome(text: &str, ratio: f64, low: f64, high: f64) -> Outcome {
        let estimate = Estimate {
            ratio,
            low,
            high,
            rounds: 15,
        };
        let (metric, condition) = condition(text).unwrap();
        metric.judge(&condition, Some(estimate), None).outcome
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
        let obstacle = |metric: &str, a: &[Id], b: &[Id]| {
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
            Metric::named(metric).unwrap().obstacle(&rounds)
        };
        for metric in ["throughput", "p50", "p99"] {
            let held = obstacle(metric, &[], &[Id::GeneratorSaturated]).unwrap();
            assert!(held.contains("in 0 of A and 1 of B"), "{held}");
            assert_eq!(obstacle(metric, &[], &[]), None);
        }
        assert_eq!(obstacle("cpu", &[Id::GeneratorSaturated], &[]), None);
        assert!(obstacle("p99", &[Id::Backlog], &[]).is_some());
        assert_eq!(obstacle("throughput", &[Id::Backlog], &[]), None);
        // Whatever it is, it settles nothing then.
        let (metric, told) = condition("p50>1.1").unwrap();
        assert_eq!(metric.estimate(&[]), None);
        let beyond = Estimate {
            ratio: 2.0,
            low: 1.9,
            high: 2.1,
            rounds: 15,
        };
        let judged = metric.judge(&told, Some(beyond), Some("held".to_owned()));
        assert_eq!(
            (judged.outcome, &*judged.reason),
            (Outcome::Unresolved, "held")
        );
    }

    #[test]
    fn conditions_are_ratios_of_what_is_compared() {
        for text in ["cpu>1.05", "throughput<0.95", "p99>2", "p50<0.5"] {
            assert_eq!(condition(text).unwrap().1.to_string(), text);
        }
        let (rate, _) = condition("rate<0.9").unwrap();
        assert_eq!(rate.name, "throughput");
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
        let (metric, condition) = condition("cpu>1.05").unwrap();
        let judged = metric.judge(&condition, None, None);
        assert_eq!(judged.outcome, Outcome::Unresolved);
        let few = Estimate {
            ratio: 2.0,
            low: 2.0,
            high: 2.0,
            rounds: ROUNDS_TO_DECIDE - 1,
        };
        let result = metric.judge(&condition, Some(few), None);
        assert_eq!(result.outcome, Outcome::Unresolved);
        assert!(
            result.reason.contains("5 rounds settle nothing"),
            "{result:?}"
        );
    }
}

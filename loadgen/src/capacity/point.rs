//! From one step's result to whether it met what was asked for.

use hdrhistogram::Histogram;

use super::search::{Cause, Outcome};
use crate::assess::objective::Objective;
use crate::assess::verdict::{LATENESS_NS_MAX, Verdict};
use crate::output::document::Status;
use crate::output::document::knee::Point;
use crate::output::document::latency::Latency;
use crate::output::document::run::RunResult;
use crate::quantity::time;
use crate::run::Measured;
use crate::schedule::Arrivals;

/// Share of the offered messages that must be answered within the window.
const ACHIEVED_SHARE: f64 = 0.99;

/// Messages that may be missing however few there are: those on their way at the window's end.
const MISSING_MESSAGES: f64 = 3.0;

/// Standard deviations that a Poisson schedule may be short of its rate.
const DEVIATIONS: f64 = 3.0;

/// Share of the tightest time in the objective that the generator's own lateness may take.
const LATENESS_SHARE: f64 = 0.1;

/// What a step is held against.
pub(super) struct Terms<'a> {
    pub(super) objective: &'a Objective,
    pub(super) arrivals: Arrivals,
}

/// One step, measured and not yet judged.
pub(super) struct Step {
    /// What went wrong, if anything did.
    pub(super) failure: Option<String>,
    /// Whether no message ever came back, and no window opened to await one in: it would not at any rate.
    pub(super) is_hopeless: bool,
    /// Messages due and messages answered within the window; `None` if it never opened.
    pub(super) counts: Option<Counts>,
    /// From when each message was due, in nanoseconds.
    pub(super) latency: Option<Histogram<u64>>,
    /// What will be reported.
    pub(super) point: Point,
}

/// Messages within the window of a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) offered: f64,
    pub(super) answered: u64,
}

impl Step {
    /// What was measured at `rate`.
    pub(super) fn of(rate: f64, measured: Measured) -> Step {
        let Measured {
            document, latency, ..
        } = measured;
        let failed = document.status != Status::Ok;
        let failure = failed.then(|| {
            let error = document.error.clone();
            error.unwrap_or_else(|| "the run failed".to_owned())
        });
        let result = document.result.as_ref();
        Step {
            is_hopeless: failed && result.is_none() && document.checks.messages_verified == 0,
            failure,
            counts: result.map(|result| Counts {
                offered: result.offered_messages_per_second.unwrap_or(rate) * result.window_seconds,
                answered: result.messages,
            }),
            latency,
            point: point(rate, result),
        }
    }

    /// Whether the window opened at all.
    pub(super) fn has_begun(&self) -> bool {
        self.counts.is_some()
    }

    /// Holds it against the terms.
    pub(super) fn judge(self, terms: &Terms<'_>) -> (Point, Outcome) {
        let mut point = self.point;
        let has_failed = self.failure.is_some();
        let mut misses: Vec<String> = self.failure.into_iter().collect();
        if let Some(latency) = &self.latency {
            misses.extend(terms.objective.broken(latency));
        }
        misses.extend(self.counts.and_then(|counts| unachieved(terms, counts)));
        let late = point
            .lateness_p99_9_ns
            .and_then(|late_ns| lateness(terms, late_ns));
        let cause = match has_failed {
            true => Cause::Server,
            false => cause(point.verdict, late.is_some()),
        };
        // Latencies count from when messages were due, so the generator's lateness is in them: what holds
        // all the same, holds. It only explains what does not.
        if !misses.is_empty() {
            misses.extend(late);
        }
        point.meets = misses.is_empty();
        point.why = (!point.meets).then(|| misses.join(", "));
        let outcome = match point.meets {
            true => Outcome::Met,
            false => Outcome::Missed(cause),
        };
        (point, outcome)
    }
}

fn cause(verdict: Verdict, is_late: bool) -> Cause {
    match verdict {
        Verdict::Noisy => Cause::Noise,
        Verdict::GeneratorBound => Cause::Generator,
        _ if is_late => Cause::Generator,
        _ => Cause::Server,
    }
}

/// How the rate was not achieved, if so.
fn unachieved(terms: &Terms<'_>, counts: Counts) -> Option<String> {
    let Counts { offered, answered } = counts;
    let answered = answered as f64;
    let by_chance = match terms.arrivals {
        Arrivals::Even => 0.0,
        Arrivals::Poisson => DEVIATIONS * offered.sqrt(),
    };
    let allowed = ((1.0 - ACHIEVED_SHARE) * offered).max(MISSING_MESSAGES) + by_chance;
    (answered + allowed < offered).then(|| {
        let percent = 100.0 * answered / offered;
        format!("{percent:.1} % of the rate was achieved")
    })
}

/// How the generator did not hold the schedule, if so. What is little beside the objective does not
/// count.
fn lateness(terms: &Terms<'_>, late_ns: u64) -> Option<String> {
    let allowed = LATENESS_SHARE * terms.objective.tightest_ns() as f64;
    (late_ns > LATENESS_NS_MAX && late_ns as f64 > allowed).then(|| {
        let late = time(late_ns as f64);
        format!("the generator took up one message in a thousand {late} late or more")
    })
}

fn point(rate: f64, result: Option<&RunResult>) -> Point {
    // Of no values there is no percentile.
    let some = |latency: &&Latency| latency.count > 0;
    let latency = result.map(|result| &result.latency).filter(some);
    let lateness = result.and_then(|result| result.lateness.as_ref());
    let server = result.and_then(|result| result.server.as_ref());
    Point {
        rate,
        achieved_messages_per_second: result.map(|result| result.messages_per_second),
        p50_ns: latency.map(|latency| latency.p50_ns),
        p90_ns: latency.map(|latency| latency.p90_ns),
        p99_ns: latency.map(|latency| latency.p99_ns),
        p99_9_ns: latency.map(|latency| latency.p99_9_ns),
        max_ns: latency.map(|latency| latency.max_ns),
        backlog_end: result.and_then(|result| Some(result.backlog?.messages_end)),
        lateness_p99_9_ns: lateness.filter(some).map(|lateness| lateness.p99_9_ns),
        server_cpu_ns_per_message: server.and_then(|server| server.cpu_ns_per_message),
        verdict: result.map_or(Verdict::Invalid, |result| result.verdict),
        meets: false,
        why: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;

    /// A step at 1,000/s for 2 s whose every latency is 300 µs, with some changes; judged by p99<1ms.
    fn judged(arrivals: Arrivals, change: impl FnOnce(&mut Step)) -> (Point, Outcome) {
        let mut latency = latency_histogram();
        latency.saturating_record_n(300_000, 2_000);
        let mut step = Step {
            is_hopeless: false,
            failure: None,
            counts: Some(Counts {
                offered: 2_000.0,
                answered: 1_990,
            }),
            latency: Some(latency),
            point: Point {
                lateness_p99_9_ns: Some(90_000),
                verdict: Verdict::LoadBound,
                ..point(1_000.0, None)
            },
        };
        change(&mut step);
        let objective = Objective::parse("p99<1ms").unwrap();
        step.judge(&Terms {
            objective: &objective,
            arrivals,
        })
    }

    #[track_caller]
    fn assert_missed(cause: Cause, phrase: &str, change: impl FnOnce(&mut Step)) {
        let (point, outcome) = judged(Arrivals::Even, change);
        assert_eq!(outcome, Outcome::Missed(cause), "{point:?}");
        assert!(!point.meets);
        let why = point.why.unwrap();
        assert!(why.contains(phrase), "{why}");
    }

    #[test]
    fn a_step_meets_if_everything_holds() {
        let (point, outcome) = judged(Arrivals::Even, |_| {});
        assert_eq!(
            (outcome, point.meets, point.why),
            (Outcome::Met, true, None)
        );
        // A busy generator that kept up did no harm.
        let busy = |step: &mut Step| step.point.verdict = Verdict::GeneratorBound;
        assert_eq!(judged(Arrivals::Even, busy).1, Outcome::Met);
    }

    #[test]
    fn what_does_not_hold_is_put_down_to_somebody() {
        let slow = |step: &mut Step| {
            let latency = step.latency.as_mut().unwrap();
            latency.saturating_record_n(2_000_000, 30);
        };
        assert_missed(Cause::Server, "p99 is 2.0", slow);
        assert_missed(Cause::Noise, "p99 is 2.0", |step| {
            slow(step);
            step.point.verdict = Verdict::Noisy;
        });
        assert_missed(Cause::Generator, "p99 is 2.0", |step| {
            slow(step);
            step.point.verdict = Verdict::GeneratorBound;
        });
        let late = |step: &mut Step| step.point.lateness_p99_9_ns = Some(250_000);
        assert_eq!(
            judged(Arrivals::Even, late).1,
            Outcome::Met,
            "it is in the latencies"
        );
        let late_and_slow = |step: &mut Step| {
            late(step);
            slow(step);
        };
        assert_missed(Cause::Generator, "250.00 µs late", late_and_slow);
        assert_missed(Cause::Noise, "250.00 µs late", |step| {
            late_and_slow(step);
            step.point.verdict = Verdict::Noisy;
        });
        assert_missed(Cause::Server, "97.5 % of the rate was achieved", |step| {
            step.counts.as_mut().unwrap().answered = 1_950;
        });
        assert_missed(Cause::Server, "connection 3", |step| {
            step.failure = Some("connection 3: wrong".to_owned());
            step.point.verdict = Verdict::Invalid;
        });
        assert_missed(Cause::Server, "refused", |step| {
            step.failure = Some("refused".to_owned());
            step.counts = None;
            step.latency = None;
        });
        assert_missed(Cause::Server, "no message was answered", |step| {
            step.latency.as_mut().unwrap().reset();
        });
    }

    #[test]
    fn a_poisson_schedule_may_be_short_by_chance() {
        let short = |step: &mut Step| step.counts.as_mut().unwrap().answered = 1_900;
        assert_eq!(judged(Arrivals::Poisson, short).1, Outcome::Met);
        assert!(matches!(
            judged(Arrivals::Even, short).1,
            Outcome::Missed(_)
        ));
    }

    #[test]
    fn a_few_messages_on_their_way_are_not_missing() {
        let (_, outcome) = judged(Arrivals::Even, |step| {
            step.counts = Some(Counts {
                offered: 100.0,
                answered: 97,
            });
        });
        assert_eq!(outcome, Outcome::Met);
    }
}

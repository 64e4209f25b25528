//! From one step's result to whether it met what was asked for.

use hdrhistogram::Histogram;

use super::search::{Cause, Outcome};
use crate::assess::finding::{Finding, Id};
use crate::assess::findings::LATE_NS;
use crate::assess::objective::Objective;
use crate::quantity::time;
use crate::result::Status;
use crate::result::capacity::Point;
use crate::result::figures::Figures;
use crate::run::Measured;

/// Share of a bound of the objective that the generator's own lateness may take.
const LATE_SHARE: f64 = 0.1;

/// One step, measured and not yet judged.
pub(super) struct Step {
    /// What went wrong, if anything did.
    pub(super) failure: Option<String>,
    /// Whether no window opened and no message ever came back: at no other rate it would.
    pub(super) is_hopeless: bool,
    /// From when each message was due, in nanoseconds; `None` if the window never opened.
    pub(super) latency: Option<Histogram<u64>>,
    /// How late the generator itself took up each.
    pub(super) send_lag: Option<Histogram<u64>>,
    /// What will be reported.
    pub(super) point: Point,
}

impl Step {
    /// What was measured at `rate`.
    pub(super) fn of(rate: f64, measured: Measured) -> Step {
        let Measured {
            document, latency, ..
        } = measured;
        let figures = document.figures();
        let failed = document.status != Status::Ok;
        Step {
            is_hopeless: failed && figures.is_none() && document.checks.messages_verified == 0,
            failure: failed.then(|| {
                let error = document.error.clone();
                error.unwrap_or_else(|| "the run failed".to_owned())
            }),
            latency,
            send_lag: figures
                .and_then(|figures| figures.send_lag.as_ref())
                .and_then(|lag| lag.histogram().ok()),
            point: point(rate, figures, document.findings.clone()),
        }
    }

    /// Holds it against the objective.
    pub(super) fn judge(self, objective: &Objective) -> (Point, Outcome) {
        let mut point = self.point;
        let has_failed = self.failure.is_some();
        let mut misses: Vec<String> = self.failure.into_iter().collect();
        let broken = self
            .latency
            .as_ref()
            .map(|latency| objective.broken(latency));
        let broken = broken.unwrap_or_default();
        misses.extend(broken.iter().map(|(_, seen)| seen.clone()));
        let unheld = |finding: &&Finding| matches!(finding.id, Id::RateNotHeld | Id::Backlog);
        let unheld = point.findings.iter().filter(unheld);
        misses.extend(unheld.filter_map(|it| Some(it.means.split_once(": ")?.0.to_owned())));
        // Latencies count from when messages were due, so the generator's lateness is in them: what holds
        // all the same, holds. It only explains what does not.
        let late = self.send_lag.filter(|lag| !lag.is_empty()).and_then(|lag| {
            broken.iter().find_map(|(bound, _)| {
                let late_ns = lag.value_at_quantile(bound.quantile);
                let is_much = late_ns as f64 > LATE_SHARE * bound.below_ns as f64;
                (late_ns > LATE_NS && is_much).then(|| {
                    let (name, late) = (&bound.name, time(late_ns as f64));
                    format!("the generator itself was late by a {name} of {late}")
                })
            })
        });
        let cause = cause(has_failed, &point.findings, late.is_some());
        misses.extend(late);
        point.meets = misses.is_empty();
        point.why = (!point.meets).then(|| misses.join(", "));
        let outcome = if point.meets {
            Outcome::Met
        } else {
            Outcome::Missed(cause)
        };
        (point, outcome)
    }
}

/// Whom a miss is put down to.
fn cause(has_failed: bool, findings: &[Finding], is_late: bool) -> Cause {
    let found = |ids: &[Id]| findings.iter().any(|finding| ids.contains(&finding.id));
    if has_failed {
        Cause::Server
    } else if found(&[Id::GeneratorSaturated]) {
        Cause::Generator
    } else if found(&[Id::Steal, Id::CpuShared]) {
        Cause::Noise
    } else if is_late || found(&[Id::LateSends]) {
        Cause::Generator
    } else if found(&[Id::Unsteady]) && !found(&[Id::RateNotHeld, Id::Backlog]) {
        Cause::Noise
    } else {
        Cause::Server
    }
}

fn point(rate: f64, figures: Option<&Figures>, findings: Vec<Finding>) -> Point {
    // Of no values there is no percentile.
    let latency = figures.map(|figures| &figures.latency);
    let latency = latency.filter(|latency| latency.count > 0);
    let lag = figures.and_then(|figures| figures.send_lag.as_ref());
    Point {
        rate,
        completed_per_second: figures.map(|figures| figures.completed_per_second),
        p50_ns: latency.map(|latency| latency.p50_ns),
        p90_ns: latency.map(|latency| latency.p90_ns),
        p99_ns: latency.map(|latency| latency.p99_ns),
        p99_9_ns: latency.map(|latency| latency.p99_9_ns),
        max_ns: latency.map(|latency| latency.max_ns),
        backlog_end: figures.and_then(|figures| Some(figures.backlog?.end)),
        send_lag_p99_9_ns: lag.filter(|lag| lag.count > 0).map(|lag| lag.p99_9_ns),
        server_cpu_ns_each: figures.and_then(|figures| figures.server.as_ref()?.cpu_ns_each),
        findings,
        meets: false,
        why: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;

    fn found(id: Id) -> Finding {
        Finding {
            id,
            value: 1.0,
            limit: 0.0,
            unit: "percent".to_owned(),
            means: format!("it was {}: so it is", id.name()),
        }
    }

    /// A step whose every latency is 300 µs, with some changes; judged by p99<1ms.
    fn judged(change: impl FnOnce(&mut Step)) -> (Point, Outcome) {
        let mut latency = latency_histogram();
        latency.saturating_record_n(300_000, 2_000);
        let mut step = Step {
            is_hopeless: false,
            failure: None,
            latency: Some(latency),
            send_lag: Some(latency_histogram()),
            point: point(1_000.0, None, Vec::new()),
        };
        change(&mut step);
        step.judge(&Objective::parse("p99<1ms").unwrap())
    }

    #[track_caller]
    fn assert_missed(cause: Cause, phrase: &str, change: impl FnOnce(&mut Step)) {
        let (point, outcome) = judged(change);
        assert_eq!(outcome, Outcome::Missed(cause), "{point:?}");
        assert!(!point.meets);
        let why = point.why.unwrap();
        assert!(why.contains(phrase), "{why}");
    }

    fn slow(step: &mut Step) {
        let latency = step.latency.as_mut().unwrap();
        latency.saturating_record_n(2_000_000, 30);
    }

    fn late(step: &mut Step) {
        let lag = step.send_lag.as_mut().unwrap();
        lag.saturating_record_n(250_000, 100);
    }

    #[test]
    fn a_step_meets_if_everything_holds() {
        let (point, outcome) = judged(|_| {});
        assert_eq!(
            (outcome, point.meets, point.why),
            (Outcome::Met, true, None)
        );
        // A busy generator that kept up did no harm, nor does lateness that the latencies bear.
        let busy = |step: &mut Step| step.point.findings.push(found(Id::GeneratorSaturated));
        assert_eq!(judged(busy).1, Outcome::Met);
        assert_eq!(judged(late).1, Outcome::Met);
    }

    #[test]
    fn what_does_not_hold_is_put_down_to_somebody() {
        let with = |id| {
            move |step: &mut Step| {
                slow(step);
                step.point.findings.push(found(id));
            }
        };
        assert_missed(Cause::Server, "p99 is 2.0", slow);
        assert_missed(Cause::Noise, "p99 is 2.0", with(Id::CpuShared));
        assert_missed(Cause::Noise, "p99 is 2.0", with(Id::Unsteady));
        assert_missed(Cause::Generator, "p99 is 2.0", with(Id::GeneratorSaturated));
        assert_missed(Cause::Generator, "late by a p99 of 250", |step| {
            late(step);
            slow(step);
        });
        assert_missed(Cause::Noise, "late by a p99 of 250", |step| {
            late(step);
            with(Id::Steal)(step);
        });
        assert_missed(Cause::Server, "it was backlog", |step| {
            step.point.findings = vec![found(Id::Backlog), found(Id::Unsteady)];
        });
        assert_missed(Cause::Server, "connection 3", |step| {
            step.failure = Some("connection 3: wrong".to_owned());
        });
        assert_missed(Cause::Server, "refused", |step| {
            step.failure = Some("refused".to_owned());
            step.latency = None;
        });
        assert_missed(Cause::Server, "no message was answered", |step| {
            step.latency.as_mut().unwrap().reset();
        });
    }
}

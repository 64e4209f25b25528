//! From one step's result to whether it met what was asked for.

use super::search::Cause;
use crate::assess::finding::{Finding, Id};
use crate::assess::findings::LATE_NS;
use crate::assess::objective::Objective;
use crate::quantity::time;
use crate::result::Document;
use crate::result::capacity::Point;
use crate::result::latency::Latency;

/// Share of a bound of the objective that the generator's own lateness may take.
const LATE_SHARE: f64 = 0.1;

/// Holds a step at `rate` against the objective: what is to be reported of it, and if it missed, whom that is put
/// down to.
pub(super) fn judge(rate: f64, step: &Document, objective: &Objective) -> (Point, Option<Cause>) {
    let figures = step.figures();
    let lag = figures.and_then(|figures| figures.send_lag.as_ref());
    let lag = lag.filter(|lag| lag.count > 0);
    let mut misses: Vec<String> = step.error.iter().cloned().collect();
    let histogram = |latency: &Latency| latency.histogram().ok();
    let latency = figures.and_then(|figures| histogram(&figures.latency));
    let broken = latency.map_or(Vec::new(), |it| objective.broken(&it));
    misses.extend(broken.iter().map(|(_, seen)| seen.clone()));
    let unheld = |finding: &&Finding| matches!(finding.id, Id::RateNotHeld | Id::Backlog);
    let unheld = step.findings.iter().filter(unheld);
    misses.extend(unheld.filter_map(|it| Some(it.means.split_once(": ")?.0.to_owned())));
    // Latencies count from when messages were due, so the generator's lateness is in them: what holds
    // all the same, holds. It only explains what does not.
    let lags = lag.and_then(histogram);
    let late = broken.iter().find_map(|(bound, _)| {
        let late_ns = lags.as_ref()?.value_at_quantile(bound.quantile);
        let least_ns = (LATE_NS as f64).max(LATE_SHARE * bound.below_ns as f64);
        let (name, late) = (&bound.name, time(late_ns as f64));
        let sentence = format!("the generator itself was late by a {name} of {late}");
        (late_ns as f64 > least_ns).then_some(sentence)
    });
    let cause = cause(step, late.is_some());
    misses.extend(late);
    let meets = misses.is_empty();
    // Of no values there is no percentile.
    let latency = figures.map(|figures| &figures.latency);
    let latency = latency.filter(|latency| latency.count > 0);
    let point = Point {
        rate,
        completed_per_second: figures.map(|figures| figures.completed_per_second),
        p50_ns: latency.map(|latency| latency.p50_ns),
        p90_ns: latency.map(|latency| latency.p90_ns),
        p99_ns: latency.map(|latency| latency.p99_ns),
        p99_9_ns: latency.map(|latency| latency.p99_9_ns),
        max_ns: latency.map(|latency| latency.max_ns),
        backlog_end: figures.and_then(|figures| Some(figures.backlog?.end)),
        send_lag_p99_9_ns: lag.map(|lag| lag.p99_9_ns),
        server_cpu_ns_each: figures.and_then(|figures| figures.server.as_ref()?.cpu_ns_each),
        findings: step.findings.clone(),
        meets,
        why: (!meets).then(|| misses.join(", ")),
    };
    (point, (!meets).then_some(cause))
}

/// Whom a miss is put down to.
fn cause(step: &Document, is_late: bool) -> Cause {
    let found = |ids: &[Id]| step.findings.iter().any(|it| ids.contains(&it.id));
    if step.error.is_some() {
        Cause::Fault
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::tests::{add, fail, figures, found, step};
    use crate::echo::tally::latency_histogram;
    use crate::result::Outcome;

    /// A step whose every latency is 300 µs, with some changes; judged by p99<1ms.
    fn judged(change: impl FnOnce(&mut Document)) -> (Point, Option<Cause>) {
        let mut latency = latency_histogram();
        latency.saturating_record_n(300_000, 2_000);
        let mut step = step(1_000.0, &latency);
        figures(&mut step).send_lag = Some(Latency::of(&latency_histogram()));
        change(&mut step);
        judge(1_000.0, &step, &Objective::parse("p99<1ms").unwrap())
    }

    #[track_caller]
    fn assert_missed(cause: Cause, phrase: &str, change: impl FnOnce(&mut Document)) {
        let (point, outcome) = judged(change);
        assert_eq!(outcome, Some(cause), "{point:?}");
        assert!(!point.meets);
        let why = point.why.unwrap();
        assert!(why.contains(phrase), "{why}");
    }

    fn slow(step: &mut Document) {
        add(&mut figures(step).latency, 2_000_000, 30);
    }

    fn late(step: &mut Document) {
        add(figures(step).send_lag.as_mut().unwrap(), 250_000, 100);
    }

    #[test]
    fn a_step_meets_if_everything_holds() {
        let (point, outcome) = judged(|_| {});
        assert_eq!((outcome, point.meets, point.why), (None, true, None));
        // A busy generator that kept up did no harm, nor does lateness that the latencies bear.
        let busy = |step: &mut Document| found(step, Id::GeneratorSaturated);
        assert_eq!(judged(busy).1, None);
        assert_eq!(judged(late).1, None);
    }

    #[test]
    fn what_does_not_hold_is_put_down_to_somebody() {
        let with = |id| {
            move |step: &mut Document| {
                slow(step);
                found(step, id);
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
            found(step, Id::Backlog);
            found(step, Id::Unsteady);
        });
        assert_missed(Cause::Fault, "connection 3", |step| {
            fail(step, "connection 3: wrong");
        });
        assert_missed(Cause::Fault, "refused", |step| {
            fail(step, "refused");
            step.outcome = Outcome::Run(None);
        });
        assert_missed(Cause::Server, "no message was answered", |step| {
            figures(step).latency = Latency::of(&latency_histogram());
        });
    }
}

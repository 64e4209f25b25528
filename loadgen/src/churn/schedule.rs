//! When the sessions of an open loop are due.

use std::sync::Arc;

use crate::payload::Random;
use crate::run::options::TimingArgs;
use crate::schedule::{Arrivals, Stream, Timeline};

/// Most sessions that are counted one by one when they are given up: a hopeless rate must not keep a
/// thread for ever.
const GIVEN_UP_MAX: usize = 1 << 20;

/// What all threads go by.
pub(super) struct Plan {
    pub(super) timeline: Arc<Timeline>,
    arrivals: Arrivals,
}

impl Plan {
    /// What the options say; `None` if the loop is closed.
    pub(super) fn of(timing: &TimingArgs) -> Option<Plan> {
        Some(Plan {
            timeline: timing.timeline()?,
            arrivals: timing.arrivals,
        })
    }

    /// The share of thread `line` of `threads` in a load that began at `start`.
    pub(super) fn share(
        &self,
        line: usize,
        threads: usize,
        start: u64,
        random: &mut Random,
    ) -> Share<'_> {
        Share {
            plan: self,
            stream: Stream::new(self.arrivals, line, threads, random),
            threads,
            start,
            skipped: 0.0,
        }
    }
}

/// The sessions of one thread.
pub(super) struct Share<'a> {
    plan: &'a Plan,
    stream: Stream,
    threads: usize,
    start: u64,
    /// Sessions of all threads that the stream does not know were passed over.
    skipped: f64,
}

impl Share<'_> {
    /// When the next session is due, in nanoseconds on the run's clock.
    pub(super) fn due(&self) -> u64 {
        let due = self.plan.timeline.due_at(self.number());
        self.start.saturating_add(due)
    }

    /// Number of the next session, on the scale of all threads together.
    fn number(&self) -> f64 {
        self.stream.number() + self.skipped
    }

    /// The session that was due has begun.
    pub(super) fn advance(&mut self, random: &mut Random) {
        self.stream.advance(random);
    }

    /// Sessions that are due by `now` and have not begun. With random arrivals, all but the first are
    /// counted as they are on average.
    pub(super) fn backlog(&self, now: u64) -> u64 {
        if self.due() > now {
            return 0;
        }
        let due = self.plan.timeline.due_by(now.saturating_sub(self.start));
        let behind = (due - self.number()).max(0.0) / self.threads as f64;
        1 + behind as u64
    }

    /// When each session that was due from `from` until `until`, and has not begun, was due; of more than
    /// a million the first, which have waited longest.
    pub(super) fn give_up(&mut self, from: u64, until: u64, random: &mut Random) -> Vec<u64> {
        self.skip_to(from, random);
        let mut given_up = Vec::new();
        while self.due() < until && given_up.len() < GIVEN_UP_MAX {
            given_up.push(self.due());
            self.stream.advance(random);
        }
        given_up
    }

    /// Passes over what was due before `from`, however many that are, without looking at each.
    fn skip_to(&mut self, from: u64, random: &mut Random) {
        if self.due() >= from {
            return;
        }
        let due_before = self.plan.timeline.due_by(from.saturating_sub(self.start));
        let behind = (due_before - self.number()).max(0.0);
        match self.plan.arrivals {
            Arrivals::Even => {
                let threads = self.threads as f64;
                self.skipped += (behind / threads).floor() * threads;
            }
            // However long nothing was due, the next distance is exponential.
            Arrivals::Poisson => {
                self.skipped += behind;
                self.stream.advance(random);
            }
        }
        // What is left is less than a turn of this thread's; rounding may make it two.
        for _ in 0..2 {
            if self.due() < from {
                self.stream.advance(random);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schedule::Rates;

    const SECOND: u64 = 1_000_000_000;

    fn plan(rate: &str) -> Plan {
        Plan {
            timeline: Arc::new(Rates::parse(rate).unwrap().timeline(Duration::ZERO)),
            arrivals: Arrivals::Even,
        }
    }

    #[test]
    fn threads_share_the_rate_and_the_backlog() {
        let plan = plan("100");
        let mut random = Random::new(1, 0);
        let mut begun = Vec::new();
        for line in 0..4 {
            let mut share = plan.share(line, 4, SECOND, &mut random);
            assert_eq!(share.backlog(SECOND - 1), 0);
            assert_eq!(share.backlog(2 * SECOND - 1), 25);
            while share.due() < 2 * SECOND {
                begun.push(share.due() - SECOND);
                share.advance(&mut random);
            }
            assert_eq!(share.backlog(2 * SECOND - 1), 0);
        }
        begun.sort_unstable();
        let expected: Vec<u64> = (0..100).map(|number| number * SECOND / 100).collect();
        assert_eq!(begun, expected);
    }

    #[test]
    fn what_is_given_up_lies_in_the_window() {
        let plan = plan("10");
        let mut random = Random::new(1, 0);
        let mut share = plan.share(0, 1, 0, &mut random);
        let given_up = share.give_up(SECOND, 2 * SECOND, &mut random);
        let expected: Vec<u64> = (10..20).map(|number| number * SECOND / 10).collect();
        assert_eq!(given_up, expected);
        assert_eq!(share.due(), 2 * SECOND);
    }

    #[test]
    fn threads_give_up_the_same_visits_as_one() {
        let plan = plan("10..1k/2s,500/8s");
        let mut random = Random::new(1, 0);
        let mut given_up = Vec::new();
        for line in 0..3 {
            let mut share = plan.share(line, 3, SECOND, &mut random);
            given_up.extend(share.give_up(2 * SECOND + 7, 5 * SECOND, &mut random));
        }
        given_up.sort_unstable();
        // One by one, without passing over any.
        let mut expected = Vec::new();
        let mut share = plan.share(0, 1, SECOND, &mut random);
        while share.due() < 5 * SECOND {
            expected.extend(Some(share.due()).filter(|due| *due >= 2 * SECOND + 7));
            share.advance(&mut random);
        }
        assert_eq!(given_up, expected);
    }

    #[test]
    fn a_hopeless_warm_up_is_passed_over_and_the_window_is_not() {
        // A minute at 1,000 million a second: one by one that would take a quarter of an hour.
        for arrivals in [Arrivals::Even, Arrivals::Poisson] {
            let plan = Plan {
                arrivals,
                ..plan("1000M")
            };
            let mut random = Random::new(1, 0);
            let mut share = plan.share(1, 2, 0, &mut random);
            let from = 60 * SECOND;
            let given_up = share.give_up(from, from + 10 * SECOND, &mut random);
            assert_eq!(given_up.len(), GIVEN_UP_MAX);
            assert!(given_up.iter().all(|due| *due >= from));
            // Half of the sessions are this thread's, so they are 2 ns apart on average.
            let last = (given_up[GIVEN_UP_MAX - 1] - from) as f64;
            let expected = 2.0 * GIVEN_UP_MAX as f64;
            assert!((last / expected - 1.0).abs() < 0.02, "{last}");
        }
    }

    #[test]
    fn what_is_given_up_at_random_comes_at_the_rate() {
        let plan = Plan {
            arrivals: Arrivals::Poisson,
            ..plan("10k")
        };
        let mut random = Random::new(3, 0);
        let mut share = plan.share(0, 1, 0, &mut random);
        let given_up = share.give_up(SECOND, 11 * SECOND, &mut random);
        assert!(given_up[0] >= SECOND && given_up[0] < SECOND + SECOND / 100);
        // 100,000 are due; the standard deviation is 316.
        let count = given_up.len() as f64;
        assert!((count - 100_000.0).abs() < 1_600.0, "{count}");
    }
}

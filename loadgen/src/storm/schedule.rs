//! When the visits of an open storm are due.

use crate::echo::payload::Random;
use crate::options::storm::StormOptions;
use crate::schedule::{Arrivals, Stream, Timeline};

/// Most visits that are counted one by one when they are given up: a hopeless rate must not keep a
/// thread for ever.
const GIVEN_UP_MAX: usize = 1 << 20;

/// What all threads go by.
pub(super) struct Plan {
    pub(super) timeline: Timeline,
    arrivals: Arrivals,
}

impl Plan {
    /// What the options say; `None` if the storm is closed.
    pub(super) fn of(options: &StormOptions) -> Option<Plan> {
        let rate = options.rate.as_ref()?;
        Some(Plan {
            timeline: rate.timeline(options.warmup),
            arrivals: options.arrivals,
        })
    }

    /// Visits due from `from` until `to`, both in nanoseconds since the storm began.
    pub(super) fn due_between(&self, from: u64, to: u64) -> f64 {
        self.timeline.due_by(to) - self.timeline.due_by(from)
    }

    /// The share of thread `line` of `threads` in a storm that began at `start`.
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
        }
    }
}

/// The visits of one thread.
pub(super) struct Share<'a> {
    plan: &'a Plan,
    stream: Stream,
    threads: usize,
    start: u64,
}

impl Share<'_> {
    /// When the next visit is due, in nanoseconds on the run's clock.
    pub(super) fn due(&self) -> u64 {
        self.start
            .saturating_add(self.stream.due(&self.plan.timeline))
    }

    /// The visit that was due has begun.
    pub(super) fn advance(&mut self, random: &mut Random) {
        self.stream.advance(random);
    }

    /// Visits that are due by `now` and have not begun. With random arrivals, all but the first are
    /// counted as they are on average.
    pub(super) fn backlog(&self, now: u64) -> u64 {
        if self.due() > now {
            return 0;
        }
        let due = self.plan.timeline.due_by(now.saturating_sub(self.start));
        let behind = (due - self.stream.number()).max(0.0) / self.threads as f64;
        1 + behind as u64
    }

    /// When each visit that was due from `from` until `until`, and has not begun, was due; at most a
    /// million of them.
    pub(super) fn give_up(&mut self, from: u64, until: u64, random: &mut Random) -> Vec<u64> {
        let mut given_up = Vec::new();
        while self.due() < until && given_up.len() < GIVEN_UP_MAX {
            if self.due() >= from {
                given_up.push(self.due());
            }
            self.stream.advance(random);
        }
        given_up
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
            timeline: Rates::parse(rate).unwrap().timeline(Duration::ZERO),
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
}

//! When the sessions of an open loop are due.

use crate::payload::Random;
use crate::run::options::Schedule;
use crate::schedule::{Stream, Timeline};

/// Most sessions that are counted one by one when they are given up: a hopeless rate must not keep a
/// thread for ever.
const GIVEN_UP_MAX: usize = 1 << 20;

/// The sessions of one thread.
pub(super) struct Share<'a> {
    timeline: &'a Timeline,
    stream: Stream,
    threads: usize,
    start: u64,
}

impl Share<'_> {
    /// That of thread `line` of `threads` in a load that began at `start`.
    pub(super) fn new<'a>(
        (timeline, arrivals): &'a Schedule,
        line: usize,
        threads: usize,
        start: u64,
        random: &mut Random,
    ) -> Share<'a> {
        Share {
            timeline,
            stream: Stream::new(*arrivals, line, threads, random),
            threads,
            start,
        }
    }

    /// When the next session is due, in nanoseconds on the run's clock.
    pub(super) fn due(&self) -> u64 {
        self.start.saturating_add(self.stream.due(self.timeline))
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
        1 + self.turns_until(now)
    }

    /// How many times this thread's turn comes from the next session on until `time`, on average.
    fn turns_until(&self, time: u64) -> u64 {
        let due = self.timeline.due_by(time.saturating_sub(self.start));
        ((due - self.stream.number()).max(0.0) / self.threads as f64) as u64
    }

    /// When each session that was due from `from` until `until`, and has not begun, was due; of more than
    /// a million the first, which have waited longest.
    pub(super) fn give_up(&mut self, from: u64, until: u64, random: &mut Random) -> Vec<u64> {
        // However many were due before, they are not looked at one by one: a step or two are left. At random, it does
        // not matter from where on the distances are drawn.
        self.stream.skip(self.turns_until(from));
        while self.due() < from {
            self.stream.advance(random);
        }
        let mut given_up = Vec::new();
        while self.due() < until && given_up.len() < GIVEN_UP_MAX {
            given_up.push(self.due());
            self.stream.advance(random);
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::schedule::{Arrivals, Rates};

    const SECOND: u64 = 1_000_000_000;

    fn schedule(rate: &str, arrivals: Arrivals) -> Schedule {
        let rates = Rates::parse(rate).unwrap();
        (Arc::new(rates.timeline(Duration::ZERO)), arrivals)
    }

    #[test]
    fn threads_share_the_rate_and_the_backlog() {
        let schedule = schedule("100", Arrivals::Even);
        let mut random = Random::new(1, 0);
        let mut begun = Vec::new();
        for line in 0..4 {
            let mut share = Share::new(&schedule, line, 4, SECOND, &mut random);
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
        let schedule = schedule("10", Arrivals::Even);
        let mut random = Random::new(1, 0);
        let mut share = Share::new(&schedule, 0, 1, 0, &mut random);
        let given_up = share.give_up(SECOND, 2 * SECOND, &mut random);
        let expected: Vec<u64> = (10..20).map(|number| number * SECOND / 10).collect();
        assert_eq!(given_up, expected);
        assert_eq!(share.due(), 2 * SECOND);
    }

    #[test]
    fn threads_give_up_the_same_visits_as_one() {
        let schedule = schedule("10..1k/2s,500/8s", Arrivals::Even);
        let mut random = Random::new(1, 0);
        let mut given_up = Vec::new();
        for line in 0..3 {
            let mut share = Share::new(&schedule, line, 3, SECOND, &mut random);
            given_up.extend(share.give_up(2 * SECOND + 7, 5 * SECOND, &mut random));
        }
        given_up.sort_unstable();
        // One by one, without passing over any.
        let mut expected = Vec::new();
        let mut share = Share::new(&schedule, 0, 1, SECOND, &mut random);
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
            let schedule = schedule("1000M", arrivals);
            let mut random = Random::new(1, 0);
            let mut share = Share::new(&schedule, 1, 2, 0, &mut random);
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
        let schedule = schedule("10k", Arrivals::Poisson);
        let mut random = Random::new(3, 0);
        let mut share = Share::new(&schedule, 0, 1, 0, &mut random);
        let given_up = share.give_up(SECOND, 11 * SECOND, &mut random);
        assert!(given_up[0] >= SECOND && given_up[0] < SECOND + SECOND / 100);
        // 100,000 are due; the standard deviation is 316.
        let count = given_up.len() as f64;
        assert!((count - 100_000.0).abs() < 1_600.0, "{count}");
    }
}

//! So many in so long a time.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::protocol::Moment;

/// How much of something there may be in a span of time. As much may come at once, and comes back as time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU64,
    span: Duration,
}

impl Rate {
    /// `count` in each `span`.
    pub const fn new(count: NonZeroU64, span: Duration) -> Self {
        Rate { count, span }
    }

    /// How long it takes until so many have come back.
    fn time_for(self, count: u64) -> Duration {
        let nanoseconds = u128::from(count) * self.span.as_nanos() / u128::from(self.count.get());
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// A bucket of tokens, of which a full one has as many as the rate's count. It is the moment at which it will be full,
/// so that nobody has to fill it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full: Moment,
}

impl Bucket {
    /// Takes one token, if there is one.
    pub(super) fn take_one(&mut self, rate: Rate, now: Moment) -> bool {
        let full = self.full.max(now) + rate.time_for(1);
        let is_there = full.since(now) <= rate.span;
        if is_there {
            self.full = full;
        }
        is_there
    }

    /// Takes so many tokens, be they there or not. Where they were not: when they will have been.
    pub(super) fn owe(&mut self, rate: Rate, count: u64, now: Moment) -> Option<Moment> {
        self.full = self.full.max(now) + rate.time_for(count);
        let debt = self.full.since(now).checked_sub(rate.span)?;
        (!debt.is_zero()).then(|| now + debt)
    }

    /// How many tokens there are.
    pub(super) fn tokens(&self, rate: Rate, now: Moment) -> u64 {
        let missing = self.full.since(now).as_nanos() * u128::from(rate.count.get());
        let missing = missing.div_ceil(rate.span.as_nanos().max(1));
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        rate.count.get().saturating_sub(missing)
    }

    /// Whether it is as if nothing had ever been taken.
    pub(super) fn is_full(&self, now: Moment) -> bool {
        self.full <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u64, seconds: u64) -> Rate {
        let count = NonZeroU64::new(count).expect("some");
        Rate::new(count, Duration::from_secs(seconds))
    }

    fn at(milliseconds: u64) -> Moment {
        Moment::from_nanos(1_000_000 * (1_000_000 + milliseconds))
    }

    #[test]
    fn so_many_come_at_once_and_come_back_with_time() {
        let mut bucket = Bucket::default();
        let rate = rate(4, 1);
        let taken =
            |bucket: &mut Bucket, now| (0..9).filter(|_| bucket.take_one(rate, now)).count();
        assert_eq!(taken(&mut bucket, at(0)), 4);
        assert_eq!(taken(&mut bucket, at(249)), 0);
        assert_eq!(taken(&mut bucket, at(500)), 2);
        assert!(!bucket.is_full(at(1499)));
        assert!(bucket.is_full(at(1500)));
        assert_eq!(taken(&mut bucket, at(60_000)), 4, "no more than it holds");
    }

    #[test]
    fn a_debt_takes_as_long_as_it_is_large() {
        let mut bucket = Bucket::default();
        let rate = rate(1000, 1);
        assert_eq!(bucket.owe(rate, 1000, at(0)), None);
        assert_eq!(bucket.tokens(rate, at(0)), 0);
        assert_eq!(bucket.owe(rate, 5000, at(0)), Some(at(5000)));
        assert_eq!(bucket.tokens(rate, at(5500)), 500);
        assert_eq!(bucket.owe(rate, 500, at(5500)), None);
    }

    #[test]
    fn no_number_is_too_large() {
        let mut bucket = Bucket::default();
        let slow = rate(1, 7 * 24 * 3600);
        assert!(bucket.owe(slow, u64::MAX, at(0)).is_some());
        assert_eq!(bucket.tokens(slow, at(0)), 0);
        let fast = rate(u64::MAX, 1);
        assert_eq!(Bucket::default().tokens(fast, at(0)), u64::MAX);
    }
}

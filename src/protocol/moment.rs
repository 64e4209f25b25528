//! Time, as an argument.

use std::ops::Add;
use std::ptr::fn_addr_eq;
use std::time::Duration;

/// The time of day: what tells the time since 1970, whenever it is asked. Unlike a [`Moment`] it is wanted
/// so seldom that to ask for it in each turn would be a waste.
#[derive(Clone, Copy, Debug)]
pub struct WallClock(pub fn() -> Duration);

impl PartialEq for WallClock {
    fn eq(&self, other: &WallClock) -> bool {
        fn_addr_eq(self.0, other.0)
    }
}

impl Eq for WallClock {}

/// A point in time, in nanoseconds since an arbitrary start that never moves (`CLOCK_MONOTONIC` in an
/// engine, a number in a test).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// So late that it is never.
    pub const NEVER: Moment = Moment(u64::MAX);

    /// The moment `nanoseconds` after the start.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Moment(nanoseconds)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, span: Duration) -> Moment {
        Moment(
            self.0
                .saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

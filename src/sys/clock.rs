//! The clock of the engines.

use rustix::time::{ClockId, clock_gettime};

use crate::protocol::Moment;

/// The time on `CLOCK_MONOTONIC`.
#[inline]
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Monotonic);
    Moment::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

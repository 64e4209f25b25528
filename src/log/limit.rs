//! How often the same may be said.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing::info;

use super::{CONNECTION, LEFT_OUT};
use crate::protocol::Moment;

/// So many lines of a kind in so long a time; the others are counted.
const LINES_MAX: u32 = 10;
const PERIOD: Duration = Duration::from_secs(60);

/// The time, for whoever has no other clock at hand: since the first that asked.
pub fn now() -> Moment {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let since = FIRST.get_or_init(Instant::now).elapsed();
    Moment::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// What one writer has said lately.
#[derive(Debug)]
pub struct Limit {
    lines_max: u32,
    since: Option<Moment>,
    said: Vec<(&'static str, u32)>,
    left_out: u64,
}

impl Default for Limit {
    fn default() -> Self {
        Limit::new(LINES_MAX)
    }
}

impl Limit {
    /// So many lines of each kind in a minute.
    pub const fn new(lines_max: u32) -> Self {
        Limit {
            lines_max,
            since: None,
            said: Vec::new(),
            left_out: 0,
        }
    }

    /// Whether another line of that kind may be written now; else it is counted, and how many were is said when the
    /// next minute begins.
    pub fn admits(&mut self, kind: &'static str, now: Moment) -> bool {
        if self.since.is_none_or(|since| since + PERIOD <= now) {
            self.tell();
            self.since = Some(now);
            self.said.clear();
        }
        let place = self.said.iter().position(|(said, _)| *said == kind);
        let place = place.unwrap_or_else(|| {
            self.said.push((kind, 0));
            self.said.len() - 1
        });
        let count = &mut self.said[place].1;
        if *count == self.lines_max {
            self.left_out += 1;
            LEFT_OUT.fetch_add(1, Relaxed);
            return false;
        }
        *count += 1;
        true
    }

    fn tell(&mut self) {
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            info!(target: CONNECTION, left_out, "{left_out} more lines were left out");
        }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.tell();
    }
}

/// The same for several threads. It is asked where something has gone wrong, and never for a message.
#[derive(Debug)]
pub struct SharedLimit(Mutex<Limit>);

impl SharedLimit {
    /// So many lines of each kind in a minute.
    pub const fn new(lines_max: u32) -> Self {
        SharedLimit(Mutex::new(Limit::new(lines_max)))
    }

    /// As [`Limit::admits`].
    pub fn admits(&self, kind: &'static str, now: Moment) -> bool {
        let mut limit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limit.admits(kind, now)
    }
}

impl Default for SharedLimit {
    fn default() -> Self {
        SharedLimit::new(LINES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_kind_in_a_minute_and_the_rest_is_counted() {
        let mut limit = Limit::new(2);
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        let mut admitted = |kind, second| limit.admits(kind, at(second));
        assert!(admitted("a", 1) && admitted("a", 2) && admitted("b", 3));
        assert!(!admitted("a", 4) && !admitted("a", 60) && admitted("b", 60));
        assert!(admitted("a", 61), "another minute");
        assert_eq!(limit.left_out, 0);
        assert!(left_out_here() >= 2);
    }

    fn left_out_here() -> u64 {
        LEFT_OUT.load(Relaxed)
    }
}

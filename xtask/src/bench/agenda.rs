//! Where the bench has got to, and how long it still takes.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// What is planned, step by step.
pub(crate) struct Agenda {
    started: Instant,
    planned: Duration,
    /// Planned time of the steps begun so far.
    begun: Duration,
}

impl Agenda {
    /// An agenda of steps that take `planned` together, as far as one can tell beforehand.
    pub(crate) fn new(planned: Duration) -> Agenda {
        Agenda {
            started: Instant::now(),
            planned,
            begun: Duration::ZERO,
        }
    }

    /// Says that a step begins which should take `planned`: a line that is rewritten on a terminal,
    /// one after another elsewhere.
    pub(crate) fn step(&mut self, planned: Duration, text: &str) {
        let left = time_left(self.started.elapsed(), self.begun, self.planned);
        self.begun += planned;
        if stderr().is_terminal() {
            eprint!("\r\x1b[K{text}  ({} left)", minutes(left));
        } else {
            eprintln!("{text}  ({} left)", minutes(left));
        }
    }

    /// Wipes the line.
    pub(crate) fn rest(&self) {
        if stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}

/// What is left of `planned` once the steps planned for `done` took `elapsed`: steps to come are
/// taken to be as much longer or shorter than planned as those were.
fn time_left(elapsed: Duration, done: Duration, planned: Duration) -> Duration {
    let left = planned.saturating_sub(done);
    if done.is_zero() {
        return left;
    }
    // The first steps alone say little.
    let doubt = planned.as_secs_f64() / 20.0;
    let slowness = (elapsed.as_secs_f64() + doubt) / (done.as_secs_f64() + doubt);
    left.mul_f64(slowness)
}

/// `14 min` or `40 s`.
pub(crate) fn minutes(time: Duration) -> String {
    match time.as_secs_f64().round() as u64 {
        seconds if seconds < 100 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_left_follows_what_it_took_so_far() {
        let left = |elapsed, done| time_left(seconds(elapsed), seconds(done), seconds(1000));
        assert_eq!(left(0, 0), seconds(1000));
        assert_eq!(left(500, 500), seconds(500));
        assert!(left(1000, 500) > seconds(900) && left(1000, 500) < seconds(1000));
        assert_eq!(left(900, 1200), Duration::ZERO);
    }

    #[test]
    fn times_are_short() {
        assert_eq!(minutes(seconds(40)), "40 s");
        assert_eq!(minutes(seconds(860)), "14 min");
    }
}

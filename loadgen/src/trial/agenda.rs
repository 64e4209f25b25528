//! Where a long measurement has got to, and how long it still takes.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::tell;

/// Steps of a bar.
const STEPS: u64 = 1000;

/// Time between two lines where there is no terminal to move a bar on.
const LINES_EVERY: Duration = Duration::from_secs(10);

/// What is planned, step by step. Dropping it wipes the bar.
pub struct Agenda {
    started: Instant,
    planned: Duration,
    /// Planned time of the steps begun so far.
    begun: Duration,
    is_quiet: bool,
    /// Hidden where there is no terminal.
    bar: ProgressBar,
    /// When the last line was written instead.
    told: Option<Instant>,
}

impl Agenda {
    /// An agenda of steps that take `planned` together, as far as one can tell beforehand.
    pub fn new(planned: Duration, is_quiet: bool) -> Agenda {
        let bar = if is_quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(STEPS)
        };
        if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Agenda {
            started: Instant::now(),
            planned,
            begun: Duration::ZERO,
            is_quiet,
            bar,
            told: None,
        }
    }

    /// Says that a step begins which should take `planned`.
    pub fn step(&mut self, planned: Duration, text: &str) {
        let left = short(time_left(self.started.elapsed(), self.begun, self.planned));
        let share = self.begun.as_secs_f64() / self.planned.as_secs_f64().max(1e-9);
        self.begun += planned;
        if self.is_quiet {
            return;
        }
        if !self.bar.is_hidden() {
            self.bar
                .set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
            self.bar.set_message(format!("{left} left  {text}"));
            // One thread must not wake up beside a measurement: so the bar moves here only.
            self.bar.tick();
        } else if self.told.is_none_or(|told| told.elapsed() >= LINES_EVERY) {
            self.told = Some(Instant::now());
            let percent = 100.0 * share;
            tell(format_args!("{percent:3.0} %  {left} left  {text}"));
        }
    }

    /// A step that should have taken `planned` does not come.
    pub fn leave_out(&mut self, planned: Duration) {
        self.planned = self.planned.saturating_sub(planned);
    }

    /// Says something besides, at once.
    pub fn say(&self, text: &str) {
        if !self.is_quiet {
            self.bar.suspend(|| tell(text));
        }
    }

    /// Wipes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// What is left of `planned` once the steps planned for `done` took `elapsed`: steps to come are taken to
/// be as much longer or shorter than planned as those were.
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
pub fn short(time: Duration) -> String {
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
        assert_eq!(short(seconds(40)), "40 s");
        assert_eq!(short(seconds(860)), "14 min");
    }
}

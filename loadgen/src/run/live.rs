//! What a person sees of a run while it lasts: a bar and the figures of the last slice on a terminal, a
//! line every so often elsewhere.

use std::time::{Duration, Instant};

use super::series::Series;
use crate::output::tell;
use crate::progress::{Progress, TICK};
use crate::quantity::{grouped, time};

/// Time between two lines where there is no terminal. Shorter runs say nothing.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The view.
pub(crate) struct Live {
    progress: Progress,
    says_lines: bool,
    last_line: Instant,
}

impl Live {
    /// A view, unless nobody wants one.
    pub(crate) fn new(quiet: bool) -> Live {
        let progress = Progress::new(quiet);
        Live {
            says_lines: !quiet && !progress.is_shown(),
            progress,
            last_line: Instant::now(),
        }
    }

    /// How often to look, if anybody looks.
    pub(super) fn tick(&self) -> Option<Duration> {
        self.progress.is_shown().then_some(TICK)
    }

    /// Connections are being made.
    pub(super) fn connecting(&mut self, connected: usize, of: usize) {
        let share = connected as f64 / of as f64;
        let message = format!("{} connections", grouped(connected as u64));
        self.progress.show("connecting", share, message);
    }

    /// `share` of a stage, 0 to 1, is over.
    pub(super) fn stage(&mut self, stage: &'static str, share: f64) {
        self.progress.show(stage, share, String::new());
    }

    /// A slice of the window is over.
    pub(super) fn slice(&mut self, share: f64, series: &Series<'_>) {
        let is_due = self.says_lines && self.last_line.elapsed() >= LINE_EVERY;
        if !self.progress.is_shown() && !is_due {
            return;
        }
        let message = figures(series);
        if is_due {
            self.last_line = Instant::now();
            let percent = 100.0 * share;
            tell(format_args!("ringload: {percent:.0} % measured, {message}"));
        }
        self.progress.show("measuring", share, message);
    }

    /// Wipes the bar.
    pub(super) fn finish(&self) {
        self.progress.finish();
    }
}

/// Rate, latency, backlog and CPU of the last slices: latencies come one slice later than the rest.
fn figures(series: &Series<'_>) -> String {
    let Some(slice) = series.slices().last() else {
        return String::new();
    };
    let per_second = |count: f64| grouped((count / slice.seconds.max(1e-9)).round() as u64);
    let mut text = format!("{}/s", per_second(slice.completed as f64));
    if let Some(offered) = slice.offered {
        text += &format!(" of {}/s", per_second(offered));
    }
    let latest = &series.latest;
    if !latest.is_empty() {
        let value = |quantile: f64| time(latest.value_at_quantile(quantile) as f64);
        text += &format!(
            ", p50 {}, p99 {}, max {}",
            value(0.5),
            value(0.99),
            time(latest.max() as f64)
        );
    }
    let wrong = series.wrong_replies();
    if wrong > 0 {
        text += &format!(", {} wrong replies", grouped(wrong));
    }
    if slice.offered.is_some() {
        let before = series.slices().iter().rev().nth(1);
        let backlog = before.map_or(0, |slice| slice.backlog);
        text += &format!(", backlog {}", grouped(backlog));
    }
    let percent = |cpu_ns: u64| cpu_ns as f64 / slice.seconds.max(1e-9) / 1e7;
    text += &format!(", CPU generator {:.0} %", percent(slice.generator_cpu_ns));
    if let Some(server) = slice.server_cpu_ns {
        text += &format!(", server {:.0} %", percent(server));
    }
    text
}

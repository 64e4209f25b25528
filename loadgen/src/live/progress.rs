//! A progress bar on a terminal, and nothing elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Steps of a bar.
const STEPS: u64 = 1000;

/// How often a bar moves. Each step costs the main thread a few microseconds.
pub(crate) const TICK: Duration = Duration::from_millis(200);

/// A bar on standard error, if that is a terminal and the user does not mind.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar, or nothing.
    pub(crate) fn new(quiet: bool) -> Progress {
        if quiet || !std::io::stderr().is_terminal() {
            return Progress(None);
        }
        let bar = ProgressBar::new(STEPS);
        if let Ok(style) = ProgressStyle::with_template("{prefix:<10} [{bar:40}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Progress(Some(bar))
    }

    /// Whether anybody looks.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Shows that `share` (0 to 1) of `stage` is done.
    pub(crate) fn show(&self, stage: &'static str, share: f64, message: String) {
        if let Some(bar) = &self.0 {
            bar.set_prefix(stage);
            bar.set_message(message);
            bar.set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
        }
    }

    /// Wipes the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

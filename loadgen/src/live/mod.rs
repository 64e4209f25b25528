//! What can be seen of a load while it lasts: a picture or a bar on a terminal, a line every so often where there is
//! none, and figures for Prometheus.
//!
//! ```text
//! conductor ── Live ── Seen ──┬── screen ── draw      a thread that lets the load go first
//!                             └── prometheus          another one
//! ```
//!
//! The conductor says how far it is and what each slice came to; who looks takes a copy of that. Nobody here takes
//! a lock that a load thread takes.

mod draw;
mod prometheus;
mod screen;
mod seen;

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};

use self::screen::Screen;
use self::seen::Seen;
use crate::control::{Control, Line};
use crate::output::tell;
use crate::quantity::grouped;
use crate::result::figures::Slice;

pub(crate) use self::screen::restore;

/// Time between two lines where there is no terminal. Shorter runs say nothing.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How often to look how far it is. Each look costs the main thread a few microseconds.
const TICK: Duration = Duration::from_millis(200);

/// Steps of a bar.
const STEPS: u64 = 1000;

/// How a load can be watched.
#[derive(Args, Clone, Debug, Default)]
pub struct LiveOptions {
    /// On a terminal, show one line instead of a picture while it runs
    #[arg(long)]
    pub no_tui: bool,

    /// While it runs, answer GET /metrics there for Prometheus: 127.0.0.1:9464; port 0 takes a free one and
    /// prints it
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub prometheus: Option<SocketAddr>,
}

/// What was told, and where the load threads count.
struct Shared {
    seen: Mutex<Seen>,
    control: Option<Arc<Control>>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A panic ends the process; there is no half-told state to be afraid of.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all load threads have counted since the load began.
    fn total(&self, counter: fn(&Line) -> &AtomicU64) -> Option<u64> {
        let control = self.control.as_ref()?;
        Some(control.total(counter))
    }

    /// Wrong replies since the load began, and what failed besides without ending it.
    fn failures(&self) -> [u64; 2] {
        let counters: [fn(&Line) -> &AtomicU64; 2] = [|line| &line.wrong, |line| &line.errors];
        counters.map(|counter| self.total(counter).unwrap_or_default())
    }
}

/// Whoever watches a load.
pub(crate) struct Live {
    shared: Arc<Shared>,
    screen: Option<Screen>,
    /// Hidden unless it is what is shown.
    bar: ProgressBar,
    is_scraped: bool,
    says_lines: bool,
    last_line: Cell<Instant>,
}

impl Live {
    /// Shows what it can where it can; `quiet` shows nothing. `control` is where the load counts, if it does; where nothing
    /// is counted there is no picture.
    ///
    /// # Errors
    /// If nobody can listen at the address of `--prometheus`, or there is no thread for it.
    pub(crate) fn new(
        quiet: bool,
        options: &LiveOptions,
        control: Option<&Arc<Control>>,
    ) -> anyhow::Result<Live> {
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            control: control.cloned(),
        });
        if let Some(address) = options.prometheus {
            prometheus::serve(address, &shared)?;
        }
        let wants_picture = !quiet && !options.no_tui && control.is_some();
        let screen = wants_picture.then(|| Screen::open(&shared)).flatten();
        let bar = if quiet || screen.is_some() {
            ProgressBar::hidden()
        } else {
            // Hides itself where standard error is no terminal.
            ProgressBar::new(STEPS)
        };
        let style = ProgressStyle::with_template("{prefix:<10} [{bar:40}] {msg}")?;
        bar.set_style(style.progress_chars("=> "));
        Ok(Live {
            says_lines: !quiet && screen.is_none() && bar.is_hidden(),
            is_scraped: options.prometheus.is_some(),
            shared,
            screen,
            bar,
            last_line: Cell::new(Instant::now()),
        })
    }

    fn is_watched(&self) -> bool {
        self.screen.is_some() || !self.bar.is_hidden() || self.is_scraped
    }

    /// How often to tell how far it is, if anybody looks.
    pub(crate) fn tick(&self) -> Option<Duration> {
        self.is_watched().then_some(TICK)
    }

    /// Connections are being made.
    pub(crate) fn connecting(&self, connected: usize, of: usize) {
        let message = match &self.shared.control {
            Some(control) => control.standing.sentence(),
            None => {
                let [connected, of] = [connected, of].map(|count| grouped(count as u64));
                format!("{connected} of {of} connections")
            }
        };
        self.shared.seen().connected = connected;
        self.show(CONNECTING, connected as f64 / of.max(1) as f64, message);
    }

    /// `share` of a stage, 0 to 1, is over.
    pub(crate) fn stage(&self, stage: &'static str, share: f64) {
        self.show(stage, share, String::new());
    }

    /// The last of `slices` is over, and with it `share` of the window. `latency`, in nanoseconds, is of the slice
    /// before: the load threads tell of one after its end.
    pub(crate) fn slice(&self, share: f64, slices: &[Slice], latency: &Histogram<u64>) {
        let is_due = self.says_lines && self.last_line.get().elapsed() >= LINE_EVERY;
        if !self.is_watched() && !is_due {
            return;
        }
        let control = self.shared.control.iter();
        let lags = control.flat_map(|control| control.measured());
        let lag = lags.map(|line| line.send_lag_ns.swap(0, Ordering::Relaxed));
        let message = {
            let mut seen = self.shared.seen();
            seen.add(slices, latency, lag.max().unwrap_or(0));
            seen.in_a_line(self.shared.failures())
        };
        if is_due {
            self.last_line.set(Instant::now());
            let percent = 100.0 * share;
            tell(format_args!("ringload: {percent:.0} % measured, {message}"));
        }
        self.show(MEASURING, share, message);
    }

    fn show(&self, stage: &'static str, share: f64, message: String) {
        let mut seen = self.shared.seen();
        seen.stage(stage, share);
        seen.message.clone_from(&message);
        drop(seen);
        self.bar.set_prefix(stage);
        self.bar.set_message(message);
        self.bar.set_position((share * STEPS as f64) as u64);
    }

    /// Leaves the terminal as it was.
    pub(crate) fn finish(&mut self) {
        self.screen = None;
        self.bar.finish_and_clear();
    }
}

/// Stages that this module has a name for, too.
const CONNECTING: &str = "connecting";
const MEASURING: &str = "measuring";

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
mod progress;
mod prometheus;
mod screen;
mod seen;

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;

use self::progress::{Progress, TICK};
use self::screen::Screen;
use self::seen::Seen;
use crate::control::Control;
use crate::output::tell;
use crate::quantity::grouped;

pub(crate) use self::screen::restore;

/// Time between two lines where there is no terminal. Shorter runs say nothing.
const LINE_EVERY: Duration = Duration::from_secs(10);

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

/// What a slice of the window came to.
pub(crate) struct Picture<'a> {
    /// Of the window that is over, 0 to 1.
    pub(crate) share: f64,
    /// The slice's length.
    pub(crate) seconds: f64,
    /// Messages, or sessions, completed in it.
    pub(crate) completed: u64,
    /// What the schedule asked for in it; `None` without a schedule.
    pub(crate) offered: Option<f64>,
    pub(crate) generator_cpu_ns: u64,
    /// `None` if nobody looks at the server.
    pub(crate) server_cpu_ns: Option<u64>,
    /// In nanoseconds. This and what follows is of the slice before: the load threads tell of a slice after its end.
    pub(crate) latency: &'a Histogram<u64>,
    pub(crate) backlog: u64,
    pub(crate) in_flight: u64,
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

    /// Messages, or sessions, completed since the load began.
    fn completed(&self) -> Option<u64> {
        let control = self.control.as_ref()?;
        Some(control.total(|line| &line.messages))
    }

    /// Wrong replies since the load began, and what failed besides without ending it.
    fn failures(&self) -> [u64; 2] {
        let control = self.control.as_ref();
        control.map_or([0; 2], |control| {
            [
                control.total(|line| &line.wrong),
                control.total(|line| &line.errors),
            ]
        })
    }
}

/// Whoever watches a load.
pub(crate) struct Live {
    shared: Arc<Shared>,
    screen: Option<Screen>,
    progress: Progress,
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
            seen: Mutex::new(Seen::new()),
            control: control.cloned(),
        });
        if let Some(address) = options.prometheus {
            prometheus::serve(address, &shared)?;
        }
        let wants_picture = !quiet && !options.no_tui && control.is_some();
        let screen = wants_picture.then(|| Screen::open(&shared)).flatten();
        let progress = Progress::new(quiet || screen.is_some());
        Ok(Live {
            says_lines: !quiet && screen.is_none() && !progress.is_shown(),
            is_scraped: options.prometheus.is_some(),
            shared,
            screen,
            progress,
            last_line: Cell::new(Instant::now()),
        })
    }

    fn is_watched(&self) -> bool {
        self.screen.is_some() || self.progress.is_shown() || self.is_scraped
    }

    /// How often to tell how far it is, if anybody looks.
    pub(crate) fn tick(&self) -> Option<Duration> {
        self.is_watched().then_some(TICK)
    }

    /// Connections are being made.
    pub(crate) fn connecting(&self, connected: usize, of: usize) {
        let share = connected as f64 / of.max(1) as f64;
        let control = self.shared.control.as_ref();
        let message = control.map_or_else(
            || {
                format!(
                    "{} of {} connections",
                    grouped(connected as u64),
                    grouped(of as u64)
                )
            },
            |control| control.standing.sentence(),
        );
        let mut seen = self.shared.seen();
        seen.stage(CONNECTING, share);
        seen.connected = connected;
        seen.connecting.clone_from(&message);
        self.progress.show(CONNECTING, share, message);
    }

    /// `share` of a stage, 0 to 1, is over.
    pub(crate) fn stage(&self, stage: &'static str, share: f64) {
        self.shared.seen().stage(stage, share);
        self.progress.show(stage, share, String::new());
    }

    /// A slice of the window is over.
    pub(crate) fn slice(&self, picture: &Picture<'_>) {
        let is_due = self.says_lines && self.last_line.get().elapsed() >= LINE_EVERY;
        if !self.is_watched() && !is_due {
            return;
        }
        let control = self.shared.control.as_ref();
        let lags = control.iter().flat_map(|control| control.measured());
        let lag = lags.map(|line| line.send_lag_ns.swap(0, Ordering::Relaxed));
        let mut seen = self.shared.seen();
        seen.add(picture, lag.max().unwrap_or(0), self.is_scraped);
        let message = seen.in_a_line(self.shared.failures());
        if is_due {
            self.last_line.set(Instant::now());
            let percent = 100.0 * picture.share;
            tell(format_args!("ringload: {percent:.0} % measured, {message}"));
        }
        self.progress.show(MEASURING, picture.share, message);
    }

    /// Leaves the terminal as it was.
    pub(crate) fn finish(&mut self) {
        self.screen = None;
        self.progress.finish();
    }
}

/// Stages that this module has a name for, too.
const CONNECTING: &str = "connecting";
const MEASURING: &str = "measuring";

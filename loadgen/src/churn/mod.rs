//! `ringload storm`: what coming and going costs the server.
//!
//! Closed, a fixed number of visits is under way, and one that ends is followed by another. Open, visits
//! are due by a schedule whatever the server does, and count from when they were due. Each thread has an
//! epoll instance and slots of its own; only the numbers of the visits are shared.
//!
//! ```text
//! options ── conduct (scout, warm-up, window, drain) ── report
//!               │
//!            thread ── schedule (open storm) ── visit ── findings
//! ```

mod conduct;
mod figures;
mod findings;
pub(crate) mod options;
mod report;
mod schedule;
mod thread;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use anyhow::Context;

use self::figures::FIGURES;
use self::schedule::Plan as Schedule;
use crate::churn::options::StormOptions;
use crate::control::Control;
use crate::dial::Dialer;
use crate::echo::workload::Workload;
use crate::interrupt::Interrupt;
use crate::load::pin;
use crate::output::document::Status;
use crate::output::gate::Judged;
use crate::output::{check_writable, deliver, gate};
use crate::payload::Random;
use crate::run::window::Observed;
use crate::run::{observe, seed};
use crate::session::Crew;
use crate::usage::{UsageError, make_room_for};

/// What the threads of a storm share.
struct Storm<'a> {
    options: &'a StormOptions,
    control: Control,
    dialer: Arc<Dialer>,
    workload: Workload,
    observed: Observed,
    schedule: Option<Schedule>,
    seed: u64,
    /// Number of the next visit's connection, which decides its source address.
    next_ordinal: AtomicUsize,
    /// Visits that ended well within the window.
    measured: AtomicU64,
    /// Visits that are due and have not begun, by thread.
    backlogs: Vec<AtomicU64>,
}

/// Runs and reports; see [`crate::run::run`].
pub(crate) fn run(options: &StormOptions) -> anyhow::Result<Status> {
    options.check()?;
    options.gate.check(&FIGURES)?;
    if let Some(path) = &options.output.json {
        check_writable(path)?;
    }
    make_room_for(options.connections)?;
    let observed = observe(&options.server_pids)?;
    let interrupt = Interrupt::install().context("taking over signals")?;
    if let Some(cpus) = &options.cpu {
        pin(&cpus.0).map_err(|error| {
            UsageError(format!(
                "--cpu: the kernel does not allow these CPUs ({error})"
            ))
        })?;
    }
    let dialer = Dialer::from_options(&options.target)?;
    let seed = seed(options.seed)?;
    let threads = options.threads();
    let storm = Storm {
        options,
        control: Control::new(threads, 0).context("creating an event fd")?,
        workload: options
            .exchange
            .workload(dialer.protocol(), options.size, seed),
        dialer: Arc::new(dialer),
        observed,
        schedule: Schedule::of(options),
        seed,
        next_ordinal: AtomicUsize::new(options.first_visit as usize),
        measured: AtomicU64::new(0),
        backlogs: (0..threads).map(|_| AtomicU64::new(0)).collect(),
    };
    let course = storm.conduct(&interrupt)?;
    let mut document = report::document(&storm, &course);
    document.gate = options.gate.judge(&FIGURES, &document);
    gate::conclude(&document.gate, &mut document.status, &mut document.error);
    let delivered = deliver(
        &document,
        || report::table(&document).into_text(),
        document.error.as_deref(),
        options.output.json.as_deref(),
        options.output.quiet,
    );
    let judged = Judged {
        name: format!("storm {}", document.load.urls.join(" ")),
        status: document.status,
        error: document.error.as_deref(),
        gate: &document.gate,
    };
    let reported = options.gate.report(&judged, || report::table(&document));
    delivered.and(reported)?;
    Ok(document.status)
}

impl Storm<'_> {
    fn crew(&self, stream: u64) -> Crew {
        Crew::new(
            self.control.clock,
            Arc::clone(&self.dialer),
            self.workload.clone(),
            Random::new(self.seed, stream),
        )
    }
}

//! `ringload churn`: what coming and going costs the server.
//!
//! Closed, a fixed number of sessions is under way, and one that ends is followed by another. Open, sessions are due by
//! a schedule whatever the server does, and count from when they were due. Each thread has an epoll instance and
//! slots of its own; only the numbers of the sessions are shared.
//!
//! ```text
//! options ── scout ── run::conduct (warm-up, window in slices, drain) ── report
//!                       │
//!                     thread ── schedule (open loop) ── session ── findings
//! ```

mod findings;
pub(crate) mod options;
mod report;
mod schedule;
mod thread;

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;

use self::findings::Findings;
use self::thread::Thread;
use crate::churn::options::ChurnOptions;
use crate::control::Control;
use crate::dial::Dialer;
use crate::echo::workload::Workload;
use crate::interrupt::Interrupt;
use crate::payload::Random;
use crate::result::Status;
use crate::run::conduct::{Conductor, Course, Patience};
use crate::run::options::Schedule;
use crate::run::seed;
use crate::run::window::Observed;
use crate::session::Crew;
use crate::session::scout::{Scouted, scout};
use crate::usage::make_room_for;

/// How much longer than a session may take the drain may, before threads are told to leave.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// What the threads of churn share.
struct Churn {
    options: ChurnOptions,
    control: Arc<Control>,
    dialer: Arc<Dialer>,
    workload: Workload,
    schedule: Option<Schedule>,
    seed: u64,
    /// Number of the next session's connection, which decides its source address.
    next_ordinal: AtomicUsize,
    /// Sessions that ended well within the window, or are about to be counted so; and those that were counted.
    claimed: AtomicU64,
    counted: AtomicU64,
}

/// Runs and reports; see [`crate::run::run`].
pub(crate) fn run(options: &ChurnOptions) -> anyhow::Result<Status> {
    options.check()?;
    options.report.check("churn")?;
    let load = &options.load;
    make_room_for(load.connections)?;
    let interrupt = Interrupt::install().context("taking over signals")?;
    let observed = options.place.settle()?;
    let dialer = Dialer::from_options(&load.target)?;
    let seed = seed(load.seed)?;
    let control = Control::new(load.threads(), 0).context("creating an event fd")?;
    let churn = Arc::new(Churn {
        control: Arc::new(control),
        workload: load
            .exchange
            .workload(dialer.protocol(), load.target.answer(), &load.size, seed),
        dialer: Arc::new(dialer),
        schedule: options.timing.schedule(),
        seed,
        next_ordinal: AtomicUsize::new(options.first_session as usize),
        claimed: AtomicU64::new(0),
        counted: AtomicU64::new(0),
        options: options.clone(),
    });
    let (course, findings) = conduct(&churn, &observed, &interrupt)?;
    let mut document = report::document(&churn, &observed, &course, &findings);
    options.report.publish(&mut document)
}

/// The first session, which counts for nothing, and then all the others.
fn conduct<'a>(
    churn: &'a Arc<Churn>,
    observed: &'a Observed,
    interrupt: &'a Interrupt,
) -> anyhow::Result<(Course<'a>, Findings)> {
    let options = &churn.options;
    let (mut course, mut findings) = (Course::default(), Findings::new());
    let routes = churn.dialer.routes();
    let first = churn.next_ordinal.fetch_add(routes, Ordering::Relaxed);
    match scout(churn.crew(0), first, true, interrupt.as_fd())? {
        Scouted::Open(tls) => findings.tls = tls,
        Scouted::Failed(..) if options.keep_going => {}
        Scouted::Failed(ordinal, failure) => {
            findings.fault = Some(format!("session {ordinal}: {failure}"));
            return Ok((course, findings));
        }
        Scouted::Stopped => {
            course.interrupted = true;
            return Ok((course, findings));
        }
    }
    let session_max = options.session_timeout + DRAIN_GRACE;
    let conductor = Conductor {
        control: &churn.control,
        interrupt,
        observed,
        timing: &options.timing,
        schedule: churn.schedule.as_ref(),
        connections: options.load.connections,
        drain: Patience {
            // What fails is no reply, and is waited for.
            first: Duration::MAX,
            silence: session_max,
            whole: session_max,
        },
        hdr_log: None,
        start_at: None,
        live: options.report.live(Some(&churn.control))?,
    };
    let working = Arc::clone(churn);
    let (mut course, harvests) = conductor.conduct(move |line| Thread::work(&working, line))?;
    for harvest in harvests {
        if let Some(series) = &mut course.series {
            series.add(&harvest.counts.session);
        }
        findings.add(harvest.counts);
        findings.fault = findings.fault.or(harvest.fault);
    }
    Ok((course, findings))
}

impl Churn {
    fn crew(&self, stream: u64) -> Crew {
        Crew::new(
            self.control.clock,
            Arc::clone(&self.dialer),
            self.workload.clone(),
            Random::new(self.seed, stream),
        )
    }

    /// Counts a session of `line` that ended well within the window, unless there have been as many as were asked
    /// for. The last of those ends the window.
    fn count(&self, line: usize) {
        let sessions_max = self.options.sessions.unwrap_or(u64::MAX);
        if self.claimed.fetch_add(1, Ordering::Relaxed) >= sessions_max {
            return;
        }
        let sessions = &self.control.lines[line].messages;
        sessions.fetch_add(1, Ordering::Relaxed);
        // Releases the line above, so that the edge of the window sees all of them.
        if self.counted.fetch_add(1, Ordering::AcqRel) + 1 == sessions_max {
            self.control.is_complete.store(true, Ordering::Release);
            self.control.news.ring();
        }
    }

    /// Whether there have been as many as were asked for.
    fn is_over(&self) -> bool {
        self.options
            .sessions
            .is_some_and(|most| self.claimed.load(Ordering::Relaxed) >= most)
    }
}

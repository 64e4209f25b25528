//! `ringload idle`: what a connection that does nothing costs the server in memory.
//!
//! ```text
//! options ── holder (the connections) ── visit
//!    └ memory before, full, after ── report
//! ```

mod holder;
pub(crate) mod options;
mod report;

use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::Context;

use self::holder::Holder;
use self::report::Met;
use crate::idle::options::IdleOptions;
use crate::interrupt::Interrupt;
use crate::observe::limits::MachineTcpReading;
use crate::observe::process::{Memory, family_memory};
use crate::result::idle::{Growth, IdleResult, MachineTcp};
use crate::result::{Document, Status};
use crate::run::{INTERRUPTED, seed};

/// How often to look whether a server has given back what closed connections held.
const SETTLE_LOOK: Duration = Duration::from_millis(100);

/// Runs and reports; see [`crate::run::run`].
pub(crate) fn run(options: &IdleOptions) -> anyhow::Result<Status> {
    options.check()?;
    options.report.check("idle")?;
    let mut options = options.clone();
    options.place.server_pids = options.place.observe()?.server_pids;
    options.place.take()?;
    let interrupt = Interrupt::install().context("taking over signals")?;
    let mut document = measure(&options, &interrupt)?;
    options.report.publish(&mut document)
}

/// What went wrong, the first of it.
struct Trouble {
    status: Status,
    error: Option<String>,
    /// Whether the server is gone.
    is_server_gone: bool,
}

impl Trouble {
    fn failed(&mut self, error: String) {
        if self.status != Status::Failed {
            self.status = Status::Failed;
            self.error = Some(error);
        }
    }

    fn interrupted(&mut self) {
        if self.status == Status::Ok {
            self.status = Status::Interrupted;
            self.error = Some(INTERRUPTED.to_owned());
        }
    }
}

fn measure(options: &IdleOptions, interrupt: &Interrupt) -> anyhow::Result<Document> {
    // A server that dies takes its figures with it: what was read before says nothing of afterwards.
    let read_memory = |trouble: &mut Trouble| -> Option<Memory> {
        if trouble.is_server_gone {
            return None;
        }
        let memory = family_memory(&options.place.server_pids);
        if let Err(error) = &memory {
            trouble.is_server_gone = true;
            trouble.failed(format!(
                "the memory of the server cannot be read any more ({error}); did it end?"
            ));
        }
        memory.ok()
    };
    let mut trouble = Trouble {
        status: Status::Ok,
        error: None,
        is_server_gone: false,
    };
    let seed = seed(options.load.seed)?;
    let mut holder = Holder::new(options, seed, interrupt)?;
    let memory_before = read_memory(&mut trouble);
    let tcp_before = MachineTcpReading::take();

    let mut live = options.report.live(None)?;
    let began = Instant::now();
    let opened = holder.open(|opened| live.connecting(opened, options.load.connections))?;
    let opening_seconds = began.elapsed().as_secs_f64();
    if let Some(error) = &opened.error {
        let (stood, asked) = (opened.connections, options.load.connections);
        trouble.failed(format!(
            "{stood} of {asked} connections stood when the next failed: {error}"
        ));
    }
    let full_from = unix_seconds();
    live.stage("holding", 1.0);
    if trouble.status == Status::Ok && (opened.interrupted || !holder.hold(options.hold)?) {
        trouble.interrupted();
    }
    let memory_full = read_memory(&mut trouble);
    let tcp_full = MachineTcpReading::take();
    let full_until = unix_seconds();

    live.stage("draining", 1.0);
    let is_hasty = trouble.status == Status::Interrupted;
    let closed = holder.close(is_hasty)?;
    if closed.interrupted {
        trouble.interrupted();
    }
    if let Some(error) = closed.error {
        trouble.failed(error);
    }
    let closed_at = Instant::now();
    let memory_after = loop {
        let memory = read_memory(&mut trouble);
        let Some((after, before)) = memory.zip(memory_before) else {
            break memory;
        };
        let is_given_back = after.rss_anonymous_bytes <= before.rss_anonymous_bytes;
        if is_given_back || closed_at.elapsed() >= options.settle {
            break memory;
        }
        if !interrupt.sleep(SETTLE_LOOK)? {
            trouble.interrupted();
            break memory;
        }
    };
    live.finish();
    let growth = |later: Option<Memory>| {
        let (before, later) = memory_before.zip(later)?;
        Growth::between(before, later, opened.connections)
    };
    let result = IdleResult {
        connections_opened: opened.connections,
        connections_lost: closed.lost,
        opening_seconds,
        sample_echoed: closed.echoed,
        memory_before,
        memory_full,
        memory_after,
        settle_seconds: closed_at.elapsed().as_secs_f64(),
        full_unix_seconds: [full_from, full_until],
        growth: growth(memory_full),
        kept: growth(memory_after),
        machine_tcp: tcp_before.zip(tcp_full).map(|(before, full)| MachineTcp {
            memory_before_bytes: before.memory_bytes,
            memory_full_bytes: full.memory_bytes,
            sockets_before: before.sockets,
            sockets_full: full.sockets,
        }),
    };
    let ending = (trouble.status, trouble.error);
    let met = Met {
        address: opened.address,
        tls: opened.tls,
        seed,
    };
    Ok(report::document(options, met, ending, result))
}

fn unix_seconds() -> f64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64()
}

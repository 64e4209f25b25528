//! `ringload idle`: what a connection that does nothing costs the server in memory.
//!
//! ```text
//! options ── holder (the connections) ── session
//!    └ memory before, full, after ── document
//! ```

mod holder;
pub(crate) mod options;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use self::holder::Holder;
use crate::control::Clock;
use crate::dial::Dialer;
use crate::idle::options::IdleOptions;
use crate::interrupt::Interrupt;
use crate::observe::limits::MachineTcpReading;
use crate::observe::process::Memory;
use crate::payload::Random;
use crate::quantity::grouped;
use crate::result::idle::{Growth, IdleResult, MachineTcp};
use crate::result::load::{Load, Loop};
use crate::result::{Checks, Document, NO_RESULT, Outcome, PARTIAL, Status};
use crate::run::{INTERRUPTED, seed, unix_seconds};
use crate::session::Crew;

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

fn measure(options: &IdleOptions, interrupt: &Interrupt) -> anyhow::Result<Document> {
    let load = &options.load;
    let (exchange, target) = (&load.exchange, &load.target);
    let seed = seed(load.seed)?;
    let dialer = Arc::new(Dialer::from_options(target)?);
    let workload = exchange.workload(dialer.protocol(), target.answer(), &load.size, seed);
    let clock = Clock::new();
    let crew = |stream| {
        let (dialer, random) = (Arc::clone(&dialer), Random::new(seed, stream));
        Crew::new(clock, dialer, workload.clone(), random)
    };
    let mut holder = Holder::new(options, interrupt, crew(1))?;
    let memory_before = holder.server_memory();
    let tcp_before = MachineTcpReading::take();

    let mut live = options.report.live(None)?;
    let began = Instant::now();
    let progress = |opened| live.connecting(opened, load.connections);
    holder.open(crew(u64::MAX), progress)?;
    let opening_seconds = began.elapsed().as_secs_f64();
    let full_from = unix_seconds();
    live.stage("holding", 1.0);
    holder.hold()?;
    // A server that dies takes its figures with it: what was read before says nothing of afterwards.
    let memory_full = memory_before.and_then(|_| holder.server_memory());
    let tcp_full = MachineTcpReading::take();
    let full_until = unix_seconds();

    live.stage("draining", 1.0);
    holder.close()?;
    let closed_at = Instant::now();
    let before_bytes = memory_before.map(|before| before.rss_anonymous_bytes);
    let is_kept = |after: Memory| Some(after.rss_anonymous_bytes) > before_bytes;
    let mut memory_after = memory_full.and_then(|_| holder.server_memory());
    while memory_after.is_some_and(is_kept) && closed_at.elapsed() < options.settle {
        if !interrupt.sleep(SETTLE_LOOK)? {
            holder.is_interrupted = true;
            break;
        }
        memory_after = holder.server_memory();
    }
    live.finish();
    let growth = |later: Option<Memory>| {
        let (before, later) = memory_before.zip(later)?;
        Growth::between(before, later, holder.stood)
    };
    let result = IdleResult {
        connections_opened: holder.stood,
        connections_lost: holder.lost,
        opening_seconds,
        sample_echoed: holder.crew.tally.messages,
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
    Ok(document(options, seed, holder, result))
}

/// Sums up.
fn document(options: &IdleOptions, seed: u64, holder: Holder<'_>, result: IdleResult) -> Document {
    let (status, error) = match (holder.failure, holder.is_interrupted) {
        (Some(failure), _) => (Status::Failed, Some(failure)),
        (None, true) => (Status::Interrupted, Some(INTERRUPTED.to_owned())),
        (None, false) => (Status::Ok, None),
    };
    let summary = match (status, result.growth) {
        (Status::Interrupted, _) => PARTIAL.to_owned(),
        (Status::Failed, _) => NO_RESULT.to_owned(),
        (_, None) => "What a connection costs is not known.".to_owned(),
        (_, Some(growth)) => format!(
            "A connection that does nothing costs the server {:.0} B of resident memory ({} were held).",
            growth.rss_bytes_per_connection,
            grouped(result.connections_opened as u64)
        ),
    };
    let (load, kinds) = (&options.load, options.load.exchange.kinds(None));
    let addresses = holder.crew.dialer.addresses();
    let load = Load {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        tls: holder.crew.tls,
        loop_kind: Loop::Idle,
        threads: 1,
        cpus: options.place.cpus(),
        engine: "epoll".to_owned(),
        engine_reason: "idle connections need no other".to_owned(),
        server_pids: options.place.server_pids.clone(),
        duration_seconds: options.hold.as_secs_f64(),
        ..load.describe(kinds, seed)
    };
    let outcome = Outcome::Idle(Some(Box::new(result)));
    Document {
        summary,
        ..Document::new((status, error), load, Checks::default(), outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_per_connection_and_may_be_negative() {
        let memory = |bytes| Memory {
            rss_bytes: bytes,
            ..Memory::default()
        };
        let growth = |before, full, connections| {
            Growth::between(memory(before), memory(full), connections)
                .map(|growth| growth.rss_bytes_per_connection)
        };
        assert_eq!(growth(1000, 6000, 10), Some(500.0));
        assert_eq!(growth(2000, 1000, 10), Some(-100.0));
        assert_eq!(growth(2000, 1000, 0), None);
    }
}

//! `ringload idle`: what a connection that does nothing costs the server in memory.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::Context;
use serde::Serialize;

use crate::dial::{Dialed, Dialer};
use crate::echo::connection::Turn;
use crate::echo::payload::{Kinds, Pool, Random};
use crate::echo::tally::Tally;
use crate::echo::workload::Workload;
use crate::interrupt::Interrupt;
use crate::measure::process::{Memory, family_memory};
use crate::options::idle::IdleOptions;
use crate::options::make_room_for;
use crate::output::deliver;
use crate::output::document::{Environment, Status};
use crate::output::table::{Table, bytes, grouped};
use crate::progress::Progress;
use crate::run::{observe, seed};
use crate::worker::Fault;

/// Connections that must still echo after the hold, evenly spread over all.
const SAMPLE: usize = 100;

/// Payload of a sample echo.
const SAMPLE_MESSAGE_BYTES: usize = 32;

/// How often to look whether a server has given back what closed connections held.
const SETTLE_LOOK: Duration = Duration::from_millis(100);

/// Connections made between two looks at signals and progress.
const CONNECTIONS_PER_LOOK: usize = 256;

/// The JSON of `ringload idle`.
#[derive(Serialize)]
struct IdleDocument {
    /// Always `ringload-idle/1`.
    schema: &'static str,
    status: Status,
    error: Option<String>,
    environment: Environment,
    url: String,
    address: Option<String>,
    protocol: String,
    server_pids: Vec<i32>,
    connections_asked: usize,
    connections_opened: usize,
    /// Connections that were asked for an echo after the hold, and gave it.
    sample_echoed: u64,
    hold_seconds: f64,
    memory_before: Memory,
    /// With all connections open, after the hold and before any message.
    memory_full: Memory,
    /// After all were closed, and `settle_seconds` later.
    memory_after: Memory,
    /// How long the server took until it had no more anonymous memory than before, or how long it
    /// was given.
    settle_seconds: f64,
    /// When all connections were open and when the memory with them had been read: several processes
    /// that hold connections at one server, or at several, can see whether they did so together.
    full_unix_seconds: [f64; 2],
    /// `full` less `before`, by the number of connections opened; `None` if none was.
    growth: Option<Growth>,
    /// `after` less `before`, the same way: what was kept.
    kept: Option<Growth>,
}

/// Growth of the server's memory per connection opened. The kernel's own memory for a socket is
/// not in it.
#[derive(Clone, Copy, Serialize)]
struct Growth {
    rss_bytes_per_connection: f64,
    rss_anonymous_bytes_per_connection: f64,
    pss_bytes_per_connection: Option<f64>,
    private_dirty_bytes_per_connection: Option<f64>,
}

impl Growth {
    fn between(before: Memory, full: Memory, connections: usize) -> Option<Growth> {
        let per_connection =
            |before: u64, full: u64| (full as f64 - before as f64) / connections as f64;
        let optional =
            |before: Option<u64>, full: Option<u64>| Some(per_connection(before?, full?));
        (connections > 0).then(|| Growth {
            rss_bytes_per_connection: per_connection(before.rss_bytes, full.rss_bytes),
            rss_anonymous_bytes_per_connection: per_connection(
                before.rss_anonymous_bytes,
                full.rss_anonymous_bytes,
            ),
            pss_bytes_per_connection: optional(before.pss_bytes, full.pss_bytes),
            private_dirty_bytes_per_connection: optional(
                before.private_dirty_bytes,
                full.private_dirty_bytes,
            ),
        })
    }
}

/// Runs and reports; see [`crate::run::run`].
pub(crate) fn run(options: &IdleOptions) -> anyhow::Result<Status> {
    make_room_for(options.connections)?;
    observe(&options.server_pids)?;
    let interrupt = Interrupt::install().context("taking over signals")?;
    let protocol = options.target.protocol();
    let dialer = Dialer::new(options.target.urls[0].clone(), protocol)
        .with_context(|| format!("resolving {:?}", options.target.urls[0].host))?;
    let mut random = Random::new(seed(options.seed)?, 0);
    let read_memory = || {
        family_memory(&options.server_pids).context("reading the memory of the server's process")
    };

    let memory_before = read_memory()?;
    let mut opened = Vec::new();
    let mut status = Status::Ok;
    let mut error = None;
    let is_open = open(options, &dialer, &interrupt, &mut random, &mut opened);
    let full_from = unix_seconds();
    match is_open {
        Ok(true) if interrupt.sleep(options.hold)? => {}
        Ok(_) => status = Status::Interrupted,
        Err(fault) => {
            status = Status::Failed;
            error = Some(fault.to_string());
        }
    }
    let memory_full = read_memory()?;
    let full_until = unix_seconds();
    let connections_opened = opened.len();
    let pool = Arc::new(Pool::new(Kinds::Binary, SAMPLE_MESSAGE_BYTES, &mut random));
    let workload = Workload::simple(protocol, SAMPLE_MESSAGE_BYTES, pool);
    let mut tally = Tally::new();
    if let Err(fault) = close(opened, &workload, &mut random, &mut tally) {
        status = Status::Failed;
        error = error.or(Some(fault.to_string()));
    }
    let closed = Instant::now();
    let memory_after = loop {
        let memory = read_memory()?;
        let is_given_back = memory.rss_anonymous_bytes <= memory_before.rss_anonymous_bytes;
        if is_given_back || closed.elapsed() >= options.settle {
            break memory;
        }
        if !interrupt.sleep(SETTLE_LOOK)? {
            status = Status::Interrupted;
            break memory;
        }
    };
    let document = IdleDocument {
        schema: "ringload-idle/1",
        status,
        error: error.or_else(|| {
            (status == Status::Interrupted)
                .then(|| "interrupted: the figures are partial".to_owned())
        }),
        environment: Environment::read(),
        url: options.target.urls[0].url.clone(),
        address: dialer.address().map(|address| address.to_string()),
        protocol: protocol.to_string(),
        server_pids: options.server_pids.clone(),
        connections_asked: options.connections,
        connections_opened,
        sample_echoed: tally.messages,
        hold_seconds: options.hold.as_secs_f64(),
        memory_before,
        memory_full,
        memory_after,
        settle_seconds: closed.elapsed().as_secs_f64(),
        full_unix_seconds: [full_from, full_until],
        growth: Growth::between(memory_before, memory_full, connections_opened),
        kept: Growth::between(memory_before, memory_after, connections_opened),
    };
    deliver(
        &document,
        || table(&document),
        document.error.as_deref(),
        options.output.json.as_deref(),
        options.output.quiet,
    )?;
    Ok(status)
}

fn unix_seconds() -> f64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64()
}

/// Opens the connections; `false` if interrupted. Those that stand are in `opened` in any case.
fn open(
    options: &IdleOptions,
    dialer: &Dialer,
    interrupt: &Interrupt,
    random: &mut Random,
    opened: &mut Vec<Dialed>,
) -> Result<bool, Fault> {
    let progress = Progress::new(options.output.quiet);
    for ordinal in 0..options.connections {
        if ordinal % CONNECTIONS_PER_LOOK == 0 {
            if interrupt.is_raised() {
                return Ok(false);
            }
            let share = ordinal as f64 / options.connections as f64;
            progress.show("connecting", share, format!("{ordinal} connections"));
        }
        let dialed = dialer.dial(ordinal, random).map_err(|failure| Fault {
            connection: Some(ordinal),
            failure,
        })?;
        opened.push(dialed);
    }
    progress.finish();
    Ok(true)
}

/// Closes every connection in good order, some of them after one more echo.
fn close(
    opened: Vec<Dialed>,
    workload: &Workload,
    random: &mut Random,
    tally: &mut Tally,
) -> Result<(), Fault> {
    let stride = opened.len().div_ceil(SAMPLE).max(1);
    let mut first_fault = None;
    for (ordinal, dialed) in opened.into_iter().enumerate() {
        let mut turn = Turn {
            now: 0,
            workload,
            random: &mut *random,
            tally: &mut *tally,
        };
        let result = dialed.leave(ordinal % stride == 0, &mut turn);
        if let Err(failure) = result {
            // The rest is closed all the same, so that the last reading means something.
            first_fault = first_fault.or(Some(Fault {
                connection: Some(ordinal),
                failure,
            }));
        }
    }
    first_fault.map_or(Ok(()), Err)
}

fn table(document: &IdleDocument) -> String {
    let mut table = Table::default();
    table.row(
        "connections",
        format!(
            "{} idle for {} s over {} to {}",
            grouped(document.connections_opened as u64),
            document.hold_seconds,
            document.protocol,
            document.address.as_deref().unwrap_or(&document.url)
        ),
    );
    for (name, memory) in [
        ("before", document.memory_before),
        ("full", document.memory_full),
        ("after", document.memory_after),
    ] {
        let resident = bytes(memory.rss_bytes as f64);
        let anonymous = bytes(memory.rss_anonymous_bytes as f64);
        table.row(
            name,
            format!("{resident} resident, {anonymous} of it anonymous"),
        );
    }
    if let Some(growth) = document.growth {
        let dirty = growth
            .private_dirty_bytes_per_connection
            .map_or(String::new(), |bytes| {
                format!(", private dirty {bytes:.0} B")
            });
        table.row(
            "per connection",
            format!(
                "{:.0} B of the server's resident memory (anonymous {:.0} B{dirty})",
                growth.rss_bytes_per_connection, growth.rss_anonymous_bytes_per_connection
            ),
        );
    }
    if let Some(kept) = document.kept {
        table.row(
            "kept",
            format!(
                "{:.0} B per connection (anonymous {:.0} B), {:.1} s after they had left",
                kept.rss_bytes_per_connection,
                kept.rss_anonymous_bytes_per_connection,
                document.settle_seconds
            ),
        );
    }
    table.row(
        "sample",
        format!("{} connections still echoed", document.sample_echoed),
    );
    table.into_text()
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

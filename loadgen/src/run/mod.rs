//! `ringload run`: one load on one server (or several that are alike), from connect to report.
//!
//! ```text
//! options ── plan ── threads (load, worker, engine)
//!              │         │ hand over, slice by slice
//!           conduct ── series ── result ── document
//! ```

pub(crate) mod conduct;
pub mod options;
pub mod place;
mod plan;
pub(crate) mod result;
pub(crate) mod series;
mod threads;
pub(crate) mod window;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use hdrhistogram::Histogram;

use self::conduct::{Conductor, Course, Patience, Stretch};
use self::options::{FileOptions, RunOptions};
use self::plan::Plan;
use self::series::Series;
use self::threads::{Gathered, gather};
use crate::interrupt::Interrupt;
use crate::output::{check_file, csv, histogram};
use crate::result::load::{Load, Loop};
use crate::result::{Document, Outcome, Status};
use crate::slow::SlowReaders;
use crate::usage::make_room_for;

/// What is said of whatever a signal cut short.
pub(crate) const INTERRUPTED: &str = "interrupted: the figures are partial";

/// How long the last replies and the closing handshakes may take.
const DRAIN: Patience = Patience {
    first: Duration::from_secs(1),
    silence: Duration::from_secs(5),
    whole: Duration::from_secs(30),
};

/// What a run found.
pub struct Measured {
    /// The result.
    pub document: Document,
    /// Its latencies in nanoseconds, if it came to a window.
    pub latency: Option<Histogram<u64>>,
    /// Whether the log of its slices could be written.
    log: anyhow::Result<()>,
}

/// Runs and reports. The status says how it ended; errors are those that left nothing to
/// report.
pub(crate) fn run(options: &RunOptions) -> anyhow::Result<Status> {
    let interrupt = Interrupt::install().context("taking over signals")?;
    Ok(complete(options, &interrupt)?.status)
}

/// The same, with what was found.
pub(crate) fn complete(options: &RunOptions, interrupt: &Interrupt) -> anyhow::Result<Document> {
    let FileOptions {
        csv,
        histogram,
        hdr_log,
    } = &options.files;
    for file in [csv, histogram, hdr_log].into_iter().flatten() {
        check_file(file)?;
    }
    options.report.check("run")?;
    let mut measured = measure(options, interrupt)?;
    let published = options.report.publish(&mut measured.document);
    // What cannot be written keeps the rest from nobody.
    let series = csv.as_ref().zip(measured.document.figures());
    let series = series.map(|(path, figures)| csv::write_file(path, &figures.series));
    let latency = histogram.as_ref().zip(measured.latency);
    let latency = latency.map(|(path, latency)| histogram::write_file(path, &latency));
    let written = [
        Some(published.map(drop)),
        series,
        latency,
        Some(measured.log),
    ];
    for written in written.into_iter().flatten() {
        written?;
    }
    Ok(measured.document)
}

/// Loads as asked and sums up; prints nothing but the live view.
pub fn measure(options: &RunOptions, interrupt: &Interrupt) -> anyhow::Result<Measured> {
    let RunOptions { load, traffic, .. } = options;
    let beside = traffic.slow_readers.saturating_add(traffic.heavy);
    make_room_for(load.connections.saturating_add(beside))?;
    options.check()?;
    let observed = options.place.settle()?;
    let plan = Arc::new(Plan::new(options)?);
    let conductor = Conductor {
        control: &plan.control,
        interrupt,
        observed: &observed,
        timing: &options.timing,
        schedule: plan.schedule.as_ref(),
        connections: load.connections + traffic.heavy,
        drain: DRAIN,
        hdr_log: options.files.hdr_log.as_deref(),
        start_at: options.start_at,
        live: options.report.live(Some(&plan.control))?,
    };
    let slow_readers = plan.slow_readers()?;
    let working = Arc::clone(&plan);
    let (mut course, harvests) = conductor.conduct(move |line| working.work(line))?;
    let mut gathered = gather(harvests, course.series.as_mut())?;
    match slow_readers.map_or(Ok(0), SlowReaders::end) {
        Ok(closed) => gathered.checks.slow_readers_closed = closed,
        Err(failure) => gathered.add_fault(format!("a slow reader: {failure}")),
    }
    let load = Load {
        server_pids: observed.server_pids.clone(),
        ..plan.describe()
    };
    let ending = judge(&course, &gathered, load.loop_kind);
    let own = gathered.own(&load, course.series.as_ref());
    let checks = gathered.checks.clone();
    let document = result::document(Outcome::Run, ending, load, checks, &course, own);
    let log = course.series.as_mut().map_or(Ok(()), Series::finish_log);
    let latency = course.series.map(|series| series.latency);
    Ok(Measured {
        document,
        latency,
        log,
    })
}

/// The time of day, in seconds since 1970.
pub(crate) fn unix_seconds() -> f64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64()
}

/// The seed asked for, or one from the kernel.
pub fn seed(asked: Option<u64>) -> anyhow::Result<u64> {
    if let Some(seed) = asked {
        return Ok(seed);
    }
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .context("asking the kernel for a seed")?;
    Ok(u64::from_ne_bytes(bytes))
}

/// What a signal cut short.
fn interrupted(course: &Course<'_>, gathered: &Gathered) -> String {
    let checks = &gathered.checks;
    let mut told = match course.window {
        Some(Stretch::Complete) => format!(
            "interrupted while the last replies were awaited: the window is whole; messages without a \
             reply: {}, never sent: {}",
            checks.messages_unanswered, checks.messages_unsent
        ),
        _ => INTERRUPTED.to_owned(),
    };
    if checks.messages_wrong > 0 {
        told += &format!("; wrong replies: {}", checks.messages_wrong);
    }
    told
}

/// How the run ended, and the sentence that says so.
fn judge(course: &Course<'_>, gathered: &Gathered, loop_kind: Loop) -> (Status, Option<String>) {
    // Faults that came after a signal are its doing, as where it stopped the server too.
    if course.interrupted && course.window != Some(Stretch::Failed) {
        return (Status::Interrupted, Some(interrupted(course, gathered)));
    }
    conduct::ending(failure(course, gathered, loop_kind))
}

/// What went wrong, if anything did: the first that says most.
fn failure(course: &Course<'_>, gathered: &Gathered, loop_kind: Loop) -> Option<String> {
    let checks = &gathered.checks;
    if let Some(first) = checks.faults.first() {
        return Some(match gathered.faults {
            1 => first.clone(),
            faults => format!("{first}\n  ({} more threads failed too)", faults - 1),
        });
    }
    if let Some(first) = checks.mismatches.first() {
        return Some(match checks.messages_wrong {
            1 => format!("one reply was wrong: {first}"),
            wrong => format!("{wrong} replies were wrong, such as this one: {first}"),
        });
    }
    let oldest = checks.oldest_unanswered_seconds;
    // What was lost with a connection is not waited for.
    let unanswered = checks.messages_unanswered - gathered.lost;
    let has_echoed = checks.messages_verified + checks.messages_wrong > 0 || gathered.has_part;
    if unanswered > 0 && !has_echoed {
        return Some(format!(
            "the server accepts connections and echoes nothing: of {unanswered} messages none was answered, and \
             the first had waited for {oldest:.1} s"
        ));
    }
    // A schedule that a server cannot hold leaves it with work for longer than anybody waits.
    let is_behind = loop_kind == Loop::Open && course.was_draining;
    let pings = checks.pings_unanswered;
    if unanswered > 0 && !is_behind {
        Some(format!(
            "{unanswered} messages were not answered; the oldest had waited for {oldest:.1} s"
        ))
    } else if pings > 0 && !is_behind {
        Some(format!("{pings} pings were not answered when all else was"))
    } else if course.series.is_none() {
        Some("the load never began".to_owned())
    } else if course.completed() == 0 {
        Some("no message was answered within the window; measure for longer".to_owned())
    } else if course.has_lost_server() {
        Some("a process of --server-pid ended during the run".to_owned())
    } else {
        None
    }
}

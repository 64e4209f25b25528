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
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;

use self::conduct::{Conductor, Course, Patience, Stretch};
use self::series::Series;
use self::threads::{Gathered, gather};
use crate::engine::select;
use crate::interrupt::Interrupt;
use crate::live::Live;
use crate::load::{Plan, start};
use crate::output::{check_file, check_writable, csv, histogram, publish};
use crate::result::load::Loop;
use crate::result::{Document, Status};
use crate::run::options::RunOptions;
use crate::run::window::Observed;
use crate::slow::SlowReaders;
use crate::usage::make_room_for;

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
    let files = [&options.csv, &options.histogram, &options.hdr_log];
    for file in files.into_iter().flatten() {
        check_file(file)?;
    }
    if let Some(file) = &options.output.json {
        check_writable(file)?;
    }
    options.gate.check("run")?;
    let Measured {
        mut document,
        latency,
        log,
    } = measure(options, interrupt)?;
    let mut written = vec![publish(&mut document, &options.gate, &options.output)];
    if let Some((path, figures)) = options.csv.as_ref().zip(document.figures()) {
        written.push(csv::write_file(path, &figures.series));
    }
    if let Some((path, latency)) = options.histogram.as_ref().zip(latency) {
        written.push(histogram::write_file(path, &latency));
    }
    written.push(log);
    written.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(document)
}

/// Loads as asked and sums up; prints nothing but the live view.
pub fn measure(options: &RunOptions, interrupt: &Interrupt) -> anyhow::Result<Measured> {
    let RunOptions {
        load,
        traffic,
        timing,
        ..
    } = options;
    let beside = traffic.slow_readers.saturating_add(traffic.heavy);
    make_room_for(load.connections.saturating_add(beside))?;
    options.check()?;
    let mut observed = options.place.observe()?;
    observed.gaps = options.place.settle()?;
    let selection = select(traffic.engine)
        .context("io_uring cannot be used here; --engine epoll does without")?;
    let plan = Arc::new(plan::plan(options, &selection, seed(load.seed)?)?);
    let timeline = plan.schedule.as_ref().map(|(timeline, _)| &**timeline);
    let live = Live::new(options.output.quiet, &options.live, Some(&plan.control))?;
    let working = Arc::clone(&plan);
    let threads = start(&plan.control, move |line| working.work(line));
    let threads = threads.context("starting a thread")?;
    let slow_readers = slow_readers(&plan, traffic.slow_readers)?;
    let conductor = Conductor {
        control: &plan.control,
        interrupt,
        observed: &observed,
        timeline,
        parties: plan.control.lines.len() + usize::from(slow_readers.is_some()),
        connections: load.connections + traffic.heavy,
        warmup: timing.warmup,
        duration: timing.duration(),
        drain: DRAIN,
        hdr_log: options.hdr_log.as_deref(),
        start_at: options.start_at,
        live,
    };
    let mut course = conductor.conduct()?;
    let mut gathered = gather(threads, course.series.as_mut())?;
    match slow_readers.map_or(Ok(0), SlowReaders::end) {
        Ok(closed) => gathered.checks.slow_readers_closed = closed,
        Err(failure) => gathered.add_fault(format!("a slow reader: {failure}")),
    }
    let load = plan::describe(options, &plan, &selection);
    let ending = judge(&observed, &course, &gathered, load.loop_kind);
    let document = result::of_run(&course, &gathered, &observed, &load, ending);
    let log = course.series.as_mut().map_or(Ok(()), Series::finish_log);
    let latency = course.series.map(|series| series.latency);
    Ok(Measured {
        document,
        latency,
        log,
    })
}

/// Starts those that hardly read, if there are to be any.
fn slow_readers(plan: &Plan, count: usize) -> anyhow::Result<Option<SlowReaders>> {
    if count == 0 {
        return Ok(None);
    }
    let heavy = plan.heavy.as_ref().map_or(0, |heavy| heavy.connections);
    let first = plan.connections + heavy;
    let numbers = first..first + count;
    let readers = SlowReaders::start(
        &plan.dialer,
        &plan.control,
        &plan.workload,
        numbers,
        plan.seed,
    );
    readers.map(Some).context("starting a thread")
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
        _ => "interrupted: the figures are partial".to_owned(),
    };
    if checks.messages_wrong > 0 {
        told += &format!("; wrong replies: {}", checks.messages_wrong);
    }
    told
}

/// How the run ended, and the sentence that says so.
fn judge(
    observed: &Observed,
    course: &Course<'_>,
    gathered: &Gathered,
    loop_kind: Loop,
) -> (Status, Option<String>) {
    let failed = |error: String| (Status::Failed, Some(error));
    // Faults that came after a signal are its doing, as where it stopped the server too.
    if course.interrupted && course.window != Some(Stretch::Failed) {
        return (Status::Interrupted, Some(interrupted(course, gathered)));
    }
    if let Some(first) = gathered.checks.faults.first() {
        return failed(match gathered.faults {
            1 => first.clone(),
            faults => format!("{first}\n  ({} more threads failed too)", faults - 1),
        });
    }
    if let Some(first) = gathered.checks.mismatches.first() {
        return failed(match gathered.checks.messages_wrong {
            1 => format!("one reply was wrong: {first}"),
            wrong => format!("{wrong} replies were wrong, such as this one: {first}"),
        });
    }
    let (checks, oldest) = (&gathered.checks, gathered.checks.oldest_unanswered_seconds);
    // What was lost with a connection is not waited for.
    let unanswered = checks.messages_unanswered - gathered.lost;
    let has_echoed = checks.messages_verified + checks.messages_wrong > 0 || gathered.has_part;
    if unanswered > 0 && !has_echoed {
        return failed(format!(
            "the server accepts connections and echoes nothing: of {unanswered} messages none was answered, and \
             the first had waited for {oldest:.1} s"
        ));
    }
    // A schedule that a server cannot hold leaves it with work for longer than anybody waits.
    let is_behind = loop_kind == Loop::Open && course.was_draining;
    if unanswered > 0 && !is_behind {
        return failed(format!(
            "{unanswered} messages were not answered; the oldest had waited for {oldest:.1} s"
        ));
    }
    let pings = checks.pings_unanswered;
    if pings > 0 && !is_behind {
        return failed(format!("{pings} pings were not answered when all else was"));
    }
    let Some(series) = &course.series else {
        return failed("the load never began".to_owned());
    };
    let window = series.window();
    if window.messages == 0 {
        return failed("no message was answered within the window; measure for longer".to_owned());
    }
    if !observed.server_pids.is_empty() && window.server.is_none() {
        return failed("a process of --server-pid ended during the run".to_owned());
    }
    (Status::Ok, None)
}

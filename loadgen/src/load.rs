//! The load threads, whatever their work is: how many, on which CPUs, from their start to what they leave behind.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::anyhow;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::control::{Control, Phase};
use crate::fault::Fault;

/// How many load threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// One for each CPU that may be used.
    Auto,
    /// So many.
    Count(usize),
}

/// `auto`, or a number.
pub(crate) fn parse_threads(text: &str) -> Result<Threads, String> {
    match text {
        "auto" => Ok(Threads::Auto),
        _ => text
            .parse()
            .map(Threads::Count)
            .map_err(|_| "expected a number of threads, or auto".to_owned()),
    }
}

/// What a load thread leaves behind.
pub(crate) struct Harvest<T> {
    /// What it counted.
    pub(crate) counts: T,
    /// Why it failed, if it did, in one sentence.
    pub(crate) fault: Option<String>,
}

/// Starts a thread for each line of `control` that does `work`, whatever kind of work that is.
pub(crate) fn start<T: Send + 'static>(
    control: &Arc<Control>,
    work: impl Fn(usize) -> Harvest<T> + Send + Sync + 'static,
) -> io::Result<Vec<JoinHandle<Harvest<T>>>> {
    let work = Arc::new(work);
    (0..control.lines.len())
        .map(|line| {
            let (control, work) = (Arc::clone(control), Arc::clone(&work));
            let name = format!("load-{line}");
            Builder::new().name(name).spawn(move || {
                let harvest = work(line);
                if harvest.fault.is_some() {
                    control.fail();
                    // The thread's CPU account goes with it: stay until it has been read.
                    await_phase(&control, line, Phase::Drain);
                }
                control.ended.fetch_add(1, Ordering::Release);
                control.news.ring();
                harvest
            })
        })
        .collect()
}

/// Waits for the threads to end.
pub(crate) fn join<T>(threads: Vec<JoinHandle<Harvest<T>>>) -> anyhow::Result<Vec<Harvest<T>>> {
    let join = |thread: JoinHandle<Harvest<T>>| thread.join();
    let harvests = threads.into_iter().map(join).collect::<Result<_, _>>();
    harvests.map_err(|_| anyhow!("a load thread panicked"))
}

fn await_phase(control: &Control, line: usize, phase: Phase) {
    let wake = &control.wakes[line];
    while control.phase() < phase {
        // A failed wait only means looking again.
        if poll(&mut [PollFd::new(wake, PollFlags::IN)], None).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        wake.hush();
    }
}

/// Tells the main thread which thread works on a line, and keeps it on one of `cpus`, if there are any.
pub(crate) fn settle(control: &Control, line: usize, cpus: &[usize]) -> Result<(), Fault> {
    let id = rustix::thread::gettid().as_raw_nonzero().get();
    control.lines[line].thread_id.store(id, Ordering::Relaxed);
    if cpus.is_empty() {
        return Ok(());
    }
    pin(&[cpus[line % cpus.len()]]).map_err(|error| Fault::engine("pinning a thread", error))
}

/// CPUs that this process may use.
pub(crate) fn allowed_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Pins the calling thread to `cpus`.
pub fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

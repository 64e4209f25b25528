//! The load threads of a run: connect, wait for the start, drive, hand back what was counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::anyhow;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::alarm::precise_timers;
use crate::control::{Control, GivenUp, Phase, Share};
use crate::dial::Dialer;
use crate::echo::tally::Tally;
use crate::echo::workload::{Limits, Workload};
use crate::engine::{Driver, Engine};
use crate::fault::Fault;
use crate::pacer::Pacer;
use crate::payload::Random;
use crate::schedule::{Arrivals, Timeline};
use crate::session::Crew;
use crate::session::opener::{Gate, Opener};
use crate::worker::Worker;

/// What every load thread is given.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Shared state.
    pub(crate) control: Arc<Control>,
    /// Makes connections.
    pub(crate) dialer: Arc<Dialer>,
    /// What to send.
    pub(crate) workload: Workload,
    /// When to send it, in an open loop.
    pub(crate) schedule: Option<(Arc<Timeline>, Arrivals)>,
    /// Time between two pings of a connection, if there are pings.
    pub(crate) ping_every: Option<Duration>,
    /// Whether connections that end before their time are made again.
    pub(crate) reconnect: bool,
    /// How to move bytes.
    pub(crate) engine: Engine,
    /// Connections in all, but for the heavy ones.
    pub(crate) connections: usize,
    /// What presses beside them, on a thread of its own.
    pub(crate) heavy: Option<Heavy>,
    /// Seed of the run; each thread takes a stream of its own.
    pub(crate) seed: u64,
    /// CPUs to run on, in turn; empty leaves it to the kernel.
    pub(crate) cpus: Vec<usize>,
}

/// Connections that keep both directions full beside the load.
#[derive(Clone)]
pub(crate) struct Heavy {
    pub(crate) connections: usize,
    pub(crate) workload: Workload,
}

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

/// What a thread counted that sends messages.
pub(crate) struct Counts {
    pub(crate) tally: Tally,
    /// What was still owed at the end.
    pub(crate) given_up: GivenUp,
    /// Connections that had ended before their time and were made again.
    pub(crate) reconnects: u64,
    /// Of the heavy connections: messages answered within the window, by connection.
    pub(crate) heavy_shares: Option<Vec<u64>>,
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
    let wake = &control.lines[line].wake;
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

impl Plan {
    /// What the thread of `line` does: connects, loads, hands back what it counted.
    pub(crate) fn work(&self, line: usize) -> Harvest<Counts> {
        let share = self.share(line);
        let heavy = self.heavy.as_ref().filter(|_| share.is_heavy);
        let workload = Workload {
            limits: Limits::for_connections(share.ordinals().len()),
            ..heavy
                .map_or(&self.workload, |heavy| &heavy.workload)
                .clone()
        };
        let random = Random::new(self.seed, 1 + line as u64);
        let mut worker = Worker::new(self.control.clone(), share, workload, random);
        if let Some((timeline, arrivals)) = self.schedule.as_ref().filter(|_| !share.is_heavy) {
            let pacer = Pacer::new(
                Arc::clone(timeline),
                *arrivals,
                share.ordinals(),
                self.connections,
                &mut worker.random,
            );
            worker.follow(pacer);
        }
        worker.ping_every = self.ping_every.filter(|_| !share.is_heavy);
        worker.reconnects = self.reconnect;
        let fault = self.connect_and_drive(share, &mut worker).err();
        worker.publish();
        let given_up = worker.give_up();
        Harvest {
            counts: Counts {
                heavy_shares: share.is_heavy.then(|| worker.answered_within()),
                reconnects: worker.reconnected,
                tally: worker.tally,
                given_up,
            },
            fault: fault.map(|fault| fault.to_string()),
        }
    }

    fn share(&self, line: usize) -> Share {
        let threads = self.control.measured().len();
        let heavy = self.heavy.as_ref().filter(|_| line >= threads);
        let (first, step, end) = match heavy {
            None => (line, threads, self.connections),
            Some(heavy) => (self.connections, 1, self.connections + heavy.connections),
        };
        Share {
            line,
            first,
            step,
            end,
            is_heavy: heavy.is_some(),
        }
    }

    fn connect_and_drive(&self, share: Share, worker: &mut Worker) -> Result<(), Fault> {
        let line = &self.control.lines[share.line];
        settle(&self.control, share.line, &self.cpus)?;
        if self.schedule.is_some() {
            precise_timers();
        }
        let opener = self.opener(share)?;
        self.engine.drive(Driver::new(worker, &line.wake, opener)?)
    }

    /// What opens the connections of a thread.
    fn opener(&self, share: Share) -> Result<Opener<'_>, Fault> {
        let control = &self.control;
        // Streams below the number of threads serve the load; nonces get one of their own.
        let nonces = Random::new(self.seed, u64::MAX - share.line as u64);
        let (dialer, workload) = (Arc::clone(&self.dialer), self.workload.clone());
        let crew = Crew::new(control.clock, dialer, workload, nonces);
        let (pace, now) = (self.dialer.pace(), control.clock.now());
        let gate = Gate::new(share.ordinals(), pace, control.lines.len(), now);
        let opener = Opener::new(crew, gate, &control.standing);
        opener.map_err(|error| Fault::engine("preparing to connect", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Rates;

    #[test]
    fn messages_that_are_due_one_after_the_other_are_spread_over_the_threads() {
        let timeline = Arc::new(Rates::constant(1000.0).timeline(Duration::ZERO));
        let mut whose = Vec::new();
        for line in 0..3 {
            let share = Share {
                line,
                first: line,
                step: 3,
                end: 8,
                is_heavy: false,
            };
            let mut random = Random::new(1, 0);
            let arrivals = Arrivals::Even;
            let ordinals = share.ordinals();
            assert!((2..=3).contains(&ordinals.len()));
            let mut pacer = Pacer::new(Arc::clone(&timeline), arrivals, ordinals, 8, &mut random);
            pacer.start(0);
            while let Some((index, due)) = pacer.pop(7_000_000) {
                assert_eq!(share.ordinal(index) as u64 * 1_000_000, due);
                whose.push((due, line));
                pacer.taken(index, &mut random);
            }
        }
        whose.sort_unstable();
        let lines: Vec<usize> = whose.iter().map(|(_, line)| *line).collect();
        assert_eq!(lines, [0, 1, 2, 0, 1, 2, 0, 1]);
    }
}

//! The load threads of a run: connect, wait for the start, drive, hand back what was counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::alarm::precise_timers;
use crate::control::{Control, Phase};
use crate::dial::Dialer;
use crate::echo::payload::Random;
use crate::echo::tally::Tally;
use crate::echo::workload::{Limits, Workload};
use crate::engine::Engine;
use crate::pacer::Pacer;
use crate::schedule::{Arrivals, Timeline};
use crate::worker::{Fault, Worker};

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
    /// How to move bytes.
    pub(crate) engine: Engine,
    /// Connections in all.
    pub(crate) connections: usize,
    /// Seed of the run; each thread takes a stream of its own.
    pub(crate) seed: u64,
    /// CPUs to run on, in turn; empty leaves it to the kernel.
    pub(crate) cpus: Vec<usize>,
}

/// Which connections of a run are this thread's.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    /// The thread's line.
    pub(crate) line: usize,
    /// Numbers of its connections within the run.
    pub(crate) connections: std::ops::Range<usize>,
    /// Connections of the run in all.
    pub(crate) of: usize,
}

/// What was still owed when a thread left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GivenUp {
    /// Messages without their whole reply.
    pub(crate) unanswered: u64,
    /// Nanoseconds that the oldest of them had waited.
    pub(crate) oldest_ns: u64,
    /// Messages due and never sent.
    pub(crate) unsent: u64,
    /// Pings without a pong.
    pub(crate) pings: u64,
}

/// What a load thread leaves behind.
pub(crate) struct Harvest {
    /// Its counts.
    pub(crate) tally: Tally,
    /// What was still owed at the end.
    pub(crate) given_up: GivenUp,
    /// Why it failed, if it did.
    pub(crate) fault: Option<Fault>,
}

/// CPUs that this process may use.
pub(crate) fn allowed_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Pins the calling thread to `cpus`.
pub(crate) fn pin(cpus: &[usize]) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

impl Plan {
    /// Starts one thread per line of the control.
    pub(crate) fn start(&self) -> std::io::Result<Vec<JoinHandle<Harvest>>> {
        (0..self.control.lines.len())
            .map(|line| {
                let plan = self.clone();
                Builder::new()
                    .name(format!("load-{line}"))
                    .spawn(move || plan.thread(line))
            })
            .collect()
    }

    fn thread(&self, line: usize) -> Harvest {
        let control = &self.control;
        let harvest = self.work(line);
        if harvest.fault.is_some() {
            control.fail();
            // The thread's CPU account goes with it: stay until it has been read.
            self.await_phase(line, Phase::Drain);
        }
        control.ended.fetch_add(1, Ordering::Release);
        control.news.ring();
        harvest
    }

    fn work(&self, line: usize) -> Harvest {
        let threads = self.control.lines.len();
        let first = self.connections * line / threads;
        let last = self.connections * (line + 1) / threads;
        let share = Share {
            line,
            connections: first..last,
            of: self.connections,
        };
        let workload = Workload {
            limits: Limits::for_connections(last - first),
            ..self.workload.clone()
        };
        let random = Random::new(self.seed, 1 + line as u64);
        let mut worker = Worker::new(self.control.clone(), share, workload, random);
        if let Some((timeline, arrivals)) = &self.schedule {
            let pacer = Pacer::new(
                Arc::clone(timeline),
                *arrivals,
                first..last,
                self.connections,
                worker.random(),
            );
            worker.follow(pacer);
        }
        if let Some(period) = self.ping_every {
            worker.ping_every(period);
        }
        let fault = self.connect_and_drive(line, first..last, &mut worker).err();
        worker.publish();
        let given_up = worker.give_up();
        Harvest {
            tally: worker.tally,
            given_up,
            fault,
        }
    }

    fn connect_and_drive(
        &self,
        line: usize,
        ordinals: std::ops::Range<usize>,
        worker: &mut Worker,
    ) -> Result<(), Fault> {
        let thread_id = rustix::thread::gettid().as_raw_nonzero().get();
        self.control.lines[line]
            .thread_id
            .store(thread_id, Ordering::Relaxed);
        if !self.cpus.is_empty() {
            let cpu = self.cpus[line % self.cpus.len()];
            pin(&[cpu]).map_err(|error| Worker::engine_fault("pinning a thread", error))?;
        }
        if self.schedule.is_some() {
            precise_timers();
        }
        // Streams below the number of threads serve the load; nonces get one of their own.
        let mut nonces = Random::new(self.seed, u64::MAX - line as u64);
        let mut sockets = Vec::with_capacity(ordinals.len());
        for ordinal in ordinals {
            if self.control.phase() == Phase::Abandon {
                return Ok(());
            }
            let dialed = self
                .dialer
                .dial(ordinal, &mut nonces)
                .map_err(|failure| Fault {
                    connection: Some(ordinal),
                    failure,
                })?;
            let unblock = dialed.stream.set_nonblocking(true);
            unblock.map_err(|error| Worker::engine_fault("preparing a socket", error))?;
            worker.add(dialed.link, &dialed.agreed, dialed.early);
            if ordinal == 0 {
                // Nobody else sets it.
                let _ = self.control.agreed.set(dialed.agreed);
            }
            sockets.push(dialed.stream);
            self.control.connected.fetch_add(1, Ordering::Relaxed);
        }
        self.control.ready.fetch_add(1, Ordering::Release);
        self.control.news.ring();
        self.await_phase(line, Phase::WarmUp);
        if self.control.phase() == Phase::Abandon {
            return Ok(());
        }
        self.engine
            .drive(worker, &sockets, &self.control.lines[line].wake)
    }

    fn await_phase(&self, line: usize, phase: Phase) {
        let wake = &self.control.lines[line].wake;
        while self.control.phase() < phase {
            // A failed wait only means looking again.
            if poll(&mut [PollFd::new(wake, PollFlags::IN)], None).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
            wake.hush();
        }
    }
}

//! How a process tells its workers to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize};
use std::time::Duration;

use crate::sys::wake::Waker;

/// How far a process is on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopPhase {
    /// It serves.
    Running,
    /// It serves those who are here. Whoever comes is somebody else's who listens on the same sockets.
    NotAccepting,
    /// It says goodbye to its peers, and refuses whoever comes, unless that is somebody else's.
    Draining,
    /// Those that were there when the drain began are gone, on all workers. Whoever waits to be accepted is
    /// still told so.
    Closing,
}

const PHASES: [StopPhase; 4] = [
    StopPhase::Running,
    StopPhase::NotAccepting,
    StopPhase::Draining,
    StopPhase::Closing,
];

/// Shared by all workers of a process.
#[derive(Debug)]
pub struct Stop {
    /// An index into [`PHASES`]: it only grows.
    phase: AtomicU8,
    /// Whether who waits to be accepted is this process's.
    accepting: AtomicBool,
    /// Workers that have not deserted.
    serving: AtomicUsize,
    /// How long saying goodbye may take.
    pub drain_timeout: Duration,
    wakers: Arc<[Waker]>,
}

impl Stop {
    /// For `workers` workers.
    ///
    /// # Errors
    /// Where there are no descriptors left for their wakers.
    pub fn new(workers: usize, drain_timeout: Duration) -> io::Result<Self> {
        let wakers = (0..workers)
            .map(|_| Waker::new())
            .collect::<io::Result<_>>()?;
        Ok(Stop {
            phase: AtomicU8::new(StopPhase::Running as u8),
            accepting: AtomicBool::new(true),
            serving: AtomicUsize::new(workers),
            drain_timeout,
            wakers,
        })
    }

    /// Has every worker accept nobody any more, not even to refuse: who waits is left to another process that
    /// has the same listening sockets.
    pub fn stop_accepting(&self) {
        self.accepting.store(false, Release);
        self.enter(StopPhase::NotAccepting);
    }

    /// Whether who waits to be accepted is this process's to serve, or in a drain to refuse.
    pub fn accepts(&self) -> bool {
        self.accepting.load(Acquire)
    }

    /// Has every worker say goodbye and return.
    pub fn drain(&self) {
        self.enter(StopPhase::Draining);
    }

    /// To be called once by each worker in a drain: those are gone that were there when it began. Listeners
    /// stay open until all workers have said so, since the kernel spreads whoever comes over all of them.
    pub fn desert(&self) {
        if self.serving.fetch_sub(1, AcqRel) == 1 {
            self.enter(StopPhase::Closing);
        }
    }

    fn enter(&self, phase: StopPhase) {
        self.phase.fetch_max(phase as u8, AcqRel);
        self.wakers.iter().for_each(Waker::wake);
    }

    /// How far it is.
    pub fn phase(&self) -> StopPhase {
        PHASES[usize::from(self.phase.load(Acquire))]
    }

    /// What makes each worker look at [`Stop::phase`].
    pub(super) fn wakers(&self) -> Arc<[Waker]> {
        self.wakers.clone()
    }

    /// What makes worker `number` look at [`Stop::phase`].
    pub fn waker(&self, number: usize) -> &Waker {
        &self.wakers[number]
    }
}

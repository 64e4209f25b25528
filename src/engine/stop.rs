//! How a process tells its workers to stop.

use std::io;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::protocol::CloseCode;
use crate::sys::wake::Waker;

/// How far a process is on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopPhase {
    /// It serves.
    Running,
    /// It says goodbye to its peers, and refuses whoever comes, unless that is somebody else's.
    Draining,
    /// Those that were there when the drain began are gone, on all workers. Whoever waits to be accepted is
    /// still told so.
    Closing,
}

const PHASES: [StopPhase; 3] = [StopPhase::Running, StopPhase::Draining, StopPhase::Closing];

/// How peers are told that the server goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// With this code.
    pub code: CloseCode,
    /// Not all at once but within so long a time, a part of what saying goodbye may take: whoever is told comes
    /// again, and somebody has to serve them.
    pub spread: Duration,
}

impl Default for Goodbye {
    fn default() -> Self {
        Goodbye {
            code: CloseCode::GOING_AWAY,
            spread: Duration::ZERO,
        }
    }
}

/// Shared by all workers of a process.
#[derive(Debug)]
pub struct Stop {
    /// An index into [`PHASES`]: it only grows.
    phase: AtomicU8,
    /// Whether who waits to be accepted is this process's.
    accepting: AtomicBool,
    goodbye: OnceLock<Goodbye>,
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
            goodbye: OnceLock::new(),
            serving: AtomicUsize::new(workers),
            drain_timeout,
            wakers,
        })
    }

    /// Whether every worker accepts whoever comes. Where none does, not even to refuse, who waits is left to another
    /// process that has the same listening sockets.
    pub fn set_accepting(&self, accepting: bool) {
        self.accepting.store(accepting, Release);
        self.wakers.iter().for_each(Waker::wake);
    }

    /// Whether who waits to be accepted is this process's to serve, or in a drain to refuse.
    pub fn accepts(&self) -> bool {
        self.accepting.load(Acquire)
    }

    /// Has every worker say goodbye and return. How is what was said first.
    pub fn drain(&self, goodbye: Goodbye) {
        self.goodbye.get_or_init(|| goodbye);
        self.enter(StopPhase::Draining);
    }

    /// How peers are told, once they are to be.
    pub(super) fn goodbye(&self) -> Goodbye {
        self.goodbye.get().copied().unwrap_or_default()
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

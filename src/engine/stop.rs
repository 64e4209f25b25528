//! How a process tells its workers to stop.

use std::io;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::atomic::{AtomicU8, AtomicUsize};
use std::time::Duration;

use crate::sys::wake::Waker;

/// How far a process is on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopPhase {
    /// It serves.
    Running,
    /// It says goodbye to its peers, and refuses whoever comes.
    Draining,
    /// Those that were there when the drain began are gone, on all workers. Whoever waits to be accepted is
    /// still told so.
    Closing,
}

const PHASES: [StopPhase; 3] = [StopPhase::Running, StopPhase::Draining, StopPhase::Closing];

/// Shared by all workers of a process.
#[derive(Debug)]
pub struct Stop {
    /// An index into [`PHASES`]: it only grows.
    phase: AtomicU8,
    /// Workers that have not deserted.
    serving: AtomicUsize,
    /// How long saying goodbye may take.
    pub drain_timeout: Duration,
    wakers: Vec<Waker>,
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
            phase: AtomicU8::new(0),
            serving: AtomicUsize::new(workers),
            drain_timeout,
            wakers,
        })
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

    /// What makes worker `number` look at [`Stop::phase`].
    pub fn waker(&self, number: usize) -> &Waker {
        &self.wakers[number]
    }
}

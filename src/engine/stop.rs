//! How a process tells its workers to stop.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use crate::sys::wake::Waker;

/// How far a process is on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopPhase {
    /// It serves.
    Running,
    /// It says goodbye to its peers.
    Draining,
}

/// Shared by all workers of a process.
#[derive(Debug)]
pub struct Stop {
    draining: AtomicBool,
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
            draining: AtomicBool::new(false),
            drain_timeout,
            wakers,
        })
    }

    /// Has every worker say goodbye and return.
    pub fn drain(&self) {
        self.draining.store(true, Release);
        self.wakers.iter().for_each(Waker::wake);
    }

    /// How far it is.
    pub fn phase(&self) -> StopPhase {
        match self.draining.load(Acquire) {
            true => StopPhase::Draining,
            false => StopPhase::Running,
        }
    }

    /// What makes worker `number` look at [`Stop::phase`].
    pub fn waker(&self, number: usize) -> &Waker {
        &self.wakers[number]
    }
}

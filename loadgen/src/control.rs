//! How the main thread and the load threads speak: one phase, a few counters, event fds.
//!
//! Counters have one writer each and are read only at the edges of the window and for the
//! progress bar, so the load threads share no cache line that anyone writes while they work.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use rustix::event::{EventfdFlags, eventfd};

/// Nanoseconds since an epoch shared by all threads of a run.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// An epoch of now.
    pub(crate) fn new() -> Clock {
        Clock(Instant::now())
    }

    /// Monotonic nanoseconds since the epoch.
    pub(crate) fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// What the load threads are to do. Only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Connections are being made.
    Connect,
    /// Load runs and does not count.
    WarmUp,
    /// Load runs and counts.
    Measure,
    /// No new messages; await the last replies and close.
    Drain,
    /// Leave at once.
    Abandon,
}

const PHASES: [Phase; 5] = [
    Phase::Connect,
    Phase::WarmUp,
    Phase::Measure,
    Phase::Drain,
    Phase::Abandon,
];

/// An event fd: a wake-up call that is not lost if it comes early.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    /// A silent bell.
    pub(crate) fn new() -> std::io::Result<Bell> {
        Ok(Bell(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    /// Wakes whoever waits on the descriptor.
    pub(crate) fn ring(&self) {
        // The only failure is a counter already at its maximum: the bell rings as it is.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Stops the ringing.
    pub(crate) fn hush(&self) {
        // The only failure is that it was not ringing.
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// One load thread's side of the conversation.
pub(crate) struct Line {
    /// Rung when the phase changes.
    pub(crate) wake: Bell,
    /// Kernel thread id, 0 until the thread runs.
    pub(crate) thread_id: AtomicI32,
    /// Messages verified so far, warm-up included.
    pub(crate) messages: AtomicU64,
    /// Their payload bytes, one way.
    pub(crate) payload_bytes: AtomicU64,
}

/// What all threads of a run share.
pub(crate) struct Control {
    phase: AtomicU8,
    window_start: AtomicU64,
    /// Threads whose connections all stand.
    pub(crate) ready: AtomicUsize,
    /// Connections made so far.
    pub(crate) connected: AtomicUsize,
    /// Threads that have ended.
    pub(crate) ended: AtomicUsize,
    /// Whether a thread has failed.
    pub(crate) failed: AtomicBool,
    /// Rung by a load thread that is ready, has failed or has ended.
    pub(crate) news: Bell,
    /// One per load thread.
    pub(crate) lines: Vec<Line>,
    /// The run's clock.
    pub(crate) clock: Clock,
}

impl Control {
    /// For `threads` load threads.
    pub(crate) fn new(threads: usize) -> std::io::Result<Control> {
        let line = || {
            Ok(Line {
                wake: Bell::new()?,
                thread_id: AtomicI32::new(0),
                messages: AtomicU64::new(0),
                payload_bytes: AtomicU64::new(0),
            })
        };
        Ok(Control {
            phase: AtomicU8::new(Phase::Connect as u8),
            window_start: AtomicU64::new(u64::MAX),
            ready: AtomicUsize::new(0),
            connected: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            news: Bell::new()?,
            lines: (0..threads)
                .map(|_| line())
                .collect::<std::io::Result<_>>()?,
            clock: Clock::new(),
        })
    }

    /// The present phase.
    pub(crate) fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// Goes on to `phase` and wakes every thread.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        for line in &self.lines {
            line.wake.ring();
        }
    }

    /// Opens the window at `start` nanoseconds.
    pub(crate) fn open_window(&self, start: u64) {
        self.window_start.store(start, Ordering::Relaxed);
        self.advance(Phase::Measure);
    }

    /// When the window opened, once the phase is `Measure`.
    pub(crate) fn window_start(&self) -> u64 {
        self.window_start.load(Ordering::Relaxed)
    }

    /// Marks the run as failed and tells the main thread.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.news.ring();
    }
}

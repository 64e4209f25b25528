//! How the main thread and the load threads speak: one phase, a few counters, event fds.
//!
//! Counters have one writer each and are read only at the edges of the window and for the
//! progress bar, so the load threads share no cache line that anyone writes while they work.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use hdrhistogram::Histogram;
use rustix::event::{EventfdFlags, eventfd};

use crate::dial::standing::Standing;
use crate::echo::tally::latency_histogram;
use crate::wire::handshake::Accepted;

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

/// All of them, by number.
const PHASES: [Phase; 5] = {
    use Phase::{Abandon, Connect, Drain, Measure, WarmUp};
    [Connect, WarmUp, Measure, Drain, Abandon]
};

/// An event fd: a wake-up call that is not lost if it comes early.
pub struct Bell(OwnedFd);

impl Bell {
    /// A silent bell.
    pub fn new() -> std::io::Result<Bell> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Bell(eventfd(0, flags)?))
    }

    /// Wakes whoever waits on the descriptor.
    pub fn ring(&self) {
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
#[derive(Default)]
pub(crate) struct Line {
    /// Kernel thread id, 0 until the thread runs.
    pub(crate) thread_id: AtomicI32,
    /// Messages verified so far, warm-up included; of churn, sessions that ended well within the window.
    pub(crate) messages: AtomicU64,
    /// Their payload bytes, one way.
    pub(crate) payload_bytes: AtomicU64,
    /// Messages whose reply was wrong, where the load goes on.
    pub(crate) wrong: AtomicU64,
    /// Bytes that the kernel took from this thread, and gave it.
    pub(crate) wire_bytes_sent: AtomicU64,
    pub(crate) wire_bytes_received: AtomicU64,
    /// What failed without ending the load: sessions, and connections that were made again.
    pub(crate) errors: AtomicU64,
    /// The latest that it took up a message in the last slice, in nanoseconds.
    pub(crate) send_lag_ns: AtomicU64,
    /// Nanoseconds that it looked for something to do and found nothing.
    pub(crate) polled_ns: AtomicU64,
    /// What the thread handed over at the end of a slice, until the main thread takes it.
    pub(crate) handed: Mutex<Handed>,
}

/// What a thread tells of the slices that are over.
pub(crate) struct Handed {
    /// Latencies in nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// What was due and had not begun, at the slice's end.
    pub(crate) backlog: u64,
    /// What had begun and was not over, at the slice's end.
    pub(crate) in_flight: u64,
}

impl Default for Handed {
    /// Nothing, with room for all there may be: a load thread allocates none.
    fn default() -> Handed {
        Handed {
            latency: latency_histogram(),
            backlog: 0,
            in_flight: 0,
        }
    }
}

impl Line {
    /// Gives the main thread what was counted in the slice that is over; empties `latency`.
    pub(crate) fn hand_over(&self, latency: &mut Histogram<u64>, backlog: u64, in_flight: u64) {
        // Only a panic elsewhere poisons the lock, and then the figures do not matter any more.
        let Ok(mut handed) = self.handed.lock() else {
            return;
        };
        handed.in_flight = in_flight;
        handed.backlog = backlog;
        pour(latency, &mut handed.latency);
    }
}

/// Moves all that is in one histogram to another, whose bounds are the same.
pub(crate) fn pour(from: &mut Histogram<u64>, into: &mut Histogram<u64>) {
    if into.is_empty() {
        std::mem::swap(into, from);
    } else if into.add(&*from).is_ok() {
        from.reset();
    }
}

/// Which connections of a run are this thread's: they are dealt out in turn, so that of messages that are
/// due one after the other each thread has its share.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    /// The thread's line.
    pub(crate) line: usize,
    /// The number within the run of its first connection, and how far on the next one is.
    pub(crate) first: usize,
    pub(crate) step: usize,
    /// No connection that it is dealt from has this number or a higher one.
    pub(crate) end: usize,
    /// Whether they are the heavy ones.
    pub(crate) is_heavy: bool,
}

impl Share {
    /// Number within the run of this thread's connection number `index`.
    pub(crate) fn ordinal(self, index: usize) -> usize {
        self.first + index * self.step
    }

    /// The other way round.
    pub(crate) fn index(self, ordinal: usize) -> usize {
        (ordinal - self.first) / self.step
    }

    /// The numbers of all its connections.
    pub(crate) fn ordinals(self) -> impl ExactSizeIterator<Item = usize> {
        (self.first..self.end).step_by(self.step)
    }
}

/// What was still owed when a thread left.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GivenUp {
    /// Messages without their whole reply.
    pub(crate) unanswered: u64,
    /// The same of connections that had ended before their time.
    pub(crate) lost: u64,
    /// Nanoseconds that the oldest of them had waited.
    pub(crate) oldest_ns: u64,
    /// Messages due and never sent.
    pub(crate) unsent: u64,
    /// Pings without a pong.
    pub(crate) pings: u64,
    /// Whether a part has come of a reply that has not come whole.
    pub(crate) has_part: bool,
}

/// What all threads of a run share.
pub(crate) struct Control {
    phase: AtomicU8,
    load_start: AtomicU64,
    window_start: AtomicU64,
    window_end: AtomicU64,
    slice: AtomicU32,
    /// Threads that must be ready before the load begins: those of the lines, and what there is beside them.
    pub(crate) parties: usize,
    /// Threads whose connections all stand.
    pub(crate) ready: AtomicUsize,
    /// How the opening of the connections goes.
    pub(crate) standing: Standing,
    /// Threads that have ended.
    pub(crate) ended: AtomicUsize,
    /// Whether a thread has failed.
    pub(crate) failed: AtomicBool,
    /// Whether all that was asked for has been done before the time was up.
    pub(crate) is_complete: AtomicBool,
    /// Rung by a load thread that is ready, has failed, has ended or has done what was left to do.
    pub(crate) news: Bell,
    /// What the upgrade of the first connection settled, and what TLS was agreed on.
    pub(crate) agreed: OnceLock<(Accepted, Option<String>)>,
    /// Rung when the phase changes, by line.
    pub(crate) wakes: Vec<Bell>,
    /// One per load thread: first those whose messages are measured, then those of the heavy connections.
    pub(crate) lines: Vec<Line>,
    /// How many are measured.
    measured: usize,
    /// The run's clock.
    pub(crate) clock: Clock,
}

impl Control {
    /// For `measured` load threads, and beside them as many with `heavy` connections.
    pub(crate) fn new(measured: usize, heavy: usize) -> std::io::Result<Control> {
        let threads = measured + heavy;
        let bells = (0..threads).map(|_| Bell::new());
        Ok(Control {
            phase: AtomicU8::new(Phase::Connect as u8),
            load_start: AtomicU64::new(u64::MAX),
            window_start: AtomicU64::new(u64::MAX),
            window_end: AtomicU64::new(u64::MAX),
            slice: AtomicU32::new(0),
            parties: threads,
            ready: AtomicUsize::new(0),
            standing: Standing::default(),
            ended: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            is_complete: AtomicBool::new(false),
            news: Bell::new()?,
            agreed: OnceLock::new(),
            wakes: bells.collect::<std::io::Result<_>>()?,
            lines: (0..threads).map(|_| Line::default()).collect(),
            measured,
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
        self.wake_all();
    }

    /// The load begins, and does not count yet: what is scheduled is due from now on.
    pub(crate) fn start_load(&self) {
        self.load_start.store(self.clock.now(), Ordering::Relaxed);
        self.advance(Phase::WarmUp);
    }

    /// When the load began, once the phase is `WarmUp` or later.
    pub(crate) fn load_start(&self) -> u64 {
        self.load_start.load(Ordering::Relaxed)
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

    /// Closes the window at `end` nanoseconds.
    pub(crate) fn close_window(&self, end: u64) {
        self.window_end.store(end, Ordering::Relaxed);
        self.advance(Phase::Drain);
    }

    /// When the window closed, once the phase is `Drain`; if it never opened, when the load began.
    pub(crate) fn window_end(&self) -> u64 {
        match self.window_end.load(Ordering::Relaxed) {
            u64::MAX => self.load_start(),
            end => end,
        }
    }

    /// Ends a slice: every thread hands over what it counted in it.
    pub(crate) fn next_slice(&self) {
        self.slice.fetch_add(1, Ordering::Release);
        self.wake_all();
    }

    /// Number of the present slice.
    pub(crate) fn slice(&self) -> u32 {
        self.slice.load(Ordering::Acquire)
    }

    fn wake_all(&self) {
        self.wakes.iter().for_each(Bell::ring);
    }

    /// The load threads whose messages are measured.
    pub(crate) fn measured(&self) -> &[Line] {
        &self.lines[..self.measured]
    }

    /// What those together have shown of one counter.
    pub(crate) fn total(&self, counter: fn(&Line) -> &AtomicU64) -> u64 {
        let lines = self.measured().iter();
        lines
            .map(|line| counter(line).load(Ordering::Relaxed))
            .sum()
    }

    /// Marks the run as failed and tells the main thread.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.news.ring();
    }
}

//! The memory that connections may keep while they wait, over all workers.
//!
//! It has two pots, so that neither kind of waiting can take the other's: one for what is owed to peers,
//! one for input that is not whole. Workers draw on them in chunks, so the numbers that all share are
//! touched once in some hundred kilobytes and never for a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// One part in so many of the budget is for unfinished input: request heads and frames whose rest has not
/// come. All else is for what waits to be sent.
const UNFINISHED_PART: usize = 4;

/// Chunks that a pot has for each worker. Two may lie idle with a worker, so an eighth of a pot in all.
const CHUNKS_PER_WORKER: usize = 16;

/// One part in so many of a pot is not shown as free: what is under way when a share is used up needs room.
const SLACK_PART: usize = 16;

/// The least and the most that is drawn at a time, in bytes.
const CHUNK_BYTES_MIN: usize = 32 * 1024;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// What all workers of a process may keep, in bytes.
#[derive(Debug)]
pub struct Budget {
    pub(super) queued: Pot,
    pub(super) unfinished: Pot,
    bytes_per_worker: usize,
}

impl Budget {
    /// A budget of `bytes` for `workers` workers; each pot has at least `bytes_min` for each of them.
    pub(super) fn new(bytes: usize, workers: usize, bytes_min: usize) -> Arc<Self> {
        let unfinished = bytes / UNFINISHED_PART;
        let pot = |bytes: usize| Pot::new(bytes.max(workers * bytes_min), workers);
        Arc::new(Budget {
            queued: pot(bytes - unfinished),
            unfinished: pot(unfinished),
            bytes_per_worker: bytes / workers,
        })
    }

    /// Takes one part in `part` of a worker's budget for good from what may be queued, and says how many bytes
    /// that is: for buffers of an engine's own.
    pub fn reserve(&self, part: usize) -> usize {
        self.queued.draw(self.bytes_per_worker / part)
    }

    /// What is kept for what waits to be sent, buffers of the engines included.
    pub fn queued(&self) -> Level {
        self.queued.level()
    }

    /// What is kept of input that is not whole.
    pub fn unfinished(&self) -> Level {
        self.unfinished.level()
    }
}

/// How much of something is taken, and how much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Taken now, or a moment ago.
    pub taken: usize,
    /// The most that may be.
    pub max: usize,
}

/// A number of bytes, of which chunks are drawn and put back.
#[derive(Debug)]
pub(super) struct Pot {
    bytes: usize,
    left: AtomicUsize,
    chunk: usize,
    slack: usize,
}

impl Pot {
    fn new(bytes: usize, workers: usize) -> Self {
        let chunk = bytes / (CHUNKS_PER_WORKER * workers);
        Pot {
            bytes,
            left: AtomicUsize::new(bytes),
            chunk: chunk.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX),
            slack: bytes / SLACK_PART,
        }
    }

    /// Half of what it had at first, in bytes.
    pub(super) fn half_bytes(&self) -> usize {
        self.bytes / 2
    }

    /// What workers have drawn, in bytes: all that is in use, and up to two chunks more for each of them.
    fn level(&self) -> Level {
        Level {
            taken: self.bytes - self.left.load(Relaxed),
            max: self.bytes,
        }
    }

    /// Takes `bytes`, or what there is, and says how many.
    fn draw(&self, bytes: usize) -> usize {
        let before = self
            .left
            .fetch_update(Relaxed, Relaxed, |left| Some(left - left.min(bytes)))
            .unwrap_or_else(|left| left);
        before.min(bytes)
    }
}

/// A worker's part of a pot.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// In use.
    out: usize,
    /// Drawn from the pot.
    granted: usize,
}

impl Share {
    /// Bytes in use.
    pub(super) fn out(&self) -> usize {
        self.out
    }

    /// Counts `bytes` as in use, whether they were to be had or not.
    pub(super) fn take(&mut self, bytes: usize, pot: &Pot) {
        self.out += bytes;
        if self.out > self.granted {
            self.granted += pot.draw((self.out - self.granted).max(pot.chunk));
        }
    }

    /// Counts `bytes` as in use if they are to be had.
    pub(super) fn try_take(&mut self, bytes: usize, pot: &Pot) -> bool {
        self.take(bytes, pot);
        let had = self.out <= self.granted;
        if !had {
            self.give(bytes, pot);
        }
        had
    }

    /// Takes back `bytes` that were in use.
    pub(super) fn give(&mut self, bytes: usize, pot: &Pot) {
        debug_assert!(bytes <= self.out, "more came back than was taken");
        self.out -= bytes;
        let spare = self.granted.saturating_sub(self.out);
        if spare > 2 * pot.chunk {
            self.granted -= spare - pot.chunk;
            pot.left.fetch_add(spare - pot.chunk, Relaxed);
        }
    }

    /// By how much more is in use than is to be had.
    pub(super) fn overdraft(&mut self, pot: &Pot) -> usize {
        if self.out > self.granted {
            self.granted += pot.draw(self.out - self.granted);
        }
        self.out.saturating_sub(self.granted)
    }

    /// How much could still be taken, less the slack.
    #[inline]
    pub(super) fn free(&self, pot: &Pot) -> usize {
        let left = pot.left.load(Relaxed) + self.granted.saturating_sub(self.out);
        left.saturating_sub(pot.slack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_worker_has_drawn_another_cannot_use_and_gets_back() {
        let budget = Budget::new(4 << 20, 2, 0);
        let pot = &budget.queued;
        let (mut one, mut other) = (Share::default(), Share::default());
        one.take(2 << 20, pot);
        assert_eq!(one.overdraft(pot), 0);
        assert!(!other.try_take(2 << 20, pot));
        assert_eq!(other.out(), 0);
        one.give(2 << 20, pot);
        assert!(other.try_take(5 << 19, pot));
        other.take(1 << 20, pot);
        assert!(other.overdraft(pot) > 0);
        other.give(7 << 19, pot);
        assert_eq!(other.overdraft(pot), 0);
        let idle = one.granted + other.granted;
        assert!(idle <= 4 * pot.chunk);
        assert_eq!((pot.level().taken, pot.level().max), (idle, 3 << 20));
        assert_eq!(pot.left.load(Relaxed) + idle, 3 << 20, "nothing is lost");
    }
}

//! What the engine keeps per connection, and the line of those that must wait for their turn to receive.

use std::collections::VecDeque;

use crate::shard::SlotId;

/// A greedy connection receives one part in so many of all buffers at a time.
pub(super) const GREEDY_PART: usize = 8;

/// Greedy connections begin to receive only where more than half of all buffers is free.
pub(super) const RESERVED_PART: usize = 2;

/// Whether a receive is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    Off,
    /// One that goes on.
    On,
    /// One that ends with what it delivers, at most so many bytes.
    Once(u32),
    /// Cancelled; its final completion has not come.
    Ending,
}

/// What this engine keeps per connection.
#[derive(Debug)]
pub struct Io<S> {
    pub(super) socket: S,
    pub(super) receiving: Receiving,
    /// A send is under way. There is never more than one: two may overtake each other.
    pub(super) sending: bool,
    /// Everything has been cancelled.
    pub(super) cancelled: bool,
    /// It has had all the buffers that it found, or much within a turn, or is behind: it receives a limited amount
    /// at a time, in its turn.
    pub(super) greedy: bool,
    /// It waits for its turn.
    pub(super) queued: bool,
    /// What it received in the turn with that number, in bytes.
    received: (u32, u32),
}

impl<S> Io<S> {
    /// Of a connection that has just been accepted.
    pub(super) fn new(socket: S) -> Self {
        Io {
            socket,
            receiving: Receiving::Off,
            sending: false,
            cancelled: false,
            greedy: false,
            queued: false,
            received: (0, 0),
        }
    }

    /// Takes note of `count` bytes received in a turn. More than `much` within one is greedy.
    #[inline]
    pub(super) fn receive_in_turn(&mut self, turn: u32, count: u32, much: usize) {
        let before = if self.received.0 == turn {
            self.received.1
        } else {
            0
        };
        self.received = (turn, before.saturating_add(count));
        self.greedy |= self.received.1 as usize > much;
    }

    /// Whether the kernel may still name this connection, or memory of its.
    pub(super) fn is_busy(&self) -> bool {
        self.receiving != Receiving::Off || self.sending
    }
}

/// Greedy connections that want to receive, first come first served, each once.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<SlotId>,
    /// Those that had their turn and found no buffer.
    unserved: VecDeque<SlotId>,
}

impl Line {
    /// A connection waits for its turn.
    pub(super) fn join(&mut self, id: SlotId) {
        self.waiting.push_back(id);
    }

    /// A connection had its turn and found no buffer: the turn is still its own.
    pub(super) fn keep_turn(&mut self, id: SlotId) {
        self.unserved.push_back(id);
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self) -> Option<SlotId> {
        let unserved = self.unserved.pop_front();
        unserved.or_else(|| self.waiting.pop_front())
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.unserved.is_empty()
    }
}

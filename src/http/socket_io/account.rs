//! What a session has caused and not paid for yet: time of the thread, and memory.

use std::time::Duration;

use tokio::time::Instant;

use crate::http::allowance::Allowance;
use crate::http::places::Held;

/// What the thread is taken to spend on a packet: a session has no more than so many of them.
const PACKET_TIME: Duration = Duration::from_micros(200);

/// The bytes of a packet that are taken to cost as much again.
const PACKET_BYTES: u32 = 4096;

/// How far ahead of that a session may be: ten thousand small packets come at once where they will.
const AHEAD: Duration = Duration::from_secs(2);

/// What the answers to a packet take beside its bytes, which they hold three times: the echo, the echo by another
/// name, and the acknowledgement.
const ANSWER_BYTES: usize = 512;
const ANSWERS: usize = 3;

/// What a session may be owed before it is read from again, in bytes.
const OWED_BYTES_MAX: usize = 256 * 1024;

/// What each session may keep without asking, in bytes. What is above comes from a budget of all of them.
const FREE_BYTES: usize = 16 * 1024;

/// The account of one session.
#[derive(Debug)]
pub(super) struct Account {
    /// When the time that it has caused will have passed.
    paid_at: Instant,
    /// Answers that are not written yet, as far as is known.
    owed_bytes: usize,
    /// The message that has not come whole.
    partial_bytes: usize,
    /// Attachments that came, whose event is not answered.
    attached_bytes: usize,
    /// How much of the last is believed: it is no more than what the library keeps.
    attached_bytes_max: usize,
    held: Held,
    /// How fast it may send; none: as fast as it likes.
    allowance: Option<Allowance>,
}

/// What stands in the way of taking more from a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It has to wait until then.
    Until(Instant),
    /// It has to take what it is owed.
    Owed,
}

impl Account {
    pub(super) fn new(attached_bytes_max: usize, held: Held, allowance: Option<Allowance>) -> Self {
        Account {
            paid_at: Instant::now(),
            owed_bytes: 0,
            partial_bytes: 0,
            attached_bytes: 0,
            attached_bytes_max,
            held,
            allowance,
        }
    }

    /// Why no more may be taken now; none: it may.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        let paid = self.paid_at.checked_sub(AHEAD);
        let paid = paid.filter(|until| *until > Instant::now());
        let rests = self.allowance.as_ref().and_then(Allowance::rests_until);
        if let Some(until) = paid.max(rests) {
            return Some(Obstacle::Until(until));
        }
        (self.owed_bytes >= OWED_BYTES_MAX).then_some(Obstacle::Owed)
    }

    /// How many bytes are taken at a time at most.
    pub(super) fn bytes_at_once(&self) -> usize {
        let allowance = self.allowance.as_ref();
        allowance.map_or(usize::MAX, Allowance::bytes_at_once)
    }

    /// So many bytes came.
    pub(super) fn arrive(&mut self, bytes: usize) {
        self.use_up(bytes, 0);
    }

    /// A packet, or a frame, began.
    pub(super) fn begin_packet(&mut self) {
        self.spend(PACKET_TIME);
    }

    /// So many bytes of a message came.
    pub(super) fn take_part(&mut self, bytes: usize) {
        self.partial_bytes += bytes;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.spend(PACKET_TIME * bytes / PACKET_BYTES);
    }

    /// The message has come whole.
    pub(super) fn end_message(&mut self, is_binary: bool) {
        let bytes = std::mem::take(&mut self.partial_bytes);
        if is_binary {
            let attached = self.attached_bytes.saturating_add(bytes);
            self.attached_bytes = attached.min(self.attached_bytes_max);
        }
        self.owed_bytes += ANSWERS * bytes + ANSWER_BYTES;
        self.use_up(0, 1);
    }

    /// An event is answered, and its attachments are kept no longer.
    pub(super) fn end_event(&mut self) {
        self.attached_bytes = 0;
    }

    /// So many bytes were written.
    pub(super) fn pay(&mut self, bytes: usize) {
        self.owed_bytes = self.owed_bytes.saturating_sub(bytes);
    }

    /// Whether there is room for what it keeps.
    pub(super) fn is_covered(&mut self) -> bool {
        let kept = self.owed_bytes + self.partial_bytes + self.attached_bytes;
        self.held.set(kept.saturating_sub(FREE_BYTES))
    }

    fn use_up(&mut self, bytes: usize, messages: u64) {
        if let Some(allowance) = &mut self.allowance {
            allowance.use_up(bytes, messages);
        }
    }

    fn spend(&mut self, time: Duration) {
        self.paid_at = self.paid_at.max(Instant::now()) + time;
    }
}

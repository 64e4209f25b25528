//! Input: taken in by the session, or kept until there is room for its answer.

use std::ops::Range;

use crate::protocol::{Next, Reply, Turn, Wake};

use super::Shard;
use super::connection::Phase;
use super::outbound::{Queue, Sent};
use super::slots::SlotId;

/// The least that is read from a peer at a time, in bytes, and the least room that there is for an answer.
pub(super) const RECEIVE_BYTES_MIN: usize = 4 * 1024;

/// Takes replies that lie in an engine's buffer away.
pub trait Carrier<Io> {
    /// Sends the window of the lent bytes, or queues it, in whatever way the engine owns memory.
    ///
    /// `queue` may hold pieces that go first. Everything that is not sent is queued when this returns.
    fn carry(
        &mut self,
        io: &mut Io,
        queue: &mut Queue<'_>,
        lent: &[u8],
        window: Range<usize>,
    ) -> Sent;
}

/// Carries by copying: for lent bytes that are the shard's own.
struct Copying;

impl<Io> Carrier<Io> for Copying {
    fn carry(
        &mut self,
        _: &mut Io,
        queue: &mut Queue<'_>,
        lent: &[u8],
        window: Range<usize>,
    ) -> Sent {
        queue.push_bytes(&lent[window]);
        Sent::Bytes(0)
    }
}

impl<Io> Shard<Io> {
    /// Bytes have come.
    ///
    /// Replies that lie in `lent` go through `carrier`, which says who owns that memory; everything else
    /// is queued here.
    #[inline]
    pub fn receive(&mut self, id: SlotId, lent: &mut [u8], carrier: &mut impl Carrier<Io>) {
        self.tally.received_bytes.add(lent.len() as u64);
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        if connection.phase != Phase::Talking {
            return;
        }
        connection.taken_in += lent.len() as u64;
        if connection.held {
            return self.hold(id, lent);
        }
        if connection.surplus && self.settings.admission.enter() {
            connection.surplus = false;
            self.surplus -= 1;
        }
        let mut from = 0;
        while from < lent.len() {
            let Some((consumed, next)) = self.take_in(id, lent, from, carrier) else {
                return;
            };
            from += consumed;
            if next == Next::Hold && !self.has_room(id) {
                self.hold(id, &lent[from..]);
                return;
            }
        }
        self.tell_of_drain(id);
    }

    /// One call of the session with `lent[from..]`, and its reply taken away; none when the dialogue is
    /// over.
    #[inline]
    pub(super) fn take_in(
        &mut self,
        id: SlotId,
        lent: &mut [u8],
        from: usize,
        carrier: &mut impl Carrier<Io>,
    ) -> Option<(usize, Next)> {
        let room = self.receive_bytes_max(id);
        let connection = self.slots.get_mut(id)?;
        if connection.phase != Phase::Talking {
            return None;
        }
        let mut reply = Reply::default();
        let mut turn = Turn {
            now: self.now,
            policy: &self.settings.policy,
            slabs: &mut self.slabs,
            tally: &self.tally,
            room,
            refusing: self.draining.is_some() || connection.surplus,
            cause: None,
        };
        let timer = connection.timer;
        let behind = connection.blocked;
        let step = connection
            .dialogue
            .receive(&mut turn, &mut lent[from..], &mut reply);
        let deadline = connection.dialogue.deadline();
        connection.cause = connection.cause.or(turn.cause);
        let mut queue = Queue {
            outbox: &mut connection.outbox,
            entries: &mut self.entries,
            slabs: &mut self.slabs,
            blocked: connection.blocked,
        };
        queue.push_piece(reply.before);
        let mut sent = Sent::Bytes(0);
        if !reply.window.is_empty() {
            let window = from + reply.window.start..from + reply.window.end;
            sent = carrier.carry(&mut connection.io, &mut queue, lent, window);
        }
        queue.push_piece(reply.after);
        if let Some(due) = deadline
            && due < timer
        {
            self.arm(id, due);
        }
        self.follow(id, step.next);
        self.note(id, sent);
        if behind {
            self.keep(id);
        }
        Some((step.consumed, step.next))
    }

    /// How many bytes may be received from the connection at a time: where memory is short, no more than the
    /// peer may keep of it if it turns out not to read.
    #[inline]
    pub fn receive_bytes_max(&self, id: SlotId) -> usize {
        let room = self.slots.get(id).map_or(0, |connection| {
            let max = self.queue_bytes_max(connection);
            max.saturating_sub(connection.outbox.bytes())
        });
        room.max(RECEIVE_BYTES_MIN)
    }

    /// Whether the queue has room for more replies.
    pub(super) fn has_room(&self, id: SlotId) -> bool {
        self.slots.get(id).is_some_and(|connection| {
            let queued = connection.outbox.bytes();
            queued == 0 || queued < self.queue_bytes_max(connection)
        })
    }

    /// Keeps input that the session does not take yet.
    pub(super) fn hold(&mut self, id: SlotId, rest: &[u8]) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        connection.held = true;
        connection.parked.append(rest, &mut self.slabs);
        self.keep(id);
    }

    /// The peer's FIN has come.
    pub fn peer_finished(&mut self, id: SlotId) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        connection.peer_finished = true;
        match connection.phase {
            Phase::Talking if !connection.held => self.wake(id, Wake::PeerFinished),
            Phase::Lingering => connection.phase = Phase::Gone { reset: false },
            _ => {}
        }
    }

    /// Offers parked input again once there is room for its answer.
    pub(super) fn unpark(&mut self, id: SlotId) {
        loop {
            let waits = self
                .slots
                .get(id)
                .is_some_and(|connection| connection.held && connection.phase == Phase::Talking);
            if !waits || !self.has_room(id) {
                return;
            }
            let Some(connection) = self.slots.get_mut(id) else {
                return;
            };
            let Some(mut slab) = connection.parked.pop() else {
                connection.held = false;
                if connection.peer_finished {
                    self.wake(id, Wake::PeerFinished);
                } else {
                    self.tell_of_drain(id);
                }
                return;
            };
            let taken = self.take_in(id, slab.bytes_mut(), 0, &mut Copying);
            match taken {
                Some((consumed, Next::Hold)) if consumed < slab.len() => {
                    slab.advance(consumed);
                    if let Some(connection) = self.slots.get_mut(id) {
                        connection.parked.push_front(slab);
                    }
                }
                _ => self.slabs.give(slab),
            }
        }
    }
}

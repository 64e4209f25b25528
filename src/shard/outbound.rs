//! Output: what is queued, offered to the kernel piece by piece.

use crate::memory::SlabPool;
use crate::protocol::{Cause, Piece};

use super::Shard;
use super::connection::Phase;
use super::outbox::{Entries, Lease, Load, Outbox};
use super::slots::SlotId;

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// This many bytes went; fewer than offered means that the peer does not keep up.
    Bytes(usize),
    /// None went: the peer does not keep up.
    Blocked,
    /// The connection is broken.
    Failed,
}

/// A connection's queue, with what is needed to put something in.
#[derive(Debug)]
pub struct Queue<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) entries: &'a mut Entries,
    pub(super) slabs: &'a mut SlabPool,
    /// The peer is behind: what is queued waits for it.
    pub(super) blocked: bool,
}

impl Queue<'_> {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Queues a copy.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.entries.push_bytes(self.outbox, bytes, self.slabs);
    }

    /// Queues a claim on an engine's buffer.
    pub fn push_lease(&mut self, lease: Lease) {
        self.entries.push(self.outbox, Load::Lease(lease));
    }

    pub(super) fn push_piece(&mut self, piece: Piece) {
        match piece {
            Piece::None => {}
            Piece::Inline(small) => self.push_bytes(small.as_slice()),
            Piece::Slabs(mut chain) => {
                while let Some(mut slab) = chain.pop() {
                    self.slabs.finish(&mut slab);
                    self.entries.push_slab(self.outbox, slab, self.slabs);
                }
            }
        }
    }
}

/// The piece of a queue that goes next.
#[derive(Debug)]
pub struct Front<'a> {
    /// The piece.
    pub load: &'a Load,
    /// Whether another follows it, or FIN: they go in one segment if they fit.
    pub more: bool,
    /// Whether the send may wait until the peer reads.
    pub may_wait: bool,
}

impl<Io> Shard<Io> {
    /// The piece to be sent next, whether another follows it, and whether it may wait for the peer: what
    /// lies in an engine's buffer must not, since all peers share those.
    #[inline]
    pub fn front(&self, id: SlotId) -> Option<Front<'_>> {
        let connection = self.slots.get(id)?;
        let (load, more) = self.entries.front(&connection.outbox)?;
        Some(Front {
            load,
            more: more || connection.finishes(),
            may_wait: connection.blocked && matches!(load, Load::Slab(_)),
        })
    }

    /// The front piece has been offered to the kernel, which took this much. A claim on a buffer comes
    /// back when it is done with.
    #[inline]
    pub fn sent(&mut self, id: SlotId, sent: Sent) -> Option<Lease> {
        let mut finished = None;
        if let Sent::Bytes(count) = sent {
            let connection = self.slots.get_mut(id)?;
            match self.entries.advance(&mut connection.outbox, count) {
                Some(Load::Slab(slab)) => self.slabs.give(slab),
                Some(Load::Lease(lease)) => finished = Some(lease),
                None => {}
            }
        }
        self.note(id, sent);
        self.unpark(id);
        finished
    }

    /// Copies what is queued in an engine's buffers, so that they can be used again while the peer does
    /// not read. `read` shows a claim's bytes and takes it back.
    pub fn spill(&mut self, id: SlotId, mut read: impl FnMut(Lease, &mut dyn FnMut(&[u8]))) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        let mut copied = Outbox::default();
        while let Some(load) = self.entries.pop(&mut connection.outbox) {
            match load {
                Load::Slab(slab) => self.entries.push(&mut copied, Load::Slab(slab)),
                Load::Lease(lease) => read(lease, &mut |bytes| {
                    self.entries.push_bytes(&mut copied, bytes, &mut self.slabs);
                }),
            }
        }
        connection.outbox = copied;
        self.keep(id);
    }

    /// What a send means for the connection.
    #[inline]
    pub(super) fn note(&mut self, id: SlotId, sent: Sent) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        match sent {
            Sent::Bytes(_) if connection.outbox.is_empty() => {
                connection.blocked = false;
                connection.doublings = 0;
            }
            Sent::Bytes(_) => {}
            Sent::Blocked => {
                connection.blocked = true;
                self.begin_to_owe(id);
                self.keep(id);
            }
            Sent::Failed => self.fail(id),
        }
    }

    /// Takes note of what a connection keeps. Where all together keep more than they may, those that keep
    /// most are ended: some of those that do not read, and not whoever happens to wait next.
    pub(super) fn keep(&mut self, id: SlotId) {
        if let Some(connection) = self.slots.get_mut(id) {
            self.keepers
                .enter(id, connection.kept_bytes(), &mut connection.ranked);
        }
        self.note_use();
        self.look_soon_if_full(id);
        // What those keep that are ended already comes back once nothing is under way for them.
        while self.slabs.overdraft() > self.shedding {
            let Some((entered, id)) = self.keepers.pop() else {
                return;
            };
            let Some(connection) = self.slots.get_mut(id) else {
                continue;
            };
            let is_gone = matches!(connection.phase, Phase::Gone { .. });
            if is_gone || connection.ranked != entered {
                continue;
            }
            connection.ranked = 0;
            let bytes = connection.kept_bytes();
            if bytes == 0 || bytes < entered as usize {
                self.keepers.enter(id, bytes, &mut connection.ranked);
                continue;
            }
            self.tally.shed.add(1);
            self.shedding += bytes;
            self.shed.push((id, bytes));
            self.unsettled.push(id);
            self.give_up(id, Cause::Memory);
        }
    }

    /// A connection that was ended for want of memory, for its end to be carried out. To be called until
    /// it names none.
    pub fn pop_shed(&mut self) -> Option<SlotId> {
        self.unsettled.pop()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::shard::completion::{Deferred, Lender};
    use crate::shard::tcp_shard;

    /// Lends from a buffer that is never used up.
    struct Endless;

    impl Lender for Endless {
        fn lend(&mut self, window: Range<usize>) -> Option<Lease> {
            Some(Lease::new(0, window.start as u32..window.end as u32))
        }
    }

    #[test]
    fn whoever_does_not_read_is_shed_and_not_whoever_has_much_under_way() {
        let (mut shard, tally) = tcp_shard(64 * 1024);
        let (slow, fast) = (shard.open(()), shard.open(()));
        shard.receive(fast, &mut vec![7; 300 * 1024], &mut Deferred(Endless));
        shard.receive(slow, &mut vec![7; 60 * 1024], &mut Deferred(Endless));
        shard.sent(slow, Sent::Blocked);
        shard.spill(slow, |lease, copy| copy(&vec![7; lease.len()]));
        for _ in 0..3 {
            shard.receive(slow, &mut [7; 20 * 1024], &mut Deferred(Endless));
            assert_ne!(shard.pop_shed(), Some(fast));
        }
        assert_eq!(tally.shed.get(), 1, "once, while its end is under way");
        shard.release(slow, |_| {});
        assert_eq!(shard.pop_shed(), None);
    }
}

//! Output: what is queued, offered to the kernel piece by piece.

use crate::memory::SlabPool;
use crate::protocol::{Piece, Reply};

use super::inbound::Carrier;
use super::outbox::{Entries, Lease, Load, Outbox};
use super::{Common, Connection, Handle};

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

impl<Io> Handle<'_, Io> {
    /// The one way out for what a dialogue says. `lent` is what its window names a part of; `carrier` takes
    /// that away.
    #[inline]
    pub(super) fn deliver<C: Carrier<Io>>(&mut self, reply: Reply, lent: &[u8], carrier: &mut C) {
        let beside = reply.before.byte_count() + reply.after.byte_count();
        let answered = (beside + reply.window.len()) as u64;
        self.common.tally.answered_bytes.add(answered);
        if C::IS_FOR_LINKS && self.connection.link.is_some() {
            return self.gather(reply, lent);
        }
        let (io, mut queue) = self.queue();
        queue.push_piece(reply.before);
        let sent = if reply.window.is_empty() {
            Sent::Bytes(0)
        } else {
            carrier.carry(io, &mut queue, lent, reply.window)
        };
        queue.push_piece(reply.after);
        self.note_sent(sent);
    }

    /// The piece to be sent next, with the engine's part.
    #[inline]
    pub fn front(&self) -> Option<(&Io, Front<'_>)> {
        let front = self.common.front(self.connection)?;
        Some((&self.connection.io, front))
    }

    /// The front piece has been offered to the kernel, which took this much. A claim on a buffer comes
    /// back when it is done with.
    #[inline]
    pub fn sent(&mut self, sent: Sent) -> Option<Lease> {
        let mut finished = None;
        if let Sent::Bytes(count) = sent {
            let outbox = &mut self.connection.outbox;
            match self.common.entries.advance(outbox, count) {
                Some(Load::Slab(slab)) => self.common.slabs.give(slab),
                Some(Load::Lease(lease)) => finished = Some(lease),
                None => {}
            }
        }
        self.note_sent(sent);
        self.unpark();
        finished
    }

    /// Copies what is queued in an engine's buffers, so that they can be used again while the peer does
    /// not read. `read` shows a claim's bytes and takes it back.
    pub fn spill(&mut self, mut read: impl FnMut(Lease, &mut dyn FnMut(&[u8]))) {
        let mut copied = Outbox::default();
        let Common { entries, slabs, .. } = &mut *self.common;
        while let Some(load) = entries.pop(&mut self.connection.outbox) {
            match load {
                Load::Slab(slab) => entries.push(&mut copied, Load::Slab(slab)),
                Load::Lease(lease) => read(lease, &mut |bytes| {
                    entries.push_bytes(&mut copied, bytes, slabs);
                }),
            }
        }
        self.connection.outbox = copied;
        self.note_kept();
    }

    /// What a send means for the connection.
    #[inline]
    pub(super) fn note_sent(&mut self, sent: Sent) {
        match sent {
            Sent::Bytes(_) if self.connection.outbox.is_empty() => {
                let was_behind = std::mem::replace(&mut self.connection.blocked, false);
                if was_behind {
                    self.common.tally.behind.sub(1);
                }
                self.connection.doublings = 0;
            }
            Sent::Bytes(_) => {}
            Sent::Blocked => {
                let was_behind = std::mem::replace(&mut self.connection.blocked, true);
                self.common.tally.behind.add(u64::from(!was_behind));
                self.begin_to_owe();
                self.note_kept();
            }
            Sent::Failed => self.fail(),
        }
    }
}

impl Common {
    /// The piece to be sent next for a connection. What lies in an engine's buffer must not wait for the peer,
    /// since all peers share those.
    #[inline]
    pub(super) fn front<Io>(&self, connection: &Connection<Io>) -> Option<Front<'_>> {
        let (load, more) = self.entries.front(&connection.outbox)?;
        Some(Front {
            load,
            more: more || connection.finishes(),
            may_wait: connection.blocked && matches!(load, Load::Slab(_)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::shard::completion::{Deferred, Lender};
    use crate::shard::{Shard, TCP, tcp_shard};

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
        let (slow, fast) = (shard.open((), TCP, None), shard.open((), TCP, None));
        let receive = |shard: &mut Shard<()>, id, count| {
            let mut carrier = Deferred(Endless);
            shard
                .at(id)
                .unwrap()
                .receive(&mut vec![7; count], &mut carrier);
        };
        receive(&mut shard, fast, 300 * 1024);
        receive(&mut shard, slow, 60 * 1024);
        let mut handle = shard.at(slow).unwrap();
        handle.sent(Sent::Blocked);
        handle.spill(|lease, copy| copy(&vec![7; lease.len()]));
        for _ in 0..3 {
            receive(&mut shard, slow, 20 * 1024);
            assert_ne!(shard.pop_shed(), Some(fast));
        }
        assert_eq!(tally.shed.get(), 1, "once, while its end is under way");
        shard.release(slow, |_| {});
        assert_eq!(shard.pop_shed(), None);
    }
}

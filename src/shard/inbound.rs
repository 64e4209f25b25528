//! Input: taken in by the session, or kept until there is room for its answer.

use std::ops::Range;

use crate::protocol::session::INFLATION_BYTES_MAX;
use crate::protocol::{Next, Reply, Turn, Wake};

use super::Handle;
use super::connection::{Dialogue, Phase};
use super::outbound::{Queue, Sent};
use super::visited::Exchanged;

/// The least that is read from a peer at a time, in bytes, and the least room that there is for an answer.
pub(super) const RECEIVE_BYTES_MIN: usize = 4 * 1024;

/// Takes replies that lie in an engine's buffer away.
pub trait Carrier<Io> {
    /// Whether it carries for connections with a link, too, whose replies are sealed instead.
    const IS_FOR_LINKS: bool = false;

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

/// Carries by copying: for lent bytes that are the shard's own, and for where none are lent.
pub(super) struct Copying;

impl<Io> Carrier<Io> for Copying {
    const IS_FOR_LINKS: bool = true;

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

impl<Io> Handle<'_, Io> {
    /// Bytes have come.
    ///
    /// Replies that lie in `lent` go through `carrier`, which says who owns that memory; everything else
    /// is queued here.
    #[inline]
    pub fn receive(&mut self, lent: &mut [u8], carrier: &mut impl Carrier<Io>) {
        let connection = &mut *self.connection;
        self.common.tally.received_bytes.add(lent.len() as u64);
        if connection.phase != Phase::Talking {
            return;
        }
        connection.taken_in += lent.len() as u64;
        connection.said = true;
        if connection.link.is_some() {
            return self.receive_sealed(lent);
        }
        self.take_in_all(lent, carrier);
    }

    /// Takes in what the dialogue is to get, or keeps it.
    #[inline]
    pub(super) fn take_in_all(&mut self, lent: &mut [u8], carrier: &mut impl Carrier<Io>) {
        let connection = &mut *self.connection;
        if connection.held || connection.leaving.is_some() {
            return self.hold(lent);
        }
        if connection.permit.is_none() && !connection.is_turned_away() {
            connection.permit = self.common.settings.admission.enter();
            self.common.surplus -= usize::from(connection.permit.is_some());
        }
        self.common.inflation = INFLATION_BYTES_MAX;
        let mut from = 0;
        while from < lent.len() {
            let Some((consumed, next)) = self.take_in(lent, from, carrier) else {
                return;
            };
            from += consumed;
            if next == Next::HandOver {
                self.leave_for_http();
                return self.hold(&lent[from..]);
            }
            if next == Next::Yield || (next == Next::Hold && !self.has_room()) {
                return self.hold(&lent[from..]);
            }
        }
        self.tell_of_drain();
    }

    /// One call of the session with `lent[from..]`, and its reply taken away; none when the dialogue is
    /// over.
    #[inline]
    fn take_in(
        &mut self,
        lent: &mut [u8],
        from: usize,
        carrier: &mut impl Carrier<Io>,
    ) -> Option<(usize, Next)> {
        if self.connection.phase != Phase::Talking {
            return None;
        }
        let behind = self.connection.blocked;
        let room = self.room_bytes();
        let is_noted = self.connection.guest.is_some();
        let before = if is_noted {
            self.common.tally.data_messages()
        } else {
            0
        };
        let (step, mut reply) = self.converse(room, |dialogue, turn, reply| {
            dialogue.receive(turn, &mut lent[from..], reply)
        });
        reply.window = from + reply.window.start..from + reply.window.end;
        self.deliver(reply, lent, carrier);
        self.follow(step.next);
        if step.next == Next::Yield {
            self.connection.yields = true;
            self.common.yielded.push_back((self.common.now, self.id));
        }
        if behind {
            self.note_kept();
        }
        if is_noted {
            let messages = self.common.tally.data_messages() - before;
            self.count_for_pace(step.consumed, messages);
        }
        Some((step.consumed, step.next))
    }

    /// Asks the dialogue, with `room` bytes for what it answers beyond the bytes it is lent.
    #[inline]
    pub(super) fn converse<T>(
        &mut self,
        room: usize,
        ask: impl FnOnce(&mut Dialogue, &mut Turn<'_>, &mut Reply) -> T,
    ) -> (T, Reply) {
        let connection = &mut *self.connection;
        let stage = connection.dialogue.stage();
        let visit = connection.guest.as_ref().and_then(|it| it.visit.as_ref());
        let before = visit.map(|_| Exchanged::so_far(&self.common.tally));
        let mut reply = Reply::default();
        let mut turn = Turn {
            now: self.common.now,
            policy: &self.common.settings.policy,
            slabs: &mut self.common.slabs,
            inflaters: &mut self.common.inflaters,
            tally: &self.common.tally,
            room,
            inflation: self.common.inflation,
            refusing: self.common.draining.is_some() || connection.permit.is_none(),
            over_tls: connection.link.as_ref().is_some_and(|link| link.has_tls()),
            guest: connection.guest.as_deref_mut(),
            cause: None,
        };
        let said = ask(&mut connection.dialogue, &mut turn, &mut reply);
        self.common.inflation = turn.inflation;
        connection.cause = connection.cause.or(turn.cause);
        let reached = connection.dialogue.stage();
        if reached != stage {
            let stages = self.common.tally.stages.of(connection.entrance);
            stages.at(stage).sub(1);
            stages.at(reached).add(1);
        }
        if let Some(before) = before {
            self.note_exchanged(&before);
        }
        self.arm_for_dialogue();
        (said, reply)
    }

    /// How many bytes may be received from the connection at a time: where memory is short, no more than the
    /// peer may keep of it if it turns out not to read.
    #[inline]
    pub fn receive_bytes_max(&self) -> usize {
        let room = self.room_bytes();
        if self.connection.guest.is_some() {
            return room.min(self.paced_bytes_max());
        }
        room
    }

    /// How many bytes of answers there is room for.
    #[inline]
    fn room_bytes(&self) -> usize {
        let room = self.common.queue_bytes_max(self.connection);
        let room = room.saturating_sub(self.connection.outbox.bytes());
        room.max(RECEIVE_BYTES_MIN)
    }

    /// Whether the queue has room for more replies.
    fn has_room(&self) -> bool {
        let queued = self.connection.outbox.bytes();
        queued == 0 || queued < self.common.queue_bytes_max(self.connection)
    }

    /// Keeps input that the session does not take yet.
    fn hold(&mut self, rest: &[u8]) {
        self.connection.held = true;
        let slabs = &mut self.common.slabs;
        self.connection.parked.append(rest, slabs);
        self.note_kept();
    }

    /// The peer's FIN has come, or the word of its link that nothing follows, or one after the other.
    pub fn peer_finished(&mut self) {
        let is_new = !std::mem::replace(&mut self.connection.peer_finished, true);
        match self.connection.phase {
            Phase::Talking if is_new && self.connection.talks() && !self.connection.held => {
                self.note_given_up();
                self.wake(Wake::PeerFinished);
            }
            Phase::Lingering => self.connection.phase = Phase::Gone { reset: false },
            _ => {}
        }
    }

    /// Another turn has come for parked input.
    pub(super) fn take_turn(&mut self) {
        if self.rests_until().is_some() {
            return;
        }
        self.connection.yields = false;
        self.unpark();
    }

    /// Offers parked input again once there is room for its answer, unless it waits for another turn.
    pub(super) fn unpark(&mut self) {
        self.common.inflation = INFLATION_BYTES_MAX;
        while self.connection.held
            && !self.connection.yields
            && self.connection.talks()
            && self.has_room()
        {
            let Some(mut slab) = self.connection.parked.pop() else {
                self.connection.held = false;
                if self.connection.peer_finished {
                    self.wake(Wake::PeerFinished);
                } else {
                    self.tell_of_drain();
                }
                return;
            };
            let taken = self.take_in(slab.bytes_mut(), 0, &mut Copying);
            self.seal();
            let Some((consumed, next @ (Next::Hold | Next::Yield | Next::HandOver))) = taken else {
                self.common.slabs.give(slab);
                continue;
            };
            slab.advance(consumed);
            if slab.is_empty() {
                self.common.slabs.give(slab);
            } else {
                self.connection.parked.push_front(slab);
            }
            if next == Next::HandOver {
                self.leave_for_http();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flate2::{Compress, Compression, FlushCompress};

    use super::*;
    use crate::memory::SlabPool;
    use crate::protocol::inflate::SLICE_BYTES_MAX;
    use crate::protocol::{Moment, Policy, Tally};
    use crate::shard::readiness::{Immediate, Wire};
    use crate::shard::{Admission, Entrance, Protocol, Settings, Shard, SlotId, Standing};

    const REQUEST: &[u8] =
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

    /// Takes all.
    struct Wide;

    impl Wire<()> for Wide {
        fn send(&mut self, (): &mut (), bytes: &[u8], _: bool) -> Sent {
            Sent::Bytes(bytes.len())
        }
    }

    /// A compressed text of so many bytes, masked with zeros.
    fn compressed_text(text_bytes: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(text_bytes / 64);
        let mut compress = Compress::new(Compression::best(), false);
        let flushed =
            compress.compress_vec(&vec![b'0'; text_bytes], &mut payload, FlushCompress::Sync);
        flushed.expect("there is room");
        payload.truncate(payload.len() - 4);
        let length = u16::try_from(payload.len()).expect("a short payload");
        [&[0xC1, 0xFE], &length.to_be_bytes()[..], &[0; 4], &payload].concat()
    }

    struct World {
        shard: Shard<()>,
        tally: Arc<Tally>,
    }

    impl World {
        fn new() -> Self {
            let tally = Arc::new(Tally::default());
            let settings = Settings {
                policy: Policy::default(),
                budget: SlabPool::budget(4 << 20, 1),
                admission: Arc::new(Admission::new(None)),
                tls: None,
            };
            let mut shard = Shard::new(settings, tally.clone());
            shard.set_now(Moment::from_nanos(1));
            World { shard, tally }
        }

        /// A connection that agrees on compression, from which `bytes` have come, too.
        fn open(&mut self, bytes: &[u8]) -> SlotId {
            let protocol = Protocol::WebSocket;
            let entrance = Entrance {
                protocol,
                tls: false,
                number: 0,
            };
            let id = self.shard.open((), entrance, None);
            for bytes in [REQUEST, bytes] {
                let mut wire = Immediate(Wide);
                let mut handle = self.shard.at(id).unwrap();
                handle.receive(&mut bytes.to_vec(), &mut wire);
                handle.flush(&mut wire.0);
            }
            id
        }

        /// The next turn; whose it is.
        fn pass(&mut self) -> Vec<SlotId> {
            let not_yet = self.shard.pop_due(|()| Standing::default());
            assert_eq!(not_yet, None, "it is the same turn");
            let now = self.shard.next_due().expect("a turn");
            self.shard.set_now(now);
            let due = std::iter::from_fn(|| self.shard.pop_due(|()| Standing::default()));
            let due: Vec<_> = due.collect();
            for id in &due {
                self.shard.at(*id).unwrap().flush(&mut Wide);
            }
            due
        }
    }

    #[test]
    fn what_takes_long_to_inflate_takes_its_turns() {
        const TEXT_BYTES: usize = 16 << 20;
        let mut world = World::new();
        let id = world.open(&compressed_text(TEXT_BYTES));
        let mut inflated = 0;
        let mut turns = 0;
        loop {
            let before = std::mem::replace(&mut inflated, world.tally.inflated_bytes.get());
            let count = (inflated - before) as usize;
            // The deflate algorithm makes 1032 bytes of one at most.
            assert!(count > 0 && count <= INFLATION_BYTES_MAX + 1032 * SLICE_BYTES_MAX);
            turns += 1;
            if world.tally.data_messages() > 0 {
                break;
            }
            assert!(!world.shard.wants(id).read, "the rest waits for its turn");
            assert_eq!(world.pass(), [id]);
        }
        assert_eq!(inflated, TEXT_BYTES as u64);
        assert!(turns > 16, "{turns} turns");
        assert!(world.shard.wants(id).read);
        world.shard.release(id, |_| {});
        assert_eq!(world.shard.slab_bytes(), 0);
    }

    #[test]
    fn one_has_its_turn_at_a_time_however_many_wait() {
        let mut world = World::new();
        let bomb = compressed_text(2 << 20);
        let ids: Vec<_> = (0..5).map(|_| world.open(&bomb)).collect();
        for _ in 0..2 {
            for id in &ids {
                assert_eq!(world.pass(), [*id]);
            }
        }
        // Nobody waits for one that is gone.
        world.shard.release(ids[0], |_| {});
        assert_eq!(world.pass(), [ids[1]]);
    }

    #[test]
    fn all_that_is_parked_has_one_turn_together() {
        let mut world = World::new();
        let text = [
            &[0xC1, 0xA8, 0, 0, 0, 0, 0, 34, 0, 221, 255][..],
            &[b'0'; 34],
            &[0],
        ]
        .concat();
        world.open(&text.repeat(2000));
        let mut echoed = 0;
        while echoed < 2000 {
            let before = std::mem::replace(&mut echoed, world.tally.data_messages());
            assert!(
                (echoed - before) as usize <= INFLATION_BYTES_MAX / 512,
                "in one turn"
            );
            if echoed < 2000 {
                world.pass();
            }
        }
    }
}

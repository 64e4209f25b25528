//! A connection put down by one owner and picked up by another, who goes on as if nothing had happened.

use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::guests::Guest;
use crate::protocol::{Moment, Policy, Wake};

use super::connection::{Connection, Destination, Dialogue, End, Phase};
use super::judge::FOUND_READING_MAX;
use super::{Carried, Entrance, Handle, Lease, Load, Shard, SlotId, Standing};

/// More bytes than ever come on a connection.
const RECEIVED_BYTES_MAX: u64 = 1 << 62;

/// More doublings of a queue's limit than any share has room for.
const DOUBLINGS_MAX: u8 = 32;

impl<Io> Handle<'_, Io> {
    /// The connection is to be put down for `to`: from here on nothing new is begun for it. One that is broken
    /// is closed all the same.
    pub fn leave(&mut self, to: Destination) {
        self.connection.leaving = Some(to);
    }

    /// Its request is ordinary HTTP: what the session holds of the head goes in front of the rest.
    pub(super) fn leave_for_http(&mut self) {
        if let Some(head) = self.connection.dialogue.take_held() {
            self.connection.parked.push_front(head);
        }
        self.leave(Destination::Http);
    }
}

impl Carried {
    /// A connection whose bytes somebody else has read, `received` of them so far, and of whose dialogue nothing
    /// has been taken in but is `unread`: to be picked up by a worker as if it had just been accepted.
    pub fn fresh(entrance: Entrance, policy: &Policy, unread: Vec<u8>, received: u64) -> Self {
        let now = Moment::default();
        let dialogue = Dialogue::open(entrance.protocol, policy, now);
        let mut connection = Connection::new((), dialogue, now);
        connection.held = true;
        connection.taken_in = received;
        // In a drain it is one of those that come.
        connection.late = true;
        let mut writer = Writer::new(now);
        connection.write(&mut writer);
        Carried {
            state: writer.into_bytes(),
            unread,
            unsent: Vec::new(),
            permit: None,
            link: None,
            guest: None,
            entrance: entrance.number,
            stays: false,
        }
    }
}

impl<Io> Shard<Io> {
    /// Puts down a connection that [`super::Write::PutDown`] is wanted for. Nothing may be under way for it any
    /// more: whatever came or went has been told. What is queued in an engine's buffers is copied: `read` shows
    /// a claim's bytes and takes it back.
    pub fn put_down(
        &mut self,
        id: SlotId,
        mut read: impl FnMut(Lease, &mut dyn FnMut(&[u8])),
    ) -> Option<(Io, Carried)> {
        let is_leaving =
            |it: &Connection<Io>| it.leaving.is_some() && !matches!(it.phase, Phase::Gone { .. });
        self.slots.get(id).filter(|it| is_leaving(it))?;
        let mut connection = self.slots.remove(id)?;
        let common = &mut self.common;
        let mut writer = Writer::new(common.now);
        connection.write(&mut writer);
        let mut unsent = Vec::with_capacity(connection.outbox.bytes());
        while let Some(load) = common.entries.pop(&mut connection.outbox) {
            match load {
                Load::Slab(slab) => {
                    unsent.extend_from_slice(slab.bytes());
                    common.slabs.give(slab);
                }
                Load::Lease(lease) => read(lease, &mut |bytes| unsent.extend_from_slice(bytes)),
            }
        }
        let mut unread = Vec::with_capacity(connection.parked.byte_count());
        while let Some(slab) = connection.parked.pop() {
            unread.extend_from_slice(slab.bytes());
            common.slabs.give(slab);
        }
        common.tally.put_down.add(1);
        let (guest, entrance) = (connection.guest.take(), connection.entrance);
        let (io, permit, link) = self.forget(id, connection);
        let carried = Carried {
            state: writer.into_bytes(),
            unread,
            unsent,
            permit,
            link,
            guest,
            entrance,
            stays: false,
        };
        Some((io, carried))
    }

    /// Goes on with a connection that somebody put down. `ask` tells how its peer stands.
    ///
    /// # Errors
    /// Where what is carried is no state that a connection can be in; its socket comes back.
    pub fn pick_up(
        &mut self,
        io: Io,
        carried: Carried,
        ask: impl FnOnce(&Io) -> Standing,
    ) -> Result<SlotId, (Io, Damage)> {
        let mut connection = self.restore(io, carried)?;
        let common = &mut self.common;
        common.tally.picked_up.add(1);
        let stages = common.tally.stages.of(connection.entrance);
        stages.at(connection.dialogue.stage()).add(1);
        common.tally.behind.add(u64::from(connection.blocked));
        common.surplus += usize::from(connection.permit.is_none());
        connection.late &= common.draining.is_some();
        if common.draining.is_some() && !connection.late {
            connection.last_words = ask(&connection.io).received;
            common.residents += 1;
        }
        let id = self.slots.insert(connection);
        if let Some(mut handle) = self.at(id) {
            handle.go_on();
        }
        self.note_use();
        Ok(id)
    }

    /// The connection that was carried, with its memory.
    fn restore(&mut self, io: Io, mut carried: Carried) -> Result<Connection<Io>, (Io, Damage)> {
        let common = &mut self.common;
        let mut reader = Reader::new(&carried.state, common.now);
        let policy = &common.settings.policy;
        let dialogue = match Dialogue::read(&mut reader, policy, &mut common.slabs) {
            Ok(dialogue) => dialogue,
            Err(damage) => return Err((io, damage)),
        };
        let mut connection = Connection::new(io, dialogue, common.now);
        let (guests, brought) = (policy.guests.as_deref(), carried.guest.take());
        let read = connection.read(&mut reader).and_then(|()| {
            connection.guest = Guest::read(&mut reader, guests, brought)?;
            Ok(())
        });
        if let Err(damage) = read
            .and_then(|()| connection.check(&carried))
            .and_then(|()| reader.end())
        {
            connection.dialogue.release(&mut common.slabs);
            return Err((connection.io, damage));
        }
        connection.stays = carried.stays;
        connection.entrance = carried.entrance;
        connection.permit = carried.permit.or_else(|| common.settings.admission.enter());
        connection.link = carried.link;
        let is_finished = connection.link.as_ref().is_some_and(|it| it.is_finished());
        connection.peer_finished |= is_finished;
        connection.parked.append(&carried.unread, &mut common.slabs);
        let mut queue = common.queue(&mut connection.outbox, connection.blocked);
        queue.push_bytes(&carried.unsent);
        connection.blocked &= !carried.unsent.is_empty();
        Ok(connection)
    }
}

impl<Io> Handle<'_, Io> {
    /// Goes on where the connection was put down.
    fn go_on(&mut self) {
        // What was to happen next is not put off by moving, however often.
        let due = std::mem::replace(&mut self.connection.timer, Moment::NEVER);
        self.arm(due);
        if self.connection.phase == Phase::Talking {
            self.arm_for_dialogue();
        }
        self.recount_link();
        self.note_kept();
        if self.connection.held {
            self.unpark();
        } else if self.connection.peer_finished && self.connection.talks() {
            self.wake(Wake::PeerFinished);
        } else {
            self.tell_of_drain();
        }
    }
}

impl<Io> Connection<Io> {
    /// Writes what the next owner has to know. Its queue and what is parked are carried as bytes, its place as
    /// a permit; what the operator is to be told has been told.
    fn write(&self, writer: &mut Writer) {
        self.dialogue.write(writer);
        writer.u8(match self.phase {
            Phase::Talking => 0,
            Phase::Flushing(End::HalfClose) => 1,
            Phase::Flushing(End::Close) => 2,
            Phase::Lingering | Phase::Gone { .. } => 3,
        });
        writer.flag(self.held);
        writer.flag(self.peer_finished);
        writer.flag(self.late);
        writer.flag(self.blocked);
        writer.u8(self.doublings);
        writer.u8(self.found_reading);
        writer.u8(self.unmoved);
        writer.u8(self.put_off);
        writer.flag(self.owed);
        writer.flag(self.said);
        writer.until(self.timer);
        writer.since(self.progress);
        writer.u64(self.acknowledged);
        writer.u64(self.taken_in);
        Guest::write(self.guest.as_deref(), writer);
    }

    /// Reads what [`Connection::write`] wrote after the dialogue.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Damage> {
        self.phase = match reader.u8("phase")? {
            0 => Phase::Talking,
            1 => Phase::Flushing(End::HalfClose),
            2 => Phase::Flushing(End::Close),
            3 => Phase::Lingering,
            _ => return Err(Damage::value("phase")),
        };
        self.held = reader.flag("held")?;
        self.peer_finished = reader.flag("peer finished")?;
        self.late = reader.flag("late")?;
        self.blocked = reader.flag("blocked")?;
        self.doublings = reader.u8("doublings")?;
        if self.doublings > DOUBLINGS_MAX {
            return Err(Damage::value("doublings"));
        }
        self.found_reading = reader.u8("found reading")?;
        if self.found_reading > FOUND_READING_MAX {
            return Err(Damage::value("found reading"));
        }
        self.unmoved = reader.u8("unmoved")?;
        self.put_off = reader.u8("put off")?;
        self.owed = reader.flag("owed")?;
        self.said = reader.flag("said")?;
        self.timer = reader.until("timer")?;
        self.progress = reader.since("progress")?;
        self.acknowledged = reader.u64("acknowledged")?;
        self.taken_in = reader.u64("taken in")?;
        if self.taken_in > RECEIVED_BYTES_MAX {
            return Err(Damage::value("taken in"));
        }
        Ok(())
    }

    /// Whether what is read goes together with the bytes that are carried.
    fn check(&self, carried: &Carried) -> Result<(), Damage> {
        let is_talking = self.phase == Phase::Talking;
        if self.held && !is_talking {
            return Err(Damage::value("held"));
        }
        if !carried.unread.is_empty() && !self.held {
            return Err(Damage::value("unread"));
        }
        if !carried.unsent.is_empty() && self.phase == Phase::Lingering {
            return Err(Damage::value("unsent"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Policy;
    use crate::shard::Protocol;
    use crate::shard::inbound::Copying;
    use crate::shard::readiness::{Immediate, Wire};
    use crate::shard::{Sent, TCP, tcp_shard};

    /// Takes all.
    struct Wide;

    impl Wire<()> for Wide {
        fn send(&mut self, (): &mut (), bytes: &[u8], _: bool) -> Sent {
            Sent::Bytes(bytes.len())
        }
    }

    /// What is carried of an echo that is behind, and of a connection whose head has begun.
    fn carried(which: bool) -> Carried {
        if which {
            let entrance = Entrance {
                protocol: Protocol::WebSocket,
                tls: false,
                number: 0,
            };
            return Carried::fresh(entrance, &Policy::default(), b"GET / HT".to_vec(), 8);
        }
        let (mut shard, _) = tcp_shard(1 << 20);
        let id = shard.open((), TCP, None);
        let mut handle = shard.at(id).unwrap();
        handle.receive(&mut [7; 100], &mut Copying);
        handle.sent(Sent::Blocked);
        handle.leave(Destination::Worker(1));
        handle.receive(&mut [8; 100], &mut Copying);
        shard.put_down(id, |_, _| {}).unwrap().1
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        let bytes = carried(false).encode();
        let (mut shard, tally) = tcp_shard(1 << 20);
        let carried = Carried::decode(&bytes, None).unwrap();
        let id = shard
            .pick_up((), carried, |()| Standing::default())
            .unwrap();
        assert_eq!(
            shard.queued_bytes(id),
            200,
            "what was owed, then what came late"
        );
        assert_eq!(tally.picked_up.get(), 1);
    }

    proptest! {
        #[test]
        fn what_is_damaged_is_refused_or_does_no_harm(
            which: bool,
            place: prop::sample::Index,
            with in prop::collection::vec(any::<u8>(), 1..9),
            mut more in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut carried = carried(which);
            let start = place.index(carried.state.len());
            for (byte, new) in carried.state[start..].iter_mut().zip(with) {
                *byte = new;
            }
            let bytes = carried.encode();
            let carried = Carried::decode(&bytes, None).unwrap();
            let (mut shard, _) = tcp_shard(1 << 20);
            if let Ok(id) = shard.pick_up((), carried, |()| Standing::default()) {
                let mut wire = Immediate(Wide);
                let mut handle = shard.at(id).unwrap();
                handle.flush(&mut wire.0);
                handle.receive(&mut more, &mut wire);
                for seconds in [0, 1, 1 << 20] {
                    shard.set_now(Moment::from_nanos(seconds * 1_000_000_000));
                    for _ in 0..10 {
                        shard.pop_due(|()| Standing::default());
                    }
                }
                shard.release(id, |_| {});
            }
            prop_assert_eq!(shard.slab_bytes(), 0);
            // Whatever happened to it on its way.
            let mut bytes = bytes;
            let place = place.index(bytes.len());
            bytes[place] ^= 1;
            prop_assert!(Carried::decode(&bytes, None).is_err());
            prop_assert!(Carried::decode(&bytes[..place], None).is_err());
        }
    }
}

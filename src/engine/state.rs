//! What a worker keeps, whatever its engine: its connections, whether it accepts, how far it is on its way
//! down, and the time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::door::Door;
use super::ended::Ended;
use super::exchange::Member;
use super::leaving::{Farewells, Leaving};
use super::post::PutDown;
use super::survey::Surveying;
use super::{Origin, Post, Stop, Survey, Worker};
use crate::log;
use crate::protocol::guests::{Guest, Guests, Peer};
use crate::protocol::{Moment, Tally};
use crate::shard::{Carried, Connection, Entrance, Lease, Shard, SlotId, Standing};
use crate::sys::memory;

/// One turn in so many is timed.
const TURNS_APART: u32 = 64;

/// The state of a worker; `Io` is what its engine keeps per connection.
#[derive(Debug)]
pub(super) struct State<Io> {
    /// The connections.
    pub(super) shard: Shard<Io>,
    /// Whether it accepts.
    pub(super) door: Door,
    /// What the operator has been told of those whom the server ended.
    pub(super) ended: Ended,
    /// By what connections come in.
    entrances: Vec<Entrance>,
    /// Who may come, where those who do are to be asked for their addresses.
    guests: Option<Arc<Guests>>,
    tally: Arc<Tally>,
    leaving: Leaving,
    /// What the operator wants to know and is not told yet.
    surveying: Option<Surveying>,
    number: usize,
    /// Turns made so far, by and by from zero again.
    turns: u32,
    member: Member,
    /// Those that were there when the drain began and have still to be told.
    farewells: Farewells,
    /// Those that have still to be looked at in this search for connections to be put down.
    searched: Vec<SlotId>,
    now: Moment,
}

impl<Io> State<Io> {
    /// Of a worker without connections.
    pub(super) fn new(worker: &Worker<'_>, now: Moment) -> Self {
        let mut shard = Shard::new(worker.settings.clone(), worker.tally.clone());
        shard.set_now(now);
        let guests = worker.settings.policy.guests.clone();
        State {
            shard,
            door: Door::new(worker.stop.accepts()),
            ended: Ended::new(worker.number),
            entrances: worker.entrances.clone(),
            guests: guests.filter(|guests| guests.ask_for_address()),
            tally: worker.tally.clone(),
            leaving: Leaving::default(),
            surveying: None,
            number: worker.number,
            turns: 0,
            member: Member::new(worker.exchange.clone(), worker.number),
            farewells: Farewells::default(),
            searched: Vec::new(),
            now,
        }
    }

    /// The time, as it was set last.
    #[inline]
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Sets the time. To be called once per turn, before anything else.
    #[inline]
    pub(super) fn set_now(&mut self, now: Moment) {
        self.now = now;
        self.shard.set_now(now);
    }

    /// The next connection that the engine has to look at though no event named it: its deadline has passed,
    /// the server has begun to go down, or it is ended for want of memory. To be called until it names none.
    /// `ask` tells how a peer stands.
    pub(super) fn next_called(
        &mut self,
        stop: &Stop,
        mut ask: impl FnMut(&Io) -> Standing,
    ) -> Option<SlotId> {
        if let Some(id) = self.shard.pop_due(&mut ask) {
            return Some(id);
        }
        if self.leaving.begins(stop, self.now) {
            let goodbye = stop.goodbye();
            self.shard.drain(goodbye.code);
            let (shard, ids) = (&self.shard, self.shard.ids());
            self.farewells = Farewells::new(ids, self.now, goodbye.spread, |id| {
                shard.get(id).is_some_and(Connection::is_open)
            });
        }
        if let Some(id) = self.farewells.pop_due(self.now) {
            self.shard.bid_farewell(id, ask);
            return Some(id);
        }
        self.shard.pop_shed()
    }

    /// Whether the engine is to accept, where that has changed.
    pub(super) fn door_turns(&mut self, stop: &Stop) -> Option<bool> {
        let open = stop.accepts();
        self.door.set(open).then_some(open)
    }

    /// The connections that are to be put down now, as `wanted`.
    pub(super) fn choose(&mut self, wanted: &PutDown) -> Vec<SlotId> {
        let Some(most) = wanted.most else {
            return self.shard.ids();
        };
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        let mut has_searched = false;
        while chosen.len() < most.connections && bytes < most.bytes {
            if let Some(id) = self.searched.pop() {
                let connection = self.shard.get(id).filter(|it| it.is_portable());
                chosen.extend(connection.map(|_| id));
                bytes += connection.map_or(0, Connection::waiting_bytes);
            } else if chosen.is_empty() && !has_searched {
                // Whoever came since the last search.
                has_searched = true;
                self.searched = self.shard.ids();
            } else {
                break;
            }
        }
        if let Some(begun) = &wanted.begun {
            // Whoever asked may have lost patience.
            let _ = begun.send(chosen.len());
        }
        chosen
    }

    /// Whether a connection that has just come is somebody's for whom it is to be put down at once.
    pub(super) fn passes_on(&self, id: SlotId) -> bool {
        self.member.has_successor() && self.shard.get(id).is_some_and(Connection::is_portable)
    }

    /// Ends a turn. Where memory is worth returning to the system it is; `cool` first gives up what the engine
    /// keeps warm.
    pub(super) fn end_turn(&mut self, stop: &Stop, cool: impl FnOnce()) {
        self.return_memory(cool);
        let residents = self.shard.residents();
        self.leaving.advance(residents, stop, self.now);
    }

    /// Begins to find out what the operator wants to know. One thing at a time: who asks has no answer to wait for any more,
    /// or has none from now on.
    pub(super) fn begin_survey(&mut self, survey: Survey) {
        self.surveying = Some(Surveying::new(survey));
    }

    /// Looks at some more connections, where the operator wants to know of them. To be called once a turn. `peer` finds
    /// an address.
    #[inline]
    pub(super) fn go_on_surveying(&mut self, peer: impl Fn(&Io) -> Option<SocketAddr>) {
        if let Some(surveying) = &mut self.surveying
            && !surveying.go_on(self.number, &self.shard, peer)
        {
            self.surveying = None;
        }
    }

    /// Ends a turn as far as the operator wants to know how long it took, which is looked at of one in
    /// [`TURNS_APART`]: a look at the clock costs little, but not nothing. `clock` is that of [`State::set_now`].
    #[inline]
    pub(super) fn time_turn(&mut self, clock: impl FnOnce() -> Moment) {
        if self.counts_turn() {
            self.note_turn(clock().since(self.now));
        }
    }

    /// Counts a turn, or what stands for one; whether it is one of those that are timed.
    #[inline]
    pub(super) fn counts_turn(&mut self) -> bool {
        self.turns = self.turns.wrapping_add(1);
        self.turns.is_multiple_of(TURNS_APART)
    }

    /// A turn was timed.
    pub(super) fn note_turn(&mut self, took: Duration) {
        self.tally.turns.note(took);
        self.tally.turn_max.note(took);
    }

    /// Returns memory to the system if it is time to; `cool` first gives up what the engine keeps warm.
    pub(super) fn return_memory(&mut self, cool: impl FnOnce()) {
        if self.shard.returns_memory() {
            cool();
            memory::give_back();
        }
    }

    /// Whether the worker may end.
    pub(super) fn is_done(&self) -> bool {
        self.leaving.is_over(self.shard.is_empty(), self.now)
    }

    /// When a turn is due though nothing may have happened; none: when something has. When to accept again is
    /// the door's to say.
    pub(super) fn next_due(&self) -> Option<Moment> {
        let survey = self.surveying.as_ref().map(|_| self.now);
        let next = [
            self.shard.next_due(),
            self.leaving.next_due(),
            self.farewells.next_due(),
            survey,
        ];
        next.into_iter().flatten().min()
    }

    /// Has a connection that this worker has accepted served by whoever is to. If that is this worker, the socket
    /// comes back. Who is refused is refused by whoever accepts.
    pub(super) fn place<S>(&self, post: &mut impl Post<S>, socket: S, listener: u32) -> Option<S> {
        if self.shard.is_draining() || self.door.is_shut() {
            self.member.keep();
            return Some(socket);
        }
        let Some(other) = self.member.place() else {
            return Some(socket);
        };
        let left = post.hand_over_fresh(socket, listener, other).err()?;
        self.member.take_back(other);
        Some(left)
    }

    /// Takes a connection in that this worker is to serve: one that was accepted goes on counting where
    /// [`State::place`] has counted it. `ask` tells how the peer stands of one that was put down, `peer` where one comes
    /// from that was accepted.
    ///
    /// # Errors
    /// Where what is carried cannot be read, or there is no place for it and none to say so; the engine's part comes back.
    pub(super) fn take_in(
        &mut self,
        io: Io,
        origin: Origin,
        ask: impl FnOnce(&Io) -> Standing,
        peer: impl Fn(&Io) -> Option<SocketAddr>,
    ) -> Result<SlotId, Io> {
        let id = self.let_in(io, origin, ask, &peer)?;
        if log::tells_access()
            && let Some(mut connection) = self.shard.at(id)
        {
            connection.begin_visit(|io| peer(io).map(Peer::from));
        }
        Ok(id)
    }

    fn let_in(
        &mut self,
        io: Io,
        origin: Origin,
        ask: impl FnOnce(&Io) -> Standing,
        peer: impl FnOnce(&Io) -> Option<SocketAddr>,
    ) -> Result<SlotId, Io> {
        let carried = match origin {
            Origin::PutDown(carried) => carried,
            Origin::Accepted { listener } => {
                let guest = self.greet(|| peer(&io));
                let entrance = self.entrances[listener as usize];
                let is_turned_away = guest.as_ref().is_some_and(|guest| guest.is_turned_away());
                // To tell it over TLS would take a handshake, which is what there were too many of.
                if is_turned_away && (entrance.tls || !self.shard.may_turn_away_politely()) {
                    self.tally.turned_away.add(1);
                    self.member.leave();
                    return Err(io);
                }
                return Ok(self.shard.open(io, entrance, guest));
            }
        };
        match self.shard.pick_up(io, carried, ask) {
            Ok(id) => {
                self.member.keep();
                Ok(id)
            }
            Err((io, damage)) => {
                warn!("a connection was handed over that cannot be read, and is closed: {damage}");
                Err(io)
            }
        }
    }

    /// Whoever has come, if that is to be known. `peer` tells where it comes from.
    fn greet(&self, peer: impl FnOnce() -> Option<SocketAddr>) -> Option<Box<Guest>> {
        let guests = self.guests.as_ref()?;
        Some(Box::new(Guest::arrive(guests, peer())))
    }

    /// Puts a connection down for which nothing is under way any more. `read` shows what a claim names.
    pub(super) fn put_down(
        &mut self,
        id: SlotId,
        read: impl FnMut(Lease, &mut dyn FnMut(&[u8])),
    ) -> Option<(Io, Carried)> {
        let put_down = self.shard.put_down(id, read)?;
        self.member.leave();
        Some(put_down)
    }

    /// Nothing is under way for a connection any more, and it is gone. Claims on buffers go to `lease`.
    pub(super) fn release(&mut self, id: SlotId, lease: impl FnMut(Lease)) -> Option<Io> {
        // Before the tally says so: who sees that a connection has ended may count on its place.
        self.shard.get(id).map(|_| self.member.leave())?;
        if log::tells_access() {
            self.ended.tell_of_visit(&self.shard.at(id)?);
        }
        self.shard.release(id, lease)
    }
}

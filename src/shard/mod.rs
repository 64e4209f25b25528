//! The engine-free half of a core's thread.
//!
//! A shard owns its connections, their queues, their deadlines and their memory, and decides everything
//! that can be decided without a system call. An engine looks a connection up once ([`Shard::at`]), tells it
//! what happened ([`Handle::receive`], [`Handle::sent`], [`Handle::peer_finished`], ...) and then asks what is
//! to be done ([`Handle::wants`]), which it may ask as often as it likes: the answer follows from how things
//! stand, and asking changes nothing.
//!
//! It may import `protocol` and `memory`; it must never know an engine, a file descriptor or a clock.
//!
//! | file | what it answers |
//! |---|---|
//! | `connection.rs` | what is known of one connection |
//! | `handle.rs` | one connection, looked up: how it ends, what it wants |
//! | `inbound.rs` | what becomes of bytes that come |
//! | `outbound.rs` | the one way out for replies, and what is queued |
//! | `sealed.rs` | both of it where there is a link: opened before, sealed behind |
//! | `readiness.rs`, `completion.rs` | who owns the memory of a reply that lies in a receive buffer |
//! | `moving.rs`, `carried.rs` | a connection put down and picked up |
//! | `deadlines.rs`, `judge.rs` | what happens without bytes, and to whom |
//! | `admission.rs`, `pace.rs` | how many may come, and how fast what they send is taken in |
//! | `survey.rs` | what is seen of all connections, some of them at a time |
//! | `visited.rs` | what is told of a connection at its end |
//! | `retention.rs`, `keepers.rs` | how much may be kept, and who is ended for it |

mod admission;
mod carried;
pub mod completion;
mod connection;
mod deadlines;
mod handle;
mod inbound;
mod judge;
mod keepers;
mod moving;
mod outbound;
mod outbox;
mod pace;
pub mod readiness;
mod retention;
mod sealed;
mod slots;
mod survey;
mod timers;
mod visited;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::link::{Acceptor, Link, Opened};
use crate::memory::{Budget, SlabPool};
use crate::protocol::guests::Guest;
use crate::protocol::{CloseCode, Inflaters, Moment, Policy, Tally};

pub use admission::{Admission, Permit};
pub use carried::{Bytes, Carried, ENCODING_VERSION};
pub use connection::{Connection, Destination, Entrance, Protocol, Standing};
use connection::{Dialogue, End, Phase};
pub use handle::{Handle, Wants, Write};
pub use inbound::Carrier;
use keepers::Keepers;
pub use outbound::{Front, Queue, Sent};
pub use outbox::{Entries, Lease, Load, Outbox};
use retention::Returns;
pub use retention::UNDERWAY_BYTES_MAX;
pub use slots::SlotId;
use slots::Slots;
pub use survey::View;
use timers::Timers;
pub use visited::Visited;

/// Connections over the limit that one shard keeps open at a time to tell them so (503).
pub const SURPLUS_CONNECTIONS_MAX: usize = 64;

/// What every shard of a process is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The limits of every connection.
    pub policy: Policy,
    /// What all connections may together keep in memory while they wait.
    pub budget: Arc<Budget>,
    /// The limit on connections.
    pub admission: Arc<Admission>,
    /// What TLS is accepted with, where an entrance speaks it.
    pub tls: Option<Arc<Acceptor>>,
}

/// One core's connections.
#[derive(Debug)]
pub struct Shard<Io> {
    slots: Slots<Connection<Io>>,
    common: Common,
    returns: Returns,
    /// Connections that were ended for want of memory and are not closed yet, with the bytes that they keep.
    shed: Vec<(SlotId, usize)>,
}

/// What the connections of a core have in common.
#[derive(Debug)]
struct Common {
    settings: Settings,
    tally: Arc<Tally>,
    now: Moment,
    /// The server is going down, with this code.
    draining: Option<CloseCode>,
    entries: Entries,
    slabs: SlabPool,
    inflaters: Inflaters,
    timers: Timers,
    /// What [`crate::protocol::Turn::inflation`] is in the next call.
    inflation: usize,
    /// Connections that have input and wait for another turn, and since when, in that order.
    yielded: VecDeque<(Moment, SlotId)>,
    /// When one of them last had its turn.
    turn_taken: Moment,
    keepers: Keepers,
    /// What the link of the connection that receives has opened. Empty between two receives.
    opened: Opened,
    /// What the dialogue over a link has said and is not sealed yet. Empty between two events.
    unsealed: Vec<u8>,
    /// Connections over the limit.
    surplus: usize,
    /// Of those that were there when the server began to go down, how many are left.
    residents: usize,
}

impl Common {
    /// A connection's queue, with what is needed to put something in.
    #[inline]
    fn queue<'a>(&'a mut self, outbox: &'a mut Outbox, blocked: bool) -> Queue<'a> {
        Queue {
            outbox,
            entries: &mut self.entries,
            slabs: &mut self.slabs,
            blocked,
        }
    }
}

impl<Io> Shard<Io> {
    /// A shard without connections.
    pub fn new(settings: Settings, tally: Arc<Tally>) -> Self {
        let slabs = SlabPool::new(settings.budget.clone());
        Shard {
            slots: Slots::default(),
            common: Common {
                settings,
                tally,
                now: Moment::default(),
                draining: None,
                entries: Entries::default(),
                slabs,
                inflaters: Inflaters::default(),
                timers: Timers::default(),
                inflation: 0,
                yielded: VecDeque::new(),
                turn_taken: Moment::default(),
                keepers: Keepers::default(),
                opened: Opened::default(),
                unsealed: Vec::new(),
                surplus: 0,
                residents: 0,
            },
            returns: Returns::default(),
            shed: Vec::new(),
        }
    }

    /// Sets the time. To be called once per turn of the engine's loop, before anything else.
    #[inline]
    pub fn set_now(&mut self, now: Moment) {
        self.common.now = now;
    }

    /// Whether the server is going down.
    pub fn is_draining(&self) -> bool {
        self.common.draining.is_some()
    }

    /// Whether a connection waits for another turn, and for nothing else, or did until it ended.
    pub fn has_yielded(&self) -> bool {
        !self.common.yielded.is_empty()
    }

    /// The number of connections.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are no connections.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether another connection may be accepted now, be it to refuse it politely.
    pub fn may_accept(&self) -> bool {
        self.common.surplus < SURPLUS_CONNECTIONS_MAX || !self.is_full()
    }

    /// Whether there is a limit on connections.
    pub fn is_limited(&self) -> bool {
        self.common.settings.admission.is_limited()
    }

    /// Whether there are as many connections as there may be, over all shards.
    pub fn is_full(&self) -> bool {
        !self.common.settings.admission.has_room()
    }

    /// Whether one more may be kept to tell it that there is no place for it among those of its source. The other half is
    /// for those for whom there is none among all.
    pub fn may_turn_away_politely(&self) -> bool {
        self.common.surplus < SURPLUS_CONNECTIONS_MAX / 2
    }

    /// A connection has been accepted at `entrance`. `guest`: who is at the other end, where it was asked.
    pub fn open(&mut self, io: Io, entrance: Entrance, guest: Option<Box<Guest>>) -> SlotId {
        let common = &mut self.common;
        let guests = common.settings.policy.guests.as_ref();
        let guest = guest.or_else(|| {
            let is_noted = guests.is_some_and(|guests| guests.are_noted());
            is_noted.then(Box::default)
        });
        let is_welcome = !guest.as_ref().is_some_and(|guest| guest.is_turned_away());
        let permit = is_welcome
            .then(|| common.settings.admission.enter())
            .flatten();
        common.surplus += usize::from(permit.is_none());
        common.tally.accepted.add(1);
        // There is no polite refusal in RFC 862.
        let is_turned_away = permit.is_none() || common.draining.is_some();
        let phase = if entrance.protocol == Protocol::Tcp && is_turned_away {
            Phase::Flushing(End::Close)
        } else {
            Phase::Talking
        };
        let dialogue = Dialogue::open(entrance.protocol, &common.settings.policy, common.now);
        let stages = common.tally.stages.of(entrance.number);
        stages.at(dialogue.stage()).add(1);
        let acceptor = common.settings.tls.as_ref().filter(|_| entrance.tls);
        debug_assert_eq!(
            acceptor.is_some(),
            entrance.tls,
            "TLS has what it is spoken with"
        );
        let has_preface = guest
            .as_ref()
            .is_some_and(|guest| guest.awaits_introduction());
        let connection = Connection {
            phase,
            entrance: entrance.number,
            permit,
            link: Link::accept(acceptor, has_preface),
            guest,
            late: common.draining.is_some(),
            ..Connection::new(io, dialogue, common.now)
        };
        let id = self.slots.insert(connection);
        if let Some(mut handle) = self.at(id) {
            if phase != Phase::Talking {
                handle.finish_link();
            }
            handle.arm_for_dialogue();
            handle.tell_of_drain();
        }
        self.note_use();
        id
    }

    /// The connection of that name, if it lives: looked up once for whatever is to be told or asked.
    #[inline]
    pub fn at(&mut self, id: SlotId) -> Option<Handle<'_, Io>> {
        Some(Handle {
            id,
            connection: self.slots.get_mut(id)?,
            common: &mut self.common,
        })
    }

    /// The connection of that name, if it lives.
    #[inline]
    pub fn get(&self, id: SlotId) -> Option<&Connection<Io>> {
        self.slots.get(id)
    }

    /// What is to be done for a connection now: nothing for one that is gone.
    #[inline]
    pub fn wants(&self, id: SlotId) -> Wants {
        self.slots
            .get(id)
            .map_or(Wants::NOTHING, |connection| self.common.wants(connection))
    }

    /// The piece to be sent next on the connection.
    pub fn front(&self, id: SlotId) -> Option<Front<'_>> {
        self.common.front(self.slots.get(id)?)
    }

    /// The names of all connections.
    pub fn ids(&self) -> Vec<SlotId> {
        self.slots.ids()
    }

    /// How many bytes wait to be sent on the connection.
    pub fn queued_bytes(&self, id: SlotId) -> usize {
        self.slots
            .get(id)
            .map_or(0, |connection| connection.outbox.bytes())
    }

    /// Whether what comes from the connection has no use any more.
    pub fn discards(&self, id: SlotId) -> bool {
        self.slots
            .get(id)
            .is_none_or(|connection| connection.phase != Phase::Talking)
    }

    /// The connection is closed and the kernel is done with its memory. Claims on buffers go to `lease`.
    pub fn release(&mut self, id: SlotId, mut lease: impl FnMut(Lease)) -> Option<Io> {
        let mut connection = self.slots.remove(id)?;
        let common = &mut self.common;
        while let Some(load) = common.entries.pop(&mut connection.outbox) {
            match load {
                Load::Slab(slab) => common.slabs.give(slab),
                Load::Lease(claim) => lease(claim),
            }
        }
        common.tally.ended.add(1);
        Some(self.forget(id, connection).0)
    }

    /// Takes a connection out of all accounts whose queue is empty and that has no slot any more.
    fn forget(&mut self, id: SlotId, mut connection: Connection<Io>) -> Forgotten<Io> {
        let common = &mut self.common;
        let stages = common.tally.stages.of(connection.entrance);
        stages.at(connection.dialogue.stage()).sub(1);
        common.tally.behind.sub(u64::from(connection.blocked));
        if let Some(link) = &mut connection.link {
            common.slabs.recount(&mut link.counted, 0);
        }
        connection.dialogue.release(&mut common.slabs);
        connection.parked.clear(&mut common.slabs);
        common.surplus -= usize::from(connection.permit.is_none());
        common.residents -= usize::from(common.draining.is_some() && !connection.late);
        let slots = &self.slots;
        common.keepers.sweep(slots.len(), |entered, id| {
            slots.get(id).is_some_and(|it| it.ranked == entered)
        });
        debug_assert!(
            !self.slots.is_empty() || common.slabs.out_bytes() == 0,
            "memory returns when all are gone"
        );
        self.shed.retain(|(shed, _)| *shed != id);
        (connection.io, connection.permit, connection.link)
    }
}

/// What is left of a connection that is in no account any more.
type Forgotten<Io> = (Io, Option<Permit>, Option<Box<Link>>);

/// The entrance of those echoes.
#[cfg(test)]
const TCP: Entrance = Entrance {
    protocol: Protocol::Tcp,
    tls: false,
    number: 0,
};

/// A shard of RFC 862 echoes for the tests in this folder, with its counters.
#[cfg(test)]
fn tcp_shard(buffer_memory_bytes: usize) -> (Shard<()>, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let settings = Settings {
        policy: Policy::default(),
        budget: SlabPool::budget(buffer_memory_bytes, 1),
        admission: Arc::new(Admission::new(None)),
        tls: None,
    };
    (Shard::new(settings, tally.clone()), tally)
}

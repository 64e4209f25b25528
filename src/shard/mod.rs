//! The engine-free half of a core's thread.
//!
//! A shard owns its connections, their queues, their deadlines and their memory, and decides everything
//! that can be decided without a system call. An engine tells it what happened ([`Shard::receive`],
//! [`Shard::sent`], [`Shard::peer_finished`], ...) and then asks what is to be done ([`Shard::wants`]).
//! The answer is a level, not an edge: asking twice is harmless, and forgetting nothing.
//!
//! It may import `protocol`; it must never know an engine, a file descriptor or a clock.

mod admission;
pub mod completion;
mod connection;
mod deadlines;
mod inbound;
mod outbound;
mod outbox;
pub mod readiness;
mod slots;
mod timers;

use std::sync::Arc;

use crate::protocol::{CloseCode, Moment, Next, Policy, Slab, SlabChain, SlabPool, Tally};

pub use admission::Admission;
pub use connection::{Connection, Protocol};
use connection::{Dialogue, End, Phase};
pub use inbound::Carrier;
pub use outbound::{Front, Queue, Sent};
pub use outbox::{Entries, Lease, Load, OUTBOX_BYTES_MAX, Outbox, UNDERWAY_BYTES_MAX};
pub use slots::SlotId;
use slots::Slots;
use timers::Timers;

/// Connections over the limit that one shard keeps open at a time to tell them so (503).
pub const SURPLUS_CONNECTIONS_MAX: usize = 64;

/// Fewer connections than this leave nothing behind that is worth returning.
const CROWD_MIN: usize = 256;

/// What is to be done for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Whether to read from it.
    pub read: bool,
    /// What to do in the other direction.
    pub write: Write,
}

/// What is to be done in the sending direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing.
    Rest,
    /// Send what [`Shard::front`] names.
    Send,
    /// Send FIN, and report it with [`Shard::half_closed`].
    HalfClose,
    /// Close, and [`Shard::release`]; with a reset if bytes were lost.
    Close {
        /// RST rather than FIN.
        reset: bool,
    },
}

/// How the peer of a connection stands, as the kernel knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Bytes that the peer's TCP has acknowledged so far, whether or not the peer has read them. It only
    /// grows.
    pub acknowledged: u64,
    /// Something that was given to the kernel, if only FIN, is not acknowledged yet.
    pub outstanding: bool,
    /// Bytes that have arrived and wait in the socket.
    pub unread: usize,
}

/// What every shard of a process is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which protocol is spoken.
    pub protocol: Protocol,
    /// The limits of every connection.
    pub policy: Policy,
    /// What a shard's connections may together keep in memory while they wait, in bytes.
    pub buffer_memory_bytes: usize,
    /// The limit on connections.
    pub admission: Arc<Admission>,
}

/// One core's connections.
#[derive(Debug)]
pub struct Shard<Io> {
    settings: Settings,
    tally: Arc<Tally>,
    now: Moment,
    draining: Option<CloseCode>,
    slots: Slots<Connection<Io>>,
    entries: Entries,
    slabs: SlabPool,
    timers: Timers,
    surplus: usize,
    /// The most connections there have been since memory was last returned.
    crowd: usize,
    /// Connections that were ended for want of memory and are still to be closed.
    shed: Vec<SlotId>,
}

impl<Io> Shard<Io> {
    /// A shard without connections.
    pub fn new(settings: Settings, tally: Arc<Tally>) -> Self {
        let slabs = SlabPool::new(settings.buffer_memory_bytes);
        Shard {
            settings,
            tally,
            now: Moment::default(),
            draining: None,
            slots: Slots::default(),
            entries: Entries::default(),
            slabs,
            timers: Timers::default(),
            surplus: 0,
            crowd: 0,
            shed: Vec::new(),
        }
    }

    /// Sets the time. To be called once per turn of the engine's loop, before anything else.
    #[inline]
    pub fn set_now(&mut self, now: Moment) {
        self.now = now;
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
        self.surplus < SURPLUS_CONNECTIONS_MAX || !self.is_full()
    }

    /// Whether there are as many connections as there may be, over all shards.
    pub fn is_full(&self) -> bool {
        !self.settings.admission.has_room()
    }

    /// A connection has been accepted.
    pub fn open(&mut self, io: Io) -> SlotId {
        let Settings {
            protocol,
            policy,
            admission,
            ..
        } = &self.settings;
        let surplus = !admission.enter();
        self.surplus += usize::from(surplus);
        self.tally.accepted.add(1);
        let dialogue = Dialogue::open(*protocol, policy, self.now);
        let deadline = dialogue.deadline();
        // There is no polite refusal in RFC 862.
        let phase = match protocol {
            Protocol::Tcp if surplus || self.draining.is_some() => Phase::Flushing(End::Close),
            _ => Phase::Talking,
        };
        let id = self.slots.insert(Connection {
            io,
            phase,
            held: false,
            peer_finished: false,
            surplus,
            blocked: false,
            outbox: Outbox::default(),
            dialogue,
            parked: SlabChain::default(),
            timer: Moment::from_nanos(u64::MAX),
            progress: self.now,
            ended: self.now,
        });
        if let Some(due) = deadline {
            self.arm(id, due);
        }
        self.crowd = self.crowd.max(self.slots.len());
        id
    }

    /// Whether most of a crowd has left since this last said so: the memory that it took is free, and may
    /// be returned to the system.
    pub fn crowd_has_left(&mut self) -> bool {
        let left = self.crowd >= CROWD_MIN && self.slots.len() <= self.crowd / 8;
        if left {
            self.crowd = self.slots.len();
        }
        left
    }

    /// The connection of that name, if it lives.
    #[inline]
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut Connection<Io>> {
        self.slots.get_mut(id)
    }

    /// The connection of that name, if it lives.
    #[inline]
    pub fn get(&self, id: SlotId) -> Option<&Connection<Io>> {
        self.slots.get(id)
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

    /// How many bytes of memory are kept until peers read, or say more. What connections keep that are to
    /// be closed comes back once the kernel is done with it, and is not counted.
    pub fn kept_bytes(&self) -> usize {
        let leaving = self
            .slots
            .iter()
            .map(|(_, connection)| match connection.phase {
                Phase::Gone { .. } => {
                    self.entries.slabs(&connection.outbox) + connection.parked.slabs()
                }
                _ => 0,
            });
        (self.slabs.out() - leaving.sum::<usize>()) * size_of::<Slab>()
    }

    /// How many slabs are in use.
    pub fn slabs_out(&self) -> usize {
        self.slabs.out()
    }

    /// What a session's answer means for the connection.
    #[inline]
    fn follow(&mut self, id: SlotId, next: Next) {
        let end = match next {
            Next::Read | Next::Hold => return,
            Next::HalfClose => End::HalfClose,
            Next::Close => End::Close,
        };
        if let Some(connection) = self.slots.get_mut(id) {
            connection.phase = Phase::Flushing(end);
            connection.progress = self.now;
            connection.ended = self.now;
            connection.held = false;
            connection.parked.clear(&mut self.slabs);
            self.arm(id, self.now + self.settings.policy.linger_timeout);
        }
    }

    /// The connection is broken: nothing more can be sent or received.
    pub fn fail(&mut self, id: SlotId) {
        if let Some(connection) = self.slots.get_mut(id) {
            connection.phase = Phase::Gone { reset: true };
        }
    }

    /// FIN has been sent.
    pub fn half_closed(&mut self, id: SlotId) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        debug_assert_eq!(connection.phase, Phase::Flushing(End::HalfClose));
        connection.progress = self.now;
        connection.phase = match connection.peer_finished {
            true => Phase::Gone { reset: false },
            false => Phase::Lingering,
        };
    }

    /// What is to be done for the connection now.
    #[inline]
    pub fn wants(&self, id: SlotId) -> Wants {
        let Some(connection) = self.slots.get(id) else {
            return Wants {
                read: false,
                write: Write::Rest,
            };
        };
        let pending = !connection.outbox.is_empty();
        let read = match connection.phase {
            Phase::Talking => {
                let max = if connection.blocked {
                    OUTBOX_BYTES_MAX
                } else {
                    UNDERWAY_BYTES_MAX
                };
                !connection.held && !connection.peer_finished && connection.outbox.bytes() <= max
            }
            Phase::Lingering => true,
            Phase::Flushing(_) | Phase::Gone { .. } => false,
        };
        let write = match connection.phase {
            Phase::Gone { reset } => Write::Close { reset },
            _ if pending => Write::Send,
            Phase::Flushing(End::Close) => Write::Close { reset: false },
            Phase::Flushing(End::HalfClose) => match connection.peer_finished {
                true => Write::Close { reset: false },
                false => Write::HalfClose,
            },
            Phase::Talking | Phase::Lingering => Write::Rest,
        };
        Wants { read, write }
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
        while let Some(load) = self.entries.pop(&mut connection.outbox) {
            match load {
                Load::Slab(slab) => self.slabs.give(slab),
                Load::Lease(claim) => lease(claim),
            }
        }
        connection.dialogue.release(&mut self.slabs);
        connection.parked.clear(&mut self.slabs);
        match connection.surplus {
            true => self.surplus -= 1,
            false => self.settings.admission.leave(),
        }
        self.tally.ended.add(1);
        let slots = &self.slots;
        self.timers.sweep(slots.len(), |id| slots.get(id).is_some());
        debug_assert!(
            !self.slots.is_empty() || self.slabs.out() == 0,
            "memory returns when all are gone"
        );
        // Where it was ended for want of memory, that may not have been enough.
        self.shed.retain(|shed| *shed != id);
        self.shed_if_spent();
        Some(connection.io)
    }
}

/// A shard of RFC 862 echoes for the tests in this folder, with its counters.
#[cfg(test)]
fn tcp_shard(buffer_memory_bytes: usize) -> (Shard<()>, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let settings = Settings {
        protocol: Protocol::Tcp,
        policy: Policy::default(),
        buffer_memory_bytes,
        admission: Arc::new(Admission::new(None)),
    };
    (Shard::new(settings, tally.clone()), tally)
}

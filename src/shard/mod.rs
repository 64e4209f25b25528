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
mod judge;
mod keepers;
mod outbound;
mod outbox;
pub mod readiness;
mod slots;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use crate::memory::{Budget, SlabChain, SlabPool};
use crate::protocol::{Cause, CloseCode, Moment, Next, Policy, Tally};

pub use admission::Admission;
pub use connection::{Connection, Protocol, Standing};
use connection::{Dialogue, End, Phase};
use deadlines::LOOKS;
pub use inbound::Carrier;
use inbound::RECEIVE_BYTES_MIN;
use keepers::Keepers;
pub use outbound::{Front, Queue, Sent};
pub use outbox::{Entries, Lease, Load, Outbox};
pub use slots::SlotId;
use slots::Slots;
use timers::Timers;

/// Connections over the limit that one shard keeps open at a time to tell them so (503).
pub const SURPLUS_CONNECTIONS_MAX: usize = 64;

/// A peer that is behind may be owed one part in so many of what is still free: one client that writes long
/// before it reads may have much, and many that never read leave room for others.
const SHARE_PART: usize = 4;

/// Bytes queued for a peer that is behind, above which no more is read from it as long as it reads what it is
/// sent. A peer that writes without reading gets more, up to its share.
const QUEUE_BYTES: usize = 64 * 1024;

/// Bytes under way to a peer that is not known to be behind, above which no more is read from it: what its
/// sends show is known within a turn. It is larger than a usual large message, so that one alone does not stop
/// the reading.
pub const UNDERWAY_BYTES_MAX: usize = 256 * 1024;

/// What a connection takes by itself, about, in bytes.
const CONNECTION_BYTES: usize = 256;

/// Memory is returned to the system when half of it is free and at least this much, in bytes, and no more
/// often than this.
const RETURN_BYTES_MIN: usize = 64 * 1024;
const RETURNS_APART: Duration = Duration::from_secs(1);

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

/// What every shard of a process is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which protocol is spoken.
    pub protocol: Protocol,
    /// The limits of every connection.
    pub policy: Policy,
    /// What all connections may together keep in memory while they wait.
    pub budget: Arc<Budget>,
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
    /// Of those that were there when the server began to go down, how many are left.
    residents: usize,
    /// The most memory that has been in use since some was last returned, in bytes.
    peak: usize,
    /// When memory is returned that is free now.
    returns: Option<Moment>,
    /// When memory was last returned.
    returned: Moment,
    keepers: Keepers,
    /// Connections that were ended for want of memory and are not closed yet, with what they keep.
    shed: Vec<(SlotId, usize)>,
    /// The bytes that they keep.
    shedding: usize,
    /// Those of them whose end has still to be carried out.
    unsettled: Vec<SlotId>,
}

impl<Io> Shard<Io> {
    /// A shard without connections.
    pub fn new(settings: Settings, tally: Arc<Tally>) -> Self {
        let slabs = SlabPool::new(settings.budget.clone());
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
            residents: 0,
            peak: 0,
            returns: None,
            returned: Moment::default(),
            keepers: Keepers::default(),
            shed: Vec::new(),
            shedding: 0,
            unsettled: Vec::new(),
        }
    }

    /// Sets the time. To be called once per turn of the engine's loop, before anything else.
    #[inline]
    pub fn set_now(&mut self, now: Moment) {
        self.now = now;
    }

    /// Whether the server is going down.
    pub fn is_draining(&self) -> bool {
        self.draining.is_some()
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

    /// Whether there is a limit on connections.
    pub fn is_limited(&self) -> bool {
        self.settings.admission.is_limited()
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
            late: self.draining.is_some(),
            blocked: false,
            doublings: 0,
            found_reading: 0,
            unmoved: 0,
            put_off: 0,
            owed: false,
            cause: None,
            outbox: Outbox::default(),
            dialogue,
            parked: SlabChain::default(),
            timer: Moment::NEVER,
            progress: self.now,
            acknowledged: 0,
            heard: 0,
            ranked: 0,
            taken_in: 0,
            last_words: 0,
        });
        if let Some(due) = deadline {
            self.arm(id, due);
        }
        self.note_use();
        self.tell_of_drain(id);
        id
    }

    /// Takes note of how much memory is in use, and says it.
    pub(super) fn note_use(&mut self) -> usize {
        let used = self.slabs.out_bytes() + self.slots.len() * CONNECTION_BYTES;
        self.peak = self.peak.max(used);
        used
    }

    /// Whether memory is free that is worth returning to the system now. To be called once a turn; where it
    /// is too early, [`Shard::next_due`] says when.
    pub fn returns_memory(&mut self) -> bool {
        let used = self.note_use();
        let free = self.peak - used;
        if free < RETURN_BYTES_MIN.max(self.peak / 2) {
            self.returns = None;
            return false;
        }
        let due = self.returned + RETURNS_APART;
        if due > self.now {
            self.returns = Some(due);
            return false;
        }
        self.returns = None;
        self.returned = self.now;
        self.peak = used;
        self.slabs.cool();
        true
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

    /// How many bytes of slabs are in use.
    pub fn slab_bytes(&self) -> usize {
        self.slabs.out_bytes()
    }

    /// How many bytes any peer that is behind may be owed now.
    #[inline]
    fn share_bytes(&self) -> usize {
        self.slabs.free_bytes() / SHARE_PART
    }

    /// Whether a peer that turned out not to read could be owed so many bytes.
    #[inline]
    pub fn may_keep(&self, bytes: usize) -> bool {
        self.share_bytes() >= bytes
    }

    /// How many bytes may be queued for a connection before no more is read from it. One that has taken all
    /// that it was owed may go on, however little memory there is.
    #[inline]
    fn queue_bytes_max(&self, connection: &Connection<Io>) -> usize {
        let share = self.share_bytes();
        let queued = connection.outbox.bytes();
        match connection.blocked {
            true => share.min(QUEUE_BYTES << connection.doublings),
            false => share.clamp(queued.min(RECEIVE_BYTES_MIN), UNDERWAY_BYTES_MAX),
        }
    }

    /// Why the server ends the connection, the first time that this is asked.
    pub fn take_cause(&mut self, id: SlotId) -> Option<Cause> {
        self.slots.get_mut(id)?.cause.take()
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

    /// The server ends the connection at once.
    fn give_up(&mut self, id: SlotId, cause: Cause) {
        if let Some(connection) = self.slots.get_mut(id) {
            connection.cause.get_or_insert(cause);
        }
        self.fail(id);
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
        self.arm(id, self.now + self.settings.policy.linger_timeout / LOOKS);
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
                let queued = connection.outbox.bytes();
                let keeps_up = queued == 0 || queued <= self.queue_bytes_max(connection);
                keeps_up && !connection.held && !connection.peer_finished
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
        self.residents -= usize::from(self.draining.is_some() && !connection.late);
        let slots = &self.slots;
        self.keepers.sweep(slots.len(), |entered, id| {
            slots
                .get(id)
                .is_some_and(|connection| connection.ranked == entered)
        });
        debug_assert!(
            !self.slots.is_empty() || self.slabs.out_bytes() == 0,
            "memory returns when all are gone"
        );
        if let Some(place) = self.shed.iter().position(|(shed, _)| *shed == id) {
            let (_, bytes) = self.shed.swap_remove(place);
            self.shedding -= bytes;
        }
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
        budget: SlabPool::budget(buffer_memory_bytes, 1),
        admission: Arc::new(Admission::new(None)),
    };
    (Shard::new(settings, tally.clone()), tally)
}

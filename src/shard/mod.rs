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
mod outbox;
pub mod readiness;
mod slots;
mod timers;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::{
    CloseCode, Moment, Next, Piece, Policy, Reply, SlabChain, SlabPool, Tally, Turn, Wake,
};

pub use admission::Admission;
pub use connection::{Connection, Protocol};
use connection::{Dialogue, End, Phase};
pub use outbox::{Entries, Lease, Load, OUTBOX_BYTES_MAX, Outbox};
pub use slots::SlotId;
use slots::Slots;
use timers::Timers;

/// Connections over the limit that one shard keeps open at a time to tell them so (503).
pub const SURPLUS_CONNECTIONS_MAX: usize = 64;

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

/// Takes replies that lie in an engine's buffer away.
pub trait Carrier<Io> {
    /// Sends the window of the lent bytes, or queues it, in whatever way the engine owns memory.
    ///
    /// `outbox` may hold pieces that go first. Everything that is not sent is queued when this returns.
    fn carry(
        &mut self,
        io: &mut Io,
        queue: &mut Queue<'_>,
        lent: &[u8],
        window: Range<usize>,
    ) -> Sent;
}

/// A connection's queue, with what is needed to put something in.
#[derive(Debug)]
pub struct Queue<'a> {
    outbox: &'a mut Outbox,
    entries: &'a mut Entries,
    slabs: &'a mut SlabPool,
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

    fn push_piece(&mut self, piece: Piece) {
        match piece {
            Piece::None => {}
            Piece::Inline(small) => self.push_bytes(small.as_slice()),
            Piece::Slabs(mut chain) => {
                while let Some(slab) = chain.pop() {
                    self.entries.push(self.outbox, Load::Slab(slab));
                }
            }
        }
    }
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
        self.surplus < SURPLUS_CONNECTIONS_MAX
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
        });
        if let Some(due) = deadline {
            self.arm(id, due);
        }
        id
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
        if connection.held {
            connection.parked.append(lent, &mut self.slabs);
            return self.shed_if_spent(id);
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
    }

    /// One call of the session with `lent[from..]`, and its reply taken away; none when the dialogue is
    /// over.
    #[inline]
    fn take_in(
        &mut self,
        id: SlotId,
        lent: &mut [u8],
        from: usize,
        carrier: &mut impl Carrier<Io>,
    ) -> Option<(usize, Next)> {
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
            room: OUTBOX_BYTES_MAX.saturating_sub(connection.outbox.bytes()),
            refusing: self.draining.is_some() || connection.surplus,
        };
        let timer = connection.timer;
        let step = connection
            .dialogue
            .receive(&mut turn, &mut lent[from..], &mut reply);
        let deadline = connection.dialogue.deadline();
        let mut queue = Queue {
            outbox: &mut connection.outbox,
            entries: &mut self.entries,
            slabs: &mut self.slabs,
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
        Some((step.consumed, step.next))
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

    /// What a send means for the connection.
    #[inline]
    fn note(&mut self, id: SlotId, sent: Sent) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        match sent {
            Sent::Bytes(_) if connection.outbox.is_empty() => connection.blocked = false,
            Sent::Bytes(count) => {
                if count > 0 {
                    connection.progress = self.now;
                }
            }
            Sent::Blocked => {
                if !connection.blocked {
                    connection.blocked = true;
                    connection.progress = self.now;
                }
                self.shed_if_spent(id);
            }
            Sent::Failed => self.fail(id),
        }
    }

    /// Ends a connection that makes others wait for memory: it keeps some while it does not read.
    fn shed_if_spent(&mut self, id: SlotId) {
        if !self.slabs.is_spent() {
            return;
        }
        self.tally.shed.add(1);
        self.fail(id);
    }

    /// Whether the queue has room for more replies.
    fn has_room(&self, id: SlotId) -> bool {
        self.slots
            .get(id)
            .is_some_and(|connection| connection.outbox.is_empty())
    }

    /// Keeps input that the session does not take yet.
    fn hold(&mut self, id: SlotId, rest: &[u8]) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        connection.held = true;
        connection.parked.append(rest, &mut self.slabs);
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

    /// The connection is broken: nothing more can be sent or received.
    pub fn fail(&mut self, id: SlotId) {
        if let Some(connection) = self.slots.get_mut(id) {
            connection.phase = Phase::Gone { reset: true };
        }
    }

    /// The piece to be sent next, whether another follows it, and whether it may wait for the peer:
    /// pieces that have not been tried yet must not, since they may pin an engine's buffer.
    #[inline]
    pub fn front(&self, id: SlotId) -> Option<Front<'_>> {
        let connection = self.slots.get(id)?;
        let (load, more) = self.entries.front(&connection.outbox)?;
        Some(Front {
            load,
            more,
            may_wait: connection.blocked,
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
        self.shed_if_spent(id);
    }

    /// Offers parked input again once the queue is empty.
    fn unpark(&mut self, id: SlotId) {
        loop {
            let Some(connection) = self.slots.get_mut(id) else {
                return;
            };
            if !connection.held || !connection.outbox.is_empty() {
                return;
            }
            let Some(mut slab) = connection.parked.pop() else {
                connection.held = false;
                if connection.peer_finished {
                    self.wake(id, Wake::PeerFinished);
                } else if let Some(code) = self.draining {
                    self.wake(id, Wake::Drain(code));
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

    /// FIN has been sent.
    pub fn half_closed(&mut self, id: SlotId) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
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
                !connection.held
                    && !connection.peer_finished
                    && connection.outbox.bytes() <= OUTBOX_BYTES_MAX
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
        Some(connection.io)
    }

    /// When [`Shard::pop_due`] is to be called again; none: when something else has happened.
    pub fn next_due(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Wakes a connection whose deadline has passed, and names it. To be called until it names none.
    pub fn pop_due(&mut self) -> Option<SlotId> {
        loop {
            let (due, id) = self.timers.pop_due(self.now)?;
            let Some(connection) = self.slots.get_mut(id) else {
                continue;
            };
            if connection.timer != due {
                continue;
            }
            connection.timer = Moment::from_nanos(u64::MAX);
            let policy = &self.settings.policy;
            let patience = match connection.phase {
                Phase::Talking if !connection.blocked => None,
                Phase::Talking => Some(policy.idle_timeout.unwrap_or(Duration::MAX)),
                Phase::Flushing(_) | Phase::Lingering => Some(policy.linger_timeout),
                Phase::Gone { .. } => continue,
            };
            let deadline = match patience {
                Some(patience) => Some(connection.progress + patience),
                None => connection.dialogue.deadline(),
            };
            match deadline {
                Some(deadline) if deadline > self.now => self.arm(id, deadline),
                Some(_) if patience.is_some() => {
                    self.tally.timeouts.add(1);
                    self.fail(id);
                    return Some(id);
                }
                Some(_) => {
                    self.wake(id, Wake::Deadline);
                    return Some(id);
                }
                None => {}
            }
        }
    }

    /// The server is going down: tells every session, and refuses new ones from here on.
    pub fn drain(&mut self, code: CloseCode) {
        self.draining = Some(code);
        for id in self.slots.ids() {
            let connection = self.slots.get(id);
            // One whose input waits for room is told once that has been answered.
            if connection
                .is_some_and(|connection| connection.phase == Phase::Talking && !connection.held)
            {
                self.wake(id, Wake::Drain(code));
            }
        }
    }

    /// Wakes a session and queues what it answers.
    fn wake(&mut self, id: SlotId, why: Wake) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        let mut reply = Reply::default();
        let mut turn = Turn {
            now: self.now,
            policy: &self.settings.policy,
            slabs: &mut self.slabs,
            tally: &self.tally,
            room: OUTBOX_BYTES_MAX,
            refusing: self.draining.is_some() || connection.surplus,
        };
        let next = connection.dialogue.resume(&mut turn, why, &mut reply);
        let mut queue = Queue {
            outbox: &mut connection.outbox,
            entries: &mut self.entries,
            slabs: &mut self.slabs,
        };
        queue.push_piece(reply.before);
        queue.push_piece(reply.after);
        if let Some(due) = connection.dialogue.deadline() {
            self.arm(id, due);
        }
        self.follow(id, next);
    }

    /// Has the connection looked at again at `due`, unless it will be sooner anyway.
    fn arm(&mut self, id: SlotId, due: Moment) {
        if let Some(connection) = self.slots.get_mut(id)
            && due < connection.timer
        {
            connection.timer = due;
            self.timers.add(due, id);
        }
    }
}

/// The piece of a queue that goes next.
#[derive(Debug)]
pub struct Front<'a> {
    /// The piece.
    pub load: &'a Load,
    /// Whether another follows it.
    pub more: bool,
    /// Whether the send may wait until the peer reads.
    pub may_wait: bool,
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

//! What all tasks of a worker share. It is never borrowed while a task waits.

use std::cell::{Ref, RefCell, RefMut};
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;

use super::bell::Bell;
use super::pool::Pool;
use super::world::{Outgoing, Stream, World};
use crate::engine::door::Door;
use crate::engine::ended::Ended;
use crate::protocol::{CloseCode, Moment, Tally};
use crate::shard::completion::Deferred;
use crate::shard::{Load, Sent, Settings, Shard, SlotId, Wants};
use crate::sys::memory;

/// Room in a connection's queue from which on a large buffer is worth while.
const ROOM_FOR_LARGE_BYTES: usize = 16 * 1024;

/// Read buffers that are not counted each may have one part in so many of the budget.
const BUFFERS_PART: usize = 8;

/// What this engine keeps per connection.
#[derive(Debug)]
pub struct Seat<S> {
    /// Has the connection's task look again.
    bell: Bell,
    /// Its socket, which the task has, too.
    stream: Rc<S>,
}

impl<S> Seat<S> {
    pub(super) fn new(stream: Rc<S>) -> Self {
        Seat {
            bell: Bell::default(),
            stream,
        }
    }
}

/// A worker and the world it runs in.
#[derive(Debug)]
pub struct Shared<W: World> {
    pub(super) world: W,
    core: RefCell<Core<W::Stream>>,
}

impl<W: World> Shared<W> {
    /// A worker without connections.
    pub fn new(world: W, settings: Settings, tally: Arc<Tally>) -> Rc<Self> {
        let pool = Pool::new(settings.budget.reserve(BUFFERS_PART));
        let shared = Shared {
            core: RefCell::new(Core {
                shard: Shard::new(settings, tally),
                pool,
                door: Door::default(),
                ended: Ended::default(),
                attendant: Bell::default(),
                attends: None,
                tasks: 0,
                ending: false,
                broken: false,
            }),
            world,
        };
        shared.core().shard.set_now(shared.world.now());
        Rc::new(shared)
    }

    /// The connections.
    pub fn shard(&self) -> Ref<'_, Shard<Seat<W::Stream>>> {
        Ref::map(self.core.borrow(), |core| &core.shard)
    }

    /// How many claims there are on read buffers.
    pub fn claims(&self) -> usize {
        self.core.borrow().pool.claims()
    }

    /// For a task to keep while it lives: the worker's end waits for it.
    pub(super) fn presence(self: &Rc<Self>) -> Presence<W> {
        self.core().tasks += 1;
        Presence(Rc::clone(self))
    }

    /// The core, as it was left.
    pub(super) fn core(&self) -> RefMut<'_, Core<W::Stream>> {
        self.core.borrow_mut()
    }

    /// The core, now: for whoever tells it what has happened.
    pub(super) fn core_now(&self) -> RefMut<'_, Core<W::Stream>> {
        let mut core = self.core.borrow_mut();
        core.shard.set_now(self.world.now());
        core
    }
}

/// Counts a task while it lives.
pub(super) struct Presence<W: World>(Rc<Shared<W>>);

impl<W: World> Deref for Presence<W> {
    type Target = Shared<W>;

    fn deref(&self) -> &Shared<W> {
        &self.0
    }
}

impl<W: World> Drop for Presence<W> {
    fn drop(&mut self) {
        // An executor may keep a task's panic to itself, and a worker is never silently half dead.
        if let Ok(mut core) = self.0.core.try_borrow_mut() {
            core.tasks -= 1;
            core.broken |= std::thread::panicking();
            if core.tasks == 0 || core.broken {
                core.attendant.ring();
            }
        }
    }
}

/// The state of a worker.
#[derive(Debug)]
pub(super) struct Core<S> {
    pub(super) shard: Shard<Seat<S>>,
    pool: Pool,
    pub(super) door: Door,
    ended: Ended,
    /// Of the task that attends to deadlines and to the end.
    pub(super) attendant: Bell,
    /// When it will look at the deadlines by itself.
    pub(super) attends: Option<Moment>,
    /// Tasks that have not ended.
    pub(super) tasks: usize,
    /// Nothing is accepted any more, and those who are here are to go.
    pub(super) ending: bool,
    /// A task has panicked.
    pub(super) broken: bool,
}

impl<S: Stream> Core<S> {
    /// What the shard wants for a connection, and whether all are to end.
    pub(super) fn wants(&self, id: SlotId) -> (Wants, bool) {
        (self.shard.wants(id), self.ending)
    }

    /// A buffer to read into.
    pub(super) fn take_buffer(&mut self, id: SlotId, busy: bool) -> Vec<u8> {
        let has_room = self.shard.receive_bytes_max(id) >= ROOM_FOR_LARGE_BYTES;
        self.pool.take(busy && has_room)
    }

    /// Tells why the server ends a connection, if it does.
    pub(super) fn tell(&mut self, id: SlotId, stream: &S, now: Moment) {
        if let Some(cause) = self.shard.take_cause(id) {
            self.ended.tell(cause, stream.peer(), now);
        }
    }

    /// The piece that a connection sends next.
    ///
    /// A write that waits tells nothing, so the peer counts as owed something from here on.
    pub(super) fn begin_write(&mut self, id: SlotId) -> Option<Outgoing> {
        self.shard.begin_to_owe(id);
        self.pass_on();
        let bytes = match self.shard.front(id)?.load {
            Load::Slab(slab) => slab.bytes(),
            Load::Lease(lease) => self.pool.bytes(lease),
        };
        // SAFETY: a piece stays in its connection's queue until `written` is told of it, a claim keeps its
        // buffer, and a connection stays in its slot until its task has seen all that was under way
        // complete (see `connection.rs`). Queues are copied only with nothing under way. The core itself
        // outlives the ring (see `kernel.rs`). Only behind these bytes may a slab grow.
        Some(unsafe { Outgoing::new(bytes) })
    }

    /// A read has ended.
    pub(super) fn received(&mut self, id: SlotId, result: io::Result<usize>, mut buffer: Vec<u8>) {
        match result {
            Ok(0) => self.shard.peer_finished(id),
            Ok(count) => {
                let mut carrier = Deferred(self.pool.desk(buffer.len()));
                self.shard.receive(id, &mut buffer[..count], &mut carrier);
                carrier.0.close(buffer);
                return;
            }
            Err(error) if is_passing(&error) => {}
            Err(_) => self.shard.fail(id),
        }
        self.pool.give(buffer);
    }

    /// A write of `offered` bytes has ended.
    pub(super) fn written(&mut self, id: SlotId, offered: usize, result: &io::Result<usize>) {
        let sent = match result {
            Ok(count) => Sent::Bytes(*count),
            Err(error) if is_passing(error) => Sent::Bytes(0),
            Err(_) => Sent::Failed,
        };
        if let Some(lease) = self.shard.sent(id, sent) {
            self.pool.release(lease);
        }
        if result.as_ref().is_ok_and(|count| *count < offered) {
            self.shard.sent(id, Sent::Blocked);
            let pool = &mut self.pool;
            self.shard.spill(id, |lease, copy| {
                copy(pool.bytes(&lease));
                pool.release(lease);
            });
        }
    }

    /// A write waits for the peer. What it names is left where it is; what comes to be sent behind it will
    /// be copied, so the peer keeps no more buffers than it has now.
    pub(super) fn waits(&mut self, id: SlotId) {
        self.shard.sent(id, Sent::Blocked);
    }

    /// All that was under way for a connection is done.
    pub(super) fn release(&mut self, id: SlotId) {
        let pool = &mut self.pool;
        self.shard.release(id, |lease| pool.release(lease));
        self.pass_on();
        self.return_memory();
        if self.shard.is_draining() && self.shard.residents() == 0 {
            self.attendant.ring();
        }
    }

    /// Has those looked at whom a connection's event concerned besides itself.
    pub(super) fn pass_on(&mut self) {
        self.call_shed();
        if let Some(due) = self.shard.next_due()
            && self.attends.is_none_or(|attends| due < attends)
        {
            self.attendant.ring();
        }
    }

    /// Wakes everyone whose deadline has passed.
    pub(super) fn attend(&mut self) {
        while let Some(id) = self.shard.pop_due(|seat| seat.stream.standing()) {
            self.call(id);
        }
        self.call_shed();
        self.return_memory();
    }

    fn return_memory(&mut self) {
        if self.shard.returns_memory() {
            self.pool.cool();
            memory::give_back();
        }
    }

    /// Wakes those who are ended for want of memory.
    fn call_shed(&mut self) {
        while let Some(id) = self.shard.pop_shed() {
            self.call(id);
        }
    }

    /// Says goodbye to everyone.
    pub(super) fn drain(&mut self) {
        self.shard
            .drain(CloseCode::GOING_AWAY, |seat| seat.stream.standing());
        for id in self.shard.ids() {
            self.call(id);
        }
    }

    /// Ends everyone: those who are owed nothing more with a FIN.
    pub(super) fn end(&mut self) {
        self.ending = true;
        for id in self.shard.ids() {
            self.call(id);
        }
    }

    /// Ends who is left, with a reset.
    pub(super) fn fail_all(&mut self) {
        for id in self.shard.ids() {
            self.shard.fail(id);
            self.call(id);
        }
    }

    /// Has a connection's task look again.
    fn call(&mut self, id: SlotId) {
        if let Some(connection) = self.shard.get_mut(id) {
            connection.io.bell.ring();
        }
    }

    /// Ready once a connection's task has been called.
    pub(super) fn poll_called(&mut self, id: SlotId, context: &Context<'_>) -> Poll<()> {
        match self.shard.get_mut(id) {
            Some(connection) => connection.io.bell.poll_rung(context),
            None => Poll::Pending,
        }
    }
}

/// Whether an operation that failed so is simply repeated.
fn is_passing(error: &io::Error) -> bool {
    [Errno::AGAIN, Errno::INTR]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

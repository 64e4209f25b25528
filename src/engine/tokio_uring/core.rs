//! What all tasks of a worker share. It is never borrowed while a task waits.

use std::cell::{Ref, RefCell, RefMut};
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll};

use rustix::io::Errno;

use super::bell::Bell;
use super::pool::Pool;
use super::world::{Outgoing, Stream, World};
use crate::engine::state::State;
use crate::engine::{Origin, Stop, Worker};
use crate::protocol::Moment;
use crate::shard::completion::Deferred;
use crate::shard::{Carried, Destination, Lease, Load, Sent, Shard, SlotId, Wants};

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

impl<S: Stream> Seat<S> {
    /// Its address, where the kernel still knows it.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer()
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
    pub fn new(world: W, worker: &Worker<'_>) -> Rc<Self> {
        let pool = Pool::new(worker.settings.budget.reserve(BUFFERS_PART));
        Rc::new(Shared {
            core: RefCell::new(Core {
                state: State::new(worker, world.now()),
                pool,
                attendant: Bell::default(),
                attends: None,
                times_turn: false,
                tasks: 0,
                ending: false,
                broken: false,
            }),
            world,
        })
    }

    /// The connections.
    pub fn shard(&self) -> Ref<'_, Shard<Seat<W::Stream>>> {
        Ref::map(self.core.borrow(), |core| &core.state.shard)
    }

    /// How many claims there are on read buffers.
    pub fn claims(&self) -> usize {
        self.core.borrow().pool.claims()
    }

    /// Has a connection put down for `to`, as soon as nothing is under way for it.
    pub fn leave(&self, id: SlotId, to: Destination) {
        if let Some(mut connection) = self.core().state.shard.at(id) {
            connection.leave(to);
            connection.io().bell.ring();
        }
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
        core.state.set_now(self.world.now());
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
    pub(super) state: State<Seat<S>>,
    pool: Pool,
    /// Of the task that attends to deadlines and to the end.
    pub(super) attendant: Bell,
    /// When it will look at the deadlines by itself.
    pub(super) attends: Option<Moment>,
    /// That task is to time a turn.
    pub(super) times_turn: bool,
    /// Tasks that have not ended.
    pub(super) tasks: usize,
    /// Those who are here are to go.
    pub(super) ending: bool,
    /// A task has panicked.
    pub(super) broken: bool,
}

impl<S: Stream> Core<S> {
    /// What the shard wants for a connection, and whether all are to end.
    pub(super) fn wants(&self, id: SlotId) -> (Wants, bool) {
        (self.state.shard.wants(id), self.ending)
    }

    /// A buffer to read into.
    pub(super) fn take_buffer(&mut self, id: SlotId, busy: bool) -> Vec<u8> {
        let connection = self.state.shard.at(id);
        let has_room = connection.is_some_and(|it| it.receive_bytes_max() >= ROOM_FOR_LARGE_BYTES);
        self.pool.take(busy && has_room)
    }

    /// Tells why the server ends a connection, if it does.
    pub(super) fn tell(&mut self, id: SlotId) {
        let now = self.state.now();
        let State { shard, ended, .. } = &mut self.state;
        if let Some(mut connection) = shard.at(id) {
            ended.tell(&mut connection, Seat::peer, now);
        }
    }

    /// The piece that a connection sends next.
    ///
    /// A write that waits tells nothing, so the peer counts as owed something from here on.
    pub(super) fn begin_write(&mut self, id: SlotId) -> Option<Outgoing> {
        self.state.shard.at(id)?.begin_to_owe();
        self.pass_on();
        let connection = self.state.shard.at(id)?;
        let bytes = match connection.front()?.1.load {
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
        if self.state.counts_turn() {
            self.times_turn = true;
            self.attendant.ring();
        }
        if let Some(mut connection) = self.state.shard.at(id) {
            match result {
                Ok(0) => connection.peer_finished(),
                Ok(count) => {
                    let mut carrier = Deferred(self.pool.desk(buffer.len()));
                    connection.receive(&mut buffer[..count], &mut carrier);
                    return carrier.0.close(buffer);
                }
                Err(error) if is_passing(&error) => {}
                Err(_) => connection.fail(),
            }
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
        let Some(mut connection) = self.state.shard.at(id) else {
            return;
        };
        if let Some(lease) = connection.sent(sent) {
            self.pool.release(lease);
        }
        if result.as_ref().is_ok_and(|count| *count < offered) {
            connection.sent(Sent::Blocked);
            connection.spill(|lease, copy| copy_out(&mut self.pool, lease, copy));
        }
    }

    /// A write waits for the peer. What it names is left where it is; what comes to be sent behind it will
    /// be copied, so the peer keeps no more buffers than it has now.
    pub(super) fn waits(&mut self, id: SlotId) {
        if let Some(mut connection) = self.state.shard.at(id) {
            connection.sent(Sent::Blocked);
        }
    }

    /// FIN has been sent.
    pub(super) fn half_closed(&mut self, id: SlotId) {
        if let Some(mut connection) = self.state.shard.at(id) {
            connection.half_closed();
        }
        self.pass_on();
    }

    /// Serves a connection from now on; none: what is carried of it cannot be read, or there is no place for it.
    pub(super) fn take_in(&mut self, stream: Rc<S>, origin: Origin) -> Option<SlotId> {
        let seat = Seat {
            bell: Bell::default(),
            stream,
        };
        let standing = |seat: &Seat<S>| seat.stream.standing();
        let peer = |seat: &Seat<S>| seat.stream.peer();
        self.state.take_in(seat, origin, standing, peer).ok()
    }

    /// Puts a connection down for which nothing is under way any more.
    pub(super) fn put_down(&mut self, id: SlotId) -> Option<Carried> {
        let pool = &mut self.pool;
        let copy_out = |lease, copy: &mut dyn FnMut(&[u8])| copy_out(pool, lease, copy);
        let (_, carried) = self.state.put_down(id, copy_out)?;
        self.is_gone();
        Some(carried)
    }

    /// All that was under way for a connection is done.
    pub(super) fn release(&mut self, id: SlotId) {
        let pool = &mut self.pool;
        self.state.release(id, |lease| pool.release(lease));
        self.is_gone();
    }

    /// A connection is gone.
    fn is_gone(&mut self) {
        self.pass_on();
        self.return_memory();
        if self.state.shard.is_draining() && self.state.shard.residents() == 0 {
            self.attendant.ring();
        }
    }

    /// Has those looked at whom a connection's event concerned besides itself.
    pub(super) fn pass_on(&mut self) {
        while let Some(id) = self.state.shard.pop_shed() {
            self.call(id);
        }
        if let Some(due) = self.state.shard.next_due()
            && self.attends.is_none_or(|attends| due < attends)
        {
            self.attendant.ring();
        }
    }

    /// Wakes everyone who is to look for another reason than an event of its own.
    pub(super) fn attend(&mut self, stop: &Stop) {
        while let Some(id) = self.state.next_called(stop, |seat| seat.stream.standing()) {
            self.call(id);
        }
        self.return_memory();
    }

    fn return_memory(&mut self) {
        let pool = &mut self.pool;
        self.state.return_memory(|| pool.cool());
    }

    /// Ends a turn of the task that attends.
    pub(super) fn end_turn(&mut self, stop: &Stop) {
        let pool = &mut self.pool;
        self.state.end_turn(stop, || pool.cool());
    }

    /// Ends everyone: those who are owed nothing more with a FIN.
    pub(super) fn end(&mut self) {
        self.ending = true;
        self.state.door.set(false);
        for id in self.state.shard.ids() {
            self.call(id);
        }
    }

    /// Ends who is left, with a reset.
    pub(super) fn fail_all(&mut self) {
        for id in self.state.shard.ids() {
            if let Some(mut connection) = self.state.shard.at(id) {
                connection.fail();
                connection.io().bell.ring();
            }
        }
    }

    /// Has a connection's task look again.
    fn call(&mut self, id: SlotId) {
        if let Some(mut connection) = self.state.shard.at(id) {
            connection.io().bell.ring();
        }
    }

    /// Ready once a connection's task has been called.
    pub(super) fn poll_called(&mut self, id: SlotId, context: &Context<'_>) -> Poll<()> {
        match self.state.shard.at(id) {
            Some(mut connection) => connection.io().bell.poll_rung(context),
            None => Poll::Pending,
        }
    }
}

/// Shows the bytes of a claim from a connection's queue, and takes it back.
fn copy_out(pool: &mut Pool, lease: Lease, copy: &mut dyn FnMut(&[u8])) {
    copy(pool.bytes(&lease));
    pool.release(lease);
}

/// Whether an operation that failed so is simply repeated, or was cancelled.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::AGAIN | Errno::INTR | Errno::CANCELED)
    )
}

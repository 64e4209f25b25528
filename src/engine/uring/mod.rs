//! Completion: raw io_uring (6.1 and later). Multishot accept, multishot receive into provided buffers,
//! one send in flight per connection from the same buffer.

mod buffers;
mod features;
mod ring;

use std::io;
use std::time::Duration;

use super::door::Door;
use super::{StopPhase, Worker};
use crate::protocol::{CloseCode, Moment};
use crate::shard::completion::Deferred;
use crate::shard::{Load, Sent, Shard, SlotId, Write};
use crate::sys::clock;
use buffers::{Buffers, Desk};
pub use features::probe;
use ring::{COMPLETIONS_MAX, Completion, Key, Ring, Socket};

/// More connections than this do not come within one turn: two full queues of a listener.
const BURST_MAX: usize = 8192;

/// How long a draining server goes on taking in what peers send without a pause.
const TAKE_IN_MAX: Duration = Duration::from_millis(200);

/// Whether a receive is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    Off,
    On,
    /// Cancelled; its final completion has not come.
    Ending,
}

/// What this engine keeps per connection.
#[derive(Debug)]
struct Io {
    socket: Socket,
    receiving: Receiving,
    /// A send is under way. There is never more than one: two may overtake each other.
    sending: bool,
    /// FIN is under way.
    shutting: bool,
    /// Everything has been cancelled.
    cancelled: bool,
}

impl Io {
    /// Whether the kernel may still name this connection, or memory of its.
    fn is_busy(&self) -> bool {
        self.receiving != Receiving::Off || self.sending || self.shutting
    }
}

struct Uring<'a> {
    worker: &'a Worker<'a>,
    shard: &'a mut Shard<Io>,
    buffers: &'a mut Buffers,
    ring: Ring<'a>,
    /// How many sockets the ring's own table holds, if they live there.
    places: Option<usize>,
    door: Door,
    /// Which listeners are accepting.
    accepting: Vec<bool>,
    /// Connections whose receive ended for want of a buffer.
    starved: Vec<SlotId>,
    /// There were no buffers at the end of the last turn either.
    starving: bool,
    drain_ends: Option<Moment>,
    now: Moment,
}

/// Serves on this thread until told to stop.
///
/// # Errors
/// What the kernel says of the ring. [`super::is_absent`] tells whether it can be had at all.
pub fn run(worker: &Worker<'_>, ready: &dyn Fn()) -> io::Result<()> {
    // What the kernel may read from is declared before the ring, so it is dropped after it.
    let mut shard = Shard::new(worker.settings.clone(), worker.tally.clone());
    let mut setup = features::set_up(&worker.tuning)?;
    let mut engine = Uring {
        worker,
        shard: &mut shard,
        buffers: &mut setup.buffers,
        ring: Ring::new(&mut setup.ring, setup.places.is_some()),
        places: setup.places.map(|places| places as usize),
        door: Door::default(),
        accepting: vec![false; worker.listeners.len()],
        starved: Vec::new(),
        starving: false,
        drain_ends: None,
        now: clock::now(),
    };
    engine.ring.watch(worker.stop.waker(worker.number));
    engine.accept_everywhere();
    ready();
    let mut completions = Vec::with_capacity(COMPLETIONS_MAX);
    while !engine.is_done() {
        let patience = engine.next_due().map(|due| due.since(engine.now));
        engine.ring.enter(patience)?;
        engine.turn(&mut completions)?;
    }
    // What was decided in the last turn is still to be submitted.
    engine.ring.enter(Some(Duration::ZERO))
}

impl Uring<'_> {
    /// One turn of the loop.
    fn turn(&mut self, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.take_over(completions);
        while let Some(id) = self.shard.pop_due() {
            self.settle(id);
        }
        while let Some(id) = self.shard.pop_shed() {
            self.settle(id);
        }
        if self.worker.stop.phase() == StopPhase::Draining && self.drain_ends.is_none() {
            self.drain(completions)?;
        }
        if self.door.reopen(self.now) {
            self.accept_everywhere();
        }
        self.feed_starved();
        Ok(())
    }

    /// Acts on what has completed; whether anything had.
    fn take_over(&mut self, completions: &mut Vec<Completion>) -> bool {
        self.now = clock::now();
        self.shard.set_now(self.now);
        completions.clear();
        self.ring.take_completions(completions);
        for completion in completions.iter() {
            match completion.key {
                Key::Receive(id) => self.on_received(id, completion),
                Key::Send(id) => self.on_sent(id, completion.result),
                Key::Accept(number) => self.on_accepted(number, completion),
                Key::Shutdown(id) => self.on_shut_down(id),
                Key::Wake => self.on_woken(completion),
                Key::Ignored => {}
            }
        }
        !completions.is_empty()
    }

    fn is_done(&self) -> bool {
        self.drain_ends
            .is_some_and(|ends| ends <= self.now || self.shard.is_empty())
    }

    /// When something is due next; none: when something completes.
    fn next_due(&self) -> Option<Moment> {
        let next = [self.shard.next_due(), self.door.reopens(), self.drain_ends];
        next.into_iter().flatten().min()
    }

    /// Accepts on every listener that is not accepting, if there is a place for what comes.
    ///
    /// A connection that finds the ring's own table full has been taken from the queue already, and is
    /// lost. So accepts come one at a time where the table might fill up within one turn, and none at
    /// all where it is full.
    fn accept_everywhere(&mut self) {
        let listeners = &self.worker.listeners;
        let free = self
            .places
            .map(|places| places.saturating_sub(self.shard.len()));
        for (number, listener) in listeners.iter().enumerate() {
            match free {
                _ if self.accepting[number] || self.door.is_resting() => continue,
                Some(free) if free <= listeners.len() => {
                    let error = io::Error::from_raw_os_error(libc::EMFILE);
                    return self.door.failed(&error, self.now);
                }
                _ if self.is_crowded() => self.ring.accept_one(number, listener),
                _ => self.ring.accept(number, listener),
            }
            self.accepting[number] = true;
        }
    }

    fn on_accepted(&mut self, number: usize, completion: &Completion) {
        self.accepting[number] = completion.more();
        match u32::try_from(completion.result) {
            Ok(socket) if self.shard.may_accept() => self.open(Socket(socket)),
            // It came before accepting had stopped.
            Ok(socket) => self.ring.close(Socket(socket), false),
            Err(_) if completion.result == -libc::ECANCELED => {}
            Err(_) => {
                let error = io::Error::from_raw_os_error(-completion.result);
                self.door.failed(&error, self.now);
            }
        }
        if !self.shard.may_accept() {
            self.door.rest(self.now);
        }
        if self.accepting[number] && (self.is_crowded() || self.door.is_resting()) {
            self.ring.cancel_accept(number);
        }
        self.accept_everywhere();
    }

    fn open(&mut self, socket: Socket) {
        let id = self.shard.open(Io {
            socket,
            receiving: Receiving::Off,
            sending: false,
            shutting: false,
            cancelled: false,
        });
        self.settle(id);
    }

    /// Whether a burst of connections might fill the ring's own table, or finds no admission.
    fn is_crowded(&self) -> bool {
        let fills = |places| places < self.shard.len() + BURST_MAX;
        self.shard.is_full() || self.places.is_some_and(fills)
    }

    fn on_woken(&mut self, completion: &Completion) {
        let waker = self.worker.stop.waker(self.worker.number);
        waker.clear();
        if !completion.more() {
            self.ring.watch(waker);
        }
    }

    fn on_received(&mut self, id: SlotId, completion: &Completion) {
        if let Some(connection) = self.shard.get_mut(id)
            && !completion.more()
        {
            connection.io.receiving = Receiving::Off;
        }
        if let Some(buffer) = completion.buffer() {
            let count = u32::try_from(completion.result).unwrap_or(0);
            self.take_in(id, buffer, count, completion.buffer_more());
        }
        match -completion.result {
            0 => self.shard.peer_finished(id),
            // It goes on when there are buffers again. One that is at its end may hold some, and must not wait.
            libc::ENOBUFS if self.shard.wants(id).read => return self.starved.push(id),
            ..0 | libc::ENOBUFS | libc::ECANCELED => {}
            _ => self.shard.fail(id),
        }
        self.settle(id);
    }

    #[inline]
    fn take_in(&mut self, id: SlotId, buffer: u16, count: u32, more: bool) {
        let Buffers { memory, accounts } = &mut *self.buffers;
        let lent = accounts.fill(buffer, count, more);
        // SAFETY: the kernel has just reported these bytes, and nothing of them is lent on yet.
        let bytes = unsafe { memory.filled(&lent) };
        let desk = Desk {
            accounts: &mut *accounts,
            lent: &lent,
        };
        self.shard.receive(id, bytes, &mut Deferred(desk));
        accounts.release(lent);
    }

    fn on_sent(&mut self, id: SlotId, result: i32) {
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        connection.io.sending = false;
        let sent = match result {
            count if count >= 0 => Sent::Bytes(count as usize),
            error if -error == libc::EAGAIN => Sent::Blocked,
            error if -error == libc::EINTR => Sent::Bytes(0),
            _ => Sent::Failed,
        };
        let Buffers { memory, accounts } = &mut *self.buffers;
        if let Some(lease) = self.shard.sent(id, sent) {
            accounts.release(lease);
        }
        if sent == Sent::Blocked {
            self.shard.spill(id, |lease, copy| {
                copy(memory.claimed(&lease));
                accounts.release(lease);
            });
        }
        self.settle(id);
    }

    fn on_shut_down(&mut self, id: SlotId) {
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        connection.io.shutting = false;
        self.shard.half_closed(id);
        self.settle(id);
    }

    /// Does what the shard wants for a connection, as far as nothing is under way that must end first.
    #[inline]
    fn settle(&mut self, id: SlotId) {
        let wants = self.shard.wants(id);
        match wants.write {
            Write::Send => self.send(id),
            Write::HalfClose => self.shut_down(id),
            Write::Close { reset } => return self.close(id, reset),
            Write::Rest => {}
        }
        let discards = self.shard.discards(id);
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        let io = &mut connection.io;
        match io.receiving {
            Receiving::Off if wants.read => {
                io.receiving = Receiving::On;
                self.ring.receive(id, io.socket);
            }
            // A connection at its end may go on receiving: what comes is discarded.
            Receiving::On if !wants.read && !discards => {
                io.receiving = Receiving::Ending;
                self.ring.cancel_receive(id);
            }
            _ => {}
        }
    }

    #[inline]
    fn send(&mut self, id: SlotId) {
        let socket = match self.shard.get(id) {
            Some(connection) if !connection.io.sending => connection.io.socket,
            _ => return,
        };
        let Some(front) = self.shard.front(id) else {
            return;
        };
        let bytes = match front.load {
            Load::Slab(slab) => slab.bytes(),
            Load::Lease(lease) => self.buffers.memory.claimed(lease),
        };
        // SAFETY: a piece stays in the connection's queue until its send has completed, and a connection
        // stays in its slot until all is done that was under way for it. Only behind these bytes may a
        // slab grow.
        unsafe {
            self.ring
                .send(id, socket, bytes, front.may_wait, front.more);
        }
        if let Some(connection) = self.shard.get_mut(id) {
            connection.io.sending = true;
        }
    }

    fn shut_down(&mut self, id: SlotId) {
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        if !std::mem::replace(&mut connection.io.shutting, true) {
            self.ring.shut_down(id, connection.io.socket);
        }
    }

    /// Closes a connection once nothing is under way for it.
    fn close(&mut self, id: SlotId, reset: bool) {
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        let io = &mut connection.io;
        if io.is_busy() {
            if !std::mem::replace(&mut io.cancelled, true) {
                self.ring.cancel_all(io.socket);
            }
            return;
        }
        let accounts = &mut self.buffers.accounts;
        if let Some(io) = self.shard.release(id, |lease| accounts.release(lease)) {
            self.ring.close(io.socket, reset);
        }
    }

    /// Has starved connections receive again once there are buffers. More are made where none has come
    /// back within a turn, as those of sends under way do.
    fn feed_starved(&mut self) {
        if self.starved.is_empty() {
            return;
        }
        let starved_before = std::mem::replace(&mut self.starving, true);
        let available = self.buffers.accounts.is_available();
        if !available && (!starved_before || !self.buffers.grow()) {
            return;
        }
        self.starving = false;
        for id in std::mem::take(&mut self.starved) {
            self.settle(id);
        }
    }

    /// Takes in what has arrived already, then says goodbye to everyone.
    ///
    /// The kernel delivers only so much at a time, so it is asked until it has nothing more, or for a
    /// while where peers go on sending.
    fn drain(&mut self, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.drain_ends = Some(self.now + self.worker.stop.drain_timeout);
        let until = self.now + TAKE_IN_MAX;
        while self.now < until {
            self.feed_starved();
            self.ring.enter(Some(Duration::ZERO))?;
            if !self.take_over(completions) {
                break;
            }
        }
        self.shard.drain(CloseCode::GOING_AWAY);
        for id in self.shard.ids() {
            self.settle(id);
        }
        Ok(())
    }
}

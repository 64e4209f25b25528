//! What the engine decides: completions to the shard's verbs, and what the shard wants to operations.

use std::io;
use std::time::Duration;

use super::accounts::{Accounts, Desk};
use super::kernel::{Completion, Kernel, Key};
use crate::engine::door::Door;
use crate::engine::{StopPhase, Worker};
use crate::protocol::{CloseCode, Moment};
use crate::shard::completion::Deferred;
use crate::shard::{Lease, Sent, Shard, SlotId, Write};
use crate::sys::memory;

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
pub struct Io<S> {
    socket: S,
    receiving: Receiving,
    /// A send is under way. There is never more than one: two may overtake each other.
    sending: bool,
    /// Everything has been cancelled.
    cancelled: bool,
}

impl<S> Io<S> {
    /// Whether the kernel may still name this connection, or memory of its.
    fn is_busy(&self) -> bool {
        self.receiving != Receiving::Off || self.sending
    }
}

/// An io_uring engine over `K`.
#[derive(Debug)]
pub struct Driver<'a, K: Kernel> {
    worker: &'a Worker<'a>,
    kernel: K,
    shard: Shard<Io<K::Socket>>,
    accounts: Accounts,
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

impl<'a, K: Kernel> Driver<'a, K> {
    /// An engine without connections, accepting.
    pub fn new(worker: &'a Worker<'a>, mut kernel: K) -> Self {
        let now = kernel.now();
        let listeners = kernel.listeners() as usize;
        let accounts = Accounts::new(kernel.buffers());
        kernel.watch_waker();
        let mut driver = Driver {
            worker,
            kernel,
            shard: Shard::new(worker.settings.clone(), worker.tally.clone()),
            accounts,
            door: Door::default(),
            accepting: vec![false; listeners],
            starved: Vec::new(),
            starving: false,
            drain_ends: None,
            now,
        };
        driver.shard.set_now(now);
        driver.accept_everywhere();
        driver
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// What the kernel says of the ring.
    pub fn serve(&mut self) -> io::Result<()> {
        while !self.is_done() {
            self.turn()?;
        }
        // What was decided in the last turn is still to be submitted. Whoever comes with it comes too late.
        self.kernel.enter(Some(Duration::ZERO))?;
        while let Some(completion) = self.kernel.next_completion() {
            if let (Key::Accept(_), Ok(number)) = (completion.key, completion.result.try_into()) {
                let socket = self.kernel.accepted(number);
                self.kernel.close(socket, false);
            }
        }
        Ok(())
    }

    /// The ring.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The connections.
    pub fn shard(&self) -> &Shard<Io<K::Socket>> {
        &self.shard
    }

    /// The claims on the receive buffers.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Gives up the ring, then the connections: their memory must outlive what the ring has under way.
    pub fn into_shard(self) -> Shard<Io<K::Socket>> {
        self.shard
    }

    /// One turn of the loop: waits for what completes or comes due, and acts on it.
    ///
    /// # Errors
    /// What the kernel says of the ring.
    pub fn turn(&mut self) -> io::Result<()> {
        let patience = self.next_due().map(|due| due.since(self.now));
        self.kernel.enter(patience)?;
        self.take_over();
        while let Some(id) = self.shard.pop_due() {
            self.settle(id);
        }
        if self.worker.stop.phase() == StopPhase::Draining && self.drain_ends.is_none() {
            self.drain()?;
        }
        if self.door.reopen(self.now) {
            self.accept_everywhere();
        }
        if self.shard.crowd_has_left() {
            memory::give_back();
        }
        self.feed_starved();
        while let Some(id) = self.shard.pop_shed() {
            self.settle(id);
        }
        Ok(())
    }

    /// Acts on what has completed; whether anything had.
    fn take_over(&mut self) -> bool {
        self.now = self.kernel.now();
        self.shard.set_now(self.now);
        let mut any = false;
        while let Some(completion) = self.kernel.next_completion() {
            any = true;
            match completion.key {
                Key::Receive(id) => self.on_received(id, &completion),
                Key::Send(id) => self.on_sent(id, completion.result),
                Key::Accept(listener) => self.on_accepted(listener, &completion),
                Key::Wake => self.on_woken(&completion),
                Key::Ignored => {}
            }
        }
        any
    }

    /// Whether all is said: the drain is over.
    pub fn is_done(&self) -> bool {
        self.drain_ends
            .is_some_and(|ends| ends <= self.now || self.shard.is_empty())
    }

    /// When something is due next; none: when something completes.
    fn next_due(&self) -> Option<Moment> {
        let next = [self.shard.next_due(), self.door.reopens(), self.drain_ends];
        next.into_iter().flatten().min()
    }

    /// Accepts on every listener that is not accepting; one at a time where the next may be one too many.
    fn accept_everywhere(&mut self) {
        for listener in 0..self.kernel.listeners() {
            if self.accepting[listener as usize] || self.door.is_resting() {
                continue;
            }
            self.accepting[listener as usize] = true;
            match self.shard.is_full() {
                true => self.kernel.accept_one(listener),
                false => self.kernel.accept(listener),
            }
        }
    }

    fn on_accepted(&mut self, listener: u32, completion: &Completion) {
        self.accepting[listener as usize] = completion.more;
        match u32::try_from(completion.result) {
            Ok(number) => {
                let socket = self.kernel.accepted(number);
                if self.shard.may_accept() {
                    self.open(socket);
                } else {
                    // It came before accepting had stopped.
                    self.kernel.close(socket, false);
                }
            }
            Err(_) if completion.result == -libc::ECANCELED => {}
            Err(_) => {
                let error = io::Error::from_raw_os_error(-completion.result);
                self.door.failed(&error, self.now);
            }
        }
        if !self.shard.may_accept() {
            self.door.rest(self.now);
        }
        if self.accepting[listener as usize] && (self.shard.is_full() || self.door.is_resting()) {
            self.kernel.cancel_accept(listener);
        }
        self.accept_everywhere();
    }

    fn open(&mut self, socket: K::Socket) {
        let id = self.shard.open(Io {
            socket,
            receiving: Receiving::Off,
            sending: false,
            cancelled: false,
        });
        self.settle(id);
    }

    fn on_woken(&mut self, completion: &Completion) {
        self.kernel.clear_waker();
        if !completion.more {
            self.kernel.watch_waker();
        }
    }

    fn on_received(&mut self, id: SlotId, completion: &Completion) {
        if let Some(connection) = self.shard.get_mut(id)
            && !completion.more
        {
            connection.io.receiving = Receiving::Off;
        }
        if let Some(buffer) = completion.buffer {
            let count = u32::try_from(completion.result).unwrap_or(0);
            self.take_in(id, buffer, count, completion.buffer_more);
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
        let lent = self.accounts.fill(buffer, count, more);
        // SAFETY: the kernel has just reported these bytes, and nothing of them is lent on yet.
        let bytes = unsafe { self.kernel.filled(&lent) };
        let desk = Desk {
            accounts: &mut self.accounts,
            lent: &lent,
        };
        self.shard.receive(id, bytes, &mut Deferred(desk));
        give_back(&mut self.kernel, &mut self.accounts, lent);
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
        if let Some(lease) = self.shard.sent(id, sent) {
            give_back(&mut self.kernel, &mut self.accounts, lease);
        }
        if sent == Sent::Blocked {
            let (kernel, accounts) = (&mut self.kernel, &mut self.accounts);
            self.shard.spill(id, |lease, copy| {
                copy(kernel.claimed(&lease));
                give_back(kernel, accounts, lease);
            });
        }
        self.settle(id);
    }

    /// Does what the shard wants for a connection, as far as nothing is under way that must end first.
    #[inline]
    fn settle(&mut self, id: SlotId) {
        let wants = loop {
            let wants = self.shard.wants(id);
            match wants.write {
                Write::Send => self.send(id),
                Write::HalfClose => {
                    if let Some(connection) = self.shard.get(id) {
                        self.kernel.shut_down(&connection.io.socket);
                    }
                    self.shard.half_closed(id);
                    continue;
                }
                Write::Close { reset } => return self.close(id, reset),
                Write::Rest => {}
            }
            break wants;
        };
        let discards = !wants.read && self.shard.discards(id);
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        let io = &mut connection.io;
        match io.receiving {
            Receiving::Off if wants.read => {
                io.receiving = Receiving::On;
                self.kernel.receive(id, &io.socket);
            }
            // A connection at its end may go on receiving: what comes is discarded.
            Receiving::On if !wants.read && !discards => {
                io.receiving = Receiving::Ending;
                self.kernel.cancel_receive(id);
            }
            _ => {}
        }
    }

    #[inline]
    fn send(&mut self, id: SlotId) {
        match self.shard.get_mut(id) {
            Some(connection) if !connection.io.sending => connection.io.sending = true,
            _ => return,
        }
        if let (Some(connection), Some(front)) = (self.shard.get(id), self.shard.front(id)) {
            let socket = &connection.io.socket;
            // SAFETY: a piece stays in the connection's queue until its send has completed, and a
            // connection stays in its slot until all is done that was under way for it. Only behind these
            // bytes may a slab grow.
            unsafe {
                self.kernel
                    .send(id, socket, front.load, front.may_wait, front.more);
            }
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
                self.kernel.cancel_all(&io.socket);
            }
            return;
        }
        let (kernel, accounts) = (&mut self.kernel, &mut self.accounts);
        let released = self
            .shard
            .release(id, |lease| give_back(kernel, accounts, lease));
        if let Some(io) = released {
            self.kernel.close(io.socket, reset);
        }
    }

    /// Has starved connections receive again once there are buffers. More are made where none has come
    /// back within a turn, as those of sends under way do.
    fn feed_starved(&mut self) {
        if self.starved.is_empty() {
            return;
        }
        let starved_before = std::mem::replace(&mut self.starving, true);
        if !self.accounts.is_available() {
            if !starved_before || !self.kernel.add_buffer() {
                return;
            }
            self.accounts.add();
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
    fn drain(&mut self) -> io::Result<()> {
        let ends = self.now + self.worker.stop.drain_timeout;
        self.drain_ends = Some(ends);
        let until = ends.min(self.now + TAKE_IN_MAX);
        while self.now < until {
            self.feed_starved();
            self.kernel.enter(Some(Duration::ZERO))?;
            if !self.take_over() {
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

/// Takes a claim back, and provides the buffer again if it was the last one.
fn give_back<K: Kernel>(kernel: &mut K, accounts: &mut Accounts, lease: Lease) {
    if let Some(buffer) = accounts.release(lease) {
        kernel.provide(buffer);
    }
}

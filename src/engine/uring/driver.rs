//! What the engine decides: completions to the shard's verbs, and what the shard wants to operations.

use std::io;
use std::time::Duration;

use super::accounts::{Accounts, Desk};
use super::connection::{GREEDY_PART, Io, Line, RESERVED_PART, Receiving};
use super::kernel::{Completion, Kernel, Key};
use crate::engine::state::State;
use crate::engine::{Letter, Origin, Post, Worker};
use crate::protocol::Moment;
use crate::shard::completion::Deferred;
use crate::shard::{Destination, Handle, Lease, Sent, Shard, SlotId, Write};

/// An io_uring engine over `K`.
#[derive(Debug)]
pub struct Driver<'a, K: Kernel> {
    worker: &'a Worker<'a>,
    kernel: K,
    state: State<Io<K::Socket>>,
    accounts: Accounts,
    /// Which listeners are accepting.
    accepting: Vec<bool>,
    /// Greedy connections that want to receive.
    line: Line,
    /// Turns made so far, by and by from zero again.
    turns: u32,
}

impl<'a, K: Kernel> Driver<'a, K> {
    /// An engine without connections, accepting.
    pub fn new(worker: &'a Worker<'a>, mut kernel: K) -> Self {
        let state = State::new(worker, kernel.now());
        let listeners = kernel.listeners() as usize;
        let accounts = Accounts::new(kernel.buffers(), kernel.buffer_bytes());
        kernel.watch_waker();
        let mut driver = Driver {
            worker,
            kernel,
            state,
            accounts,
            accepting: vec![false; listeners],
            line: Line::default(),
            turns: 0,
        };
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
        &self.state.shard
    }

    /// The claims on the receive buffers.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Gives up the ring, then the connections: their memory must outlive what the ring has under way.
    pub fn into_shard(self) -> Shard<Io<K::Socket>> {
        self.state.shard
    }

    /// One turn of the loop: waits for what completes or comes due, and acts on it.
    ///
    /// # Errors
    /// What the kernel says of the ring.
    pub fn turn(&mut self) -> io::Result<()> {
        let patience = self.next_due().map(|due| due.since(self.state.now()));
        self.kernel.enter(patience)?;
        self.turns = self.turns.wrapping_add(1);
        self.take_over();
        match self.state.door_turns(self.worker.stop) {
            Some(true) => self.accept_everywhere(),
            Some(false) => self.accept_nowhere(),
            None => {}
        }
        while let Some(id) = self.next_called() {
            self.settle(id);
        }
        if self.state.door.reopen(self.state.now()) {
            self.accept_everywhere();
        }
        self.feed_greedy();
        self.state.end_turn(self.worker.stop, || {});
        let kernel = &mut self.kernel;
        self.state.go_on_surveying(|io| kernel.peer(&io.socket));
        self.state.time_turn(|| kernel.now());
        Ok(())
    }

    fn next_called(&mut self) -> Option<SlotId> {
        let kernel = &self.kernel;
        self.state
            .next_called(self.worker.stop, |io| kernel.standing(&io.socket))
    }

    /// Acts on what has completed.
    fn take_over(&mut self) {
        self.state.set_now(self.kernel.now());
        while let Some(completion) = self.kernel.next_completion() {
            match completion.key {
                Key::Receive(id) => self.on_received(id, &completion),
                Key::Send(id) => self.on_sent(id, completion.result),
                Key::Accept(listener) => self.on_accepted(listener, &completion),
                Key::Wake => self.on_woken(&completion),
                Key::Ignored => {}
            }
        }
    }

    /// Whether the drain is over.
    pub fn is_done(&self) -> bool {
        self.state.is_done()
    }

    /// When something is due next; none: when something completes.
    fn next_due(&self) -> Option<Moment> {
        // Where nothing is claimed, no buffer comes back that would say that it is their turn.
        let greedy = !self.line.is_empty() && self.accounts.claims() == 0;
        let next = [
            self.state.next_due(),
            self.state.door.reopens(),
            greedy.then_some(self.state.now()),
        ];
        next.into_iter().flatten().min()
    }

    /// Accepts on every listener that is not accepting; one at a time where the next may be one too many.
    fn accept_everywhere(&mut self) {
        if !self.state.shard.may_accept() {
            self.state.door.rest(self.state.now());
        }
        for listener in 0..self.kernel.listeners() {
            if self.accepting[listener as usize] || self.state.door.is_closed() {
                continue;
            }
            self.accepting[listener as usize] = true;
            // One that goes on takes all that wait before it can be stopped.
            match self.state.shard.is_limited() {
                true => self.kernel.accept_one(listener),
                false => self.kernel.accept(listener),
            }
        }
    }

    /// Stops accepting on every listener. Who was accepted before it is heard of is served.
    fn accept_nowhere(&mut self) {
        for listener in 0..self.kernel.listeners() {
            if self.accepting[listener as usize] {
                self.kernel.cancel_accept(listener);
            }
        }
    }

    fn on_accepted(&mut self, listener: u32, completion: &Completion) {
        self.accepting[listener as usize] = completion.more;
        match u32::try_from(completion.result) {
            Ok(number) => {
                let socket = self.kernel.accepted(number);
                self.place(socket, listener);
            }
            Err(_) => {
                let error = io::Error::from_raw_os_error(-completion.result);
                self.state.door.failed(&error, self.state.now());
            }
        }
        self.accept_everywhere();
    }

    /// Has a connection that was accepted here served by whoever is to.
    fn place(&mut self, socket: K::Socket, listener: u32) {
        if let Some(socket) = self.state.place(self.kernel.post(), socket, listener) {
            self.take_in(socket, Origin::Accepted { listener });
        }
    }

    /// Does what others have for this worker.
    fn read_letters(&mut self) {
        while let Some(letter) = self.kernel.post().next_letter() {
            match letter {
                Letter::Connection(socket, origin) => self.take_in(socket, origin),
                Letter::Survey(survey) => self.state.begin_survey(survey),
                Letter::PutDown(wanted) => {
                    for id in self.state.choose(&wanted) {
                        self.leave(id, wanted.to);
                    }
                }
                Letter::RollCall(call) => call.answer(),
            }
        }
    }

    /// Puts a connection down for `to`, as soon as nothing is under way for it.
    pub fn leave(&mut self, id: SlotId, to: Destination) {
        if let Some(mut connection) = self.state.shard.at(id) {
            connection.leave(to);
            self.settle(id);
        }
    }

    /// Serves a connection from now on.
    fn take_in(&mut self, socket: K::Socket, origin: Origin) {
        let kernel = &self.kernel;
        let standing = |io: &Io<K::Socket>| kernel.standing(&io.socket);
        let peer = |io: &Io<K::Socket>| kernel.peer(&io.socket);
        match self.state.take_in(Io::new(socket), origin, standing, peer) {
            Ok(id) if self.state.passes_on(id) => self.leave(id, Destination::Successor),
            Ok(id) => self.settle(id),
            Err(io) => self.kernel.close(io.socket, true),
        }
    }

    fn on_woken(&mut self, completion: &Completion) {
        self.kernel.clear_waker();
        if !completion.more {
            self.kernel.watch_waker();
        }
        self.read_letters();
    }

    fn on_received(&mut self, id: SlotId, completion: &Completion) {
        let count = u32::try_from(completion.result).unwrap_or(0);
        let (kernel, accounts) = (&mut self.kernel, &mut self.accounts);
        let lent = completion
            .buffer
            .map(|buffer| accounts.fill(buffer, count, completion.buffer_more));
        let Some(mut connection) = self.state.shard.at(id) else {
            return lent
                .into_iter()
                .for_each(|lent| give_back(kernel, accounts, lent));
        };
        let io = connection.io();
        let limit = match io.receiving {
            Receiving::Once(max) => Some(max),
            _ => None,
        };
        if !completion.more {
            io.receiving = Receiving::Off;
        }
        if limit.is_none() {
            let much = accounts.total_bytes() / GREEDY_PART;
            io.receive_in_turn(self.turns, count, much);
        }
        if let (Some(limit), Some(lent)) = (limit, &lent) {
            // There might have been more than this.
            io.greedy = count >= limit / 4 || accounts.reaches_end(lent);
        }
        if let Some(lent) = lent {
            // SAFETY: the kernel has just reported these bytes, and nothing of them is lent on yet.
            let bytes = unsafe { kernel.filled(&lent) };
            let desk = Desk {
                accounts,
                lent: &lent,
            };
            connection.receive(bytes, &mut Deferred(desk));
            give_back(kernel, accounts, lent);
        }
        match -completion.result {
            0 => connection.peer_finished(),
            libc::ENOBUFS => {
                self.worker.tally.no_buffers.add(1);
                // If it was this one's turn, it is still.
                let io = connection.io();
                io.greedy = true;
                if limit.is_some() && !std::mem::replace(&mut io.queued, true) {
                    self.line.keep_turn(id);
                }
            }
            ..0 | libc::ECANCELED => {}
            _ => connection.fail(),
        }
        self.settle(id);
    }

    fn on_sent(&mut self, id: SlotId, result: i32) {
        let Some(mut connection) = self.state.shard.at(id) else {
            return;
        };
        connection.io().sending = false;
        let sent = match result {
            count if count >= 0 => Sent::Bytes(count as usize),
            error if -error == libc::EAGAIN => Sent::Blocked,
            error if -error == libc::EINTR || -error == libc::ECANCELED => Sent::Bytes(0),
            _ => Sent::Failed,
        };
        let (kernel, accounts) = (&mut self.kernel, &mut self.accounts);
        if let Some(lease) = connection.sent(sent) {
            give_back(kernel, accounts, lease);
        }
        if sent == Sent::Blocked {
            connection.spill(|lease, copy| copy_out(kernel, accounts, lease, copy));
        }
        self.settle(id);
    }

    /// Does what the shard wants for a connection, as far as nothing is under way that must end first.
    #[inline]
    fn settle(&mut self, id: SlotId) {
        let now = self.state.now();
        let State { shard, ended, .. } = &mut self.state;
        let Some(mut connection) = shard.at(id) else {
            return;
        };
        let kernel = &mut self.kernel;
        let wants = loop {
            let wants = connection.wants();
            match wants.write {
                Write::Rest => break wants,
                Write::Send => {
                    send(kernel, id, &mut connection);
                    break wants;
                }
                Write::HalfClose | Write::PutDown(_) | Write::Close { .. } => {
                    ended.tell(&mut connection, |io| kernel.peer(&io.socket), now);
                }
            }
            let io = connection.io();
            if wants.write == Write::HalfClose {
                kernel.shut_down(&io.socket);
                connection.half_closed();
                continue;
            }
            if io.is_busy() {
                if !std::mem::replace(&mut io.cancelled, true) {
                    kernel.cancel_all(id, &io.socket);
                }
                return;
            }
            return self.part(id, wants.write);
        };
        let discards = !wants.read && connection.discards();
        // A receive that goes on may bring all buffers at once, and what is brought may have to be kept, or be more
        // than may come at once.
        let may_burst = connection.may_keep(self.accounts.total_bytes()) && !connection.is_paced();
        let behind = connection.is_behind();
        let io = connection.io();
        io.greedy |= behind;
        match io.receiving {
            Receiving::Off if io.queued => {}
            Receiving::Off if wants.read && (io.greedy || !may_burst) => {
                io.queued = true;
                self.line.join(id);
            }
            Receiving::Off if wants.read => {
                io.receiving = Receiving::On;
                self.worker.tally.receives_armed.add(1);
                kernel.receive(id, &io.socket, None);
            }
            // A connection at its end may go on receiving: what comes is discarded.
            Receiving::On if (io.greedy || !wants.read) && !discards => {
                io.greedy = true;
                io.receiving = Receiving::Ending;
                kernel.cancel_receive(id);
            }
            _ => {}
        }
    }

    /// Closes or hands over a connection for which nothing is under way.
    fn part(&mut self, id: SlotId, how: Write) {
        let (kernel, accounts) = (&mut self.kernel, &mut self.accounts);
        if let Write::PutDown(to) = how {
            let copy_out = |lease, copy: &mut dyn FnMut(&[u8])| {
                copy_out(kernel, accounts, lease, copy);
            };
            if let Some((io, carried)) = self.state.put_down(id, copy_out) {
                kernel.post().hand_over(io.socket, carried, to);
            }
        } else if let Some(io) = self
            .state
            .release(id, |lease| give_back(kernel, accounts, lease))
        {
            let reset = how == Write::Close { reset: true };
            kernel.close(io.socket, reset);
        }
    }

    /// Has greedy connections receive, in their order, as far as that leaves buffers for the others.
    fn feed_greedy(&mut self) {
        let total = self.accounts.total_bytes();
        let part = (total / GREEDY_PART).max(1);
        let free = self.accounts.free_bytes();
        let mut spare = free.saturating_sub(total / RESERVED_PART);
        // Where nothing is claimed no buffer will come back, so at least one goes on.
        let mut is_urged = self.accounts.claims() == 0;
        while spare >= part || is_urged {
            let Some(id) = self.line.next() else {
                return;
            };
            let Some(mut connection) = self.state.shard.at(id) else {
                continue;
            };
            let max = part.min(connection.receive_bytes_max()) as u32;
            let wants_read = connection.wants().read;
            let io = connection.io();
            io.queued = false;
            if wants_read && io.receiving == Receiving::Off {
                io.receiving = Receiving::Once(max);
                self.worker.tally.receives_armed.add(1);
                self.kernel.receive(id, &io.socket, Some(max));
                spare = spare.saturating_sub(part);
                is_urged = false;
            }
        }
    }
}

/// Begins to send what is next, if nothing is being sent.
#[inline]
fn send<K: Kernel>(kernel: &mut K, id: SlotId, connection: &mut Handle<'_, Io<K::Socket>>) {
    if std::mem::replace(&mut connection.io().sending, true) {
        return;
    }
    if let Some((io, front)) = connection.front() {
        // SAFETY: a piece stays in the connection's queue until its send has completed, and a connection stays
        // in its slot until all is done that was under way for it. Only behind these bytes may a slab grow.
        unsafe {
            kernel.send(id, &io.socket, front.load, front.may_wait, front.more);
        }
    }
}

/// Shows the bytes of a claim from a connection's queue, and takes it back.
fn copy_out<K: Kernel>(
    kernel: &mut K,
    accounts: &mut Accounts,
    lease: Lease,
    copy: &mut dyn FnMut(&[u8]),
) {
    // SAFETY: such a claim is counted until it is given back.
    copy(unsafe { kernel.claimed(&lease) });
    give_back(kernel, accounts, lease);
}

/// Takes a claim back, and provides the buffer again if it was the last one.
fn give_back<K: Kernel>(kernel: &mut K, accounts: &mut Accounts, lease: Lease) {
    if let Some(buffer) = accounts.release(lease) {
        kernel.provide(buffer);
    }
}

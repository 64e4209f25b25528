//! What the engine decides: completions to the shard's verbs, and what the shard wants to operations.

use std::io;
use std::time::Duration;

use super::accounts::{Accounts, Desk};
use super::connection::{GREEDY_PART, Io, Line, RESERVED_PART, Receiving};
use super::kernel::{Completion, Kernel, Key};
use crate::engine::Worker;
use crate::engine::door::Door;
use crate::engine::ended::Ended;
use crate::engine::leaving::Leaving;
use crate::protocol::{CloseCode, Moment};
use crate::shard::completion::Deferred;
use crate::shard::{Lease, Sent, Shard, SlotId, Write};
use crate::sys::memory;

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
    /// Greedy connections that want to receive.
    line: Line,
    ended: Ended,
    leaving: Leaving,
    /// Turns made so far, by and by from zero again.
    turns: u32,
    now: Moment,
}

impl<'a, K: Kernel> Driver<'a, K> {
    /// An engine without connections, accepting.
    pub fn new(worker: &'a Worker<'a>, mut kernel: K) -> Self {
        let now = kernel.now();
        let listeners = kernel.listeners() as usize;
        let accounts = Accounts::new(kernel.buffers(), kernel.buffer_bytes());
        kernel.watch_waker();
        let mut driver = Driver {
            worker,
            kernel,
            shard: Shard::new(worker.settings.clone(), worker.tally.clone()),
            accounts,
            door: Door::default(),
            accepting: vec![false; listeners],
            line: Line::default(),
            ended: Ended::default(),
            leaving: Leaving::default(),
            turns: 0,
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
        self.turns = self.turns.wrapping_add(1);
        self.take_over();
        while let Some(id) = self.next_due_connection() {
            self.settle(id);
        }
        if self.leaving.begins(self.worker.stop, self.now) {
            self.drain();
        }
        if self.door.reopen(self.now) {
            self.accept_everywhere();
        }
        self.feed_greedy();
        while let Some(id) = self.shard.pop_shed() {
            self.settle(id);
        }
        if self.shard.returns_memory() {
            memory::give_back();
        }
        let residents = self.shard.residents();
        self.leaving.advance(residents, self.worker.stop, self.now);
        Ok(())
    }

    fn next_due_connection(&mut self) -> Option<SlotId> {
        let kernel = &self.kernel;
        self.shard.pop_due(|io| kernel.standing(&io.socket))
    }

    /// Acts on what has completed.
    fn take_over(&mut self) {
        self.now = self.kernel.now();
        self.shard.set_now(self.now);
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

    /// Whether all is said: the drain is over.
    pub fn is_done(&self) -> bool {
        self.leaving.is_over(self.shard.is_empty(), self.now)
    }

    /// When something is due next; none: when something completes.
    fn next_due(&self) -> Option<Moment> {
        // Where nothing is claimed, no buffer comes back that would say that it is their turn.
        let greedy = !self.line.is_empty() && self.accounts.claims() == 0;
        let next = [
            self.shard.next_due(),
            self.door.reopens(),
            self.leaving.next_due(),
            greedy.then_some(self.now),
        ];
        next.into_iter().flatten().min()
    }

    /// Accepts on every listener that is not accepting; one at a time where the next may be one too many.
    fn accept_everywhere(&mut self) {
        if !self.shard.may_accept() {
            self.door.rest(self.now);
        }
        for listener in 0..self.kernel.listeners() {
            if self.accepting[listener as usize] || self.door.is_resting() {
                continue;
            }
            self.accepting[listener as usize] = true;
            // One that goes on takes all that wait before it can be stopped.
            match self.shard.is_limited() {
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
                self.open(socket, listener);
            }
            Err(_) => {
                let error = io::Error::from_raw_os_error(-completion.result);
                self.door.failed(&error, self.now);
            }
        }
        self.accept_everywhere();
    }

    fn open(&mut self, socket: K::Socket, listener: u32) {
        let entrance = self.worker.entrances[listener as usize];
        let id = self.shard.open(Io::new(socket), entrance);
        self.settle(id);
    }

    fn on_woken(&mut self, completion: &Completion) {
        self.kernel.clear_waker();
        if !completion.more {
            self.kernel.watch_waker();
        }
    }

    fn on_received(&mut self, id: SlotId, completion: &Completion) {
        let count = u32::try_from(completion.result).unwrap_or(0);
        let much = self.accounts.total_bytes() / GREEDY_PART;
        let mut limit = None;
        if let Some(connection) = self.shard.get_mut(id) {
            let io = &mut connection.io;
            match io.receiving {
                Receiving::Once(max) => limit = Some(max),
                _ => io.receive_in_turn(self.turns, count, much),
            }
            if !completion.more {
                io.receiving = Receiving::Off;
            }
        }
        if let Some(buffer) = completion.buffer {
            self.take_in(id, buffer, count, completion.buffer_more, limit);
        }
        match -completion.result {
            0 => self.shard.peer_finished(id),
            libc::ENOBUFS => self.find_none(id, limit.is_some()),
            ..0 | libc::ECANCELED => {}
            _ => self.shard.fail(id),
        }
        self.settle(id);
    }

    /// A receive has found no buffer. If it was this one's turn, it is still.
    fn find_none(&mut self, id: SlotId, had_turn: bool) {
        self.set_greedy(id, true);
        if let Some(connection) = self.shard.get_mut(id)
            && had_turn
            && !std::mem::replace(&mut connection.io.queued, true)
        {
            self.line.keep_turn(id);
        }
    }

    fn set_greedy(&mut self, id: SlotId, greedy: bool) {
        if let Some(connection) = self.shard.get_mut(id) {
            connection.io.greedy = greedy;
        }
    }

    /// `limit`: how much there might have been.
    #[inline]
    fn take_in(&mut self, id: SlotId, buffer: u16, count: u32, more: bool, limit: Option<u32>) {
        let lent = self.accounts.fill(buffer, count, more);
        if let Some(limit) = limit {
            let had_more = count >= limit / 4 || self.accounts.reaches_end(&lent);
            self.set_greedy(id, had_more);
        }
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
                // SAFETY: a claim of a connection's queue is counted until it is given back.
                copy(unsafe { kernel.claimed(&lease) });
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
                    self.tell(id);
                    if let Some(connection) = self.shard.get(id) {
                        self.kernel.shut_down(&connection.io.socket);
                    }
                    self.shard.half_closed(id);
                    continue;
                }
                Write::Close { reset } => return self.close(id, reset),
                Write::Rest | Write::PutDown(_) => {}
            }
            break wants;
        };
        let discards = !wants.read && self.shard.discards(id);
        // A receive that goes on may bring all buffers at once, and what is brought may have to be kept.
        let may_burst = self.shard.may_keep(self.accounts.total_bytes());
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        let behind = connection.is_behind();
        let io = &mut connection.io;
        io.greedy |= behind;
        match io.receiving {
            Receiving::Off if io.queued => {}
            Receiving::Off if wants.read && (io.greedy || !may_burst) => {
                io.queued = true;
                self.line.join(id);
            }
            Receiving::Off if wants.read => {
                io.receiving = Receiving::On;
                self.kernel.receive(id, &io.socket, None);
            }
            // A connection at its end may go on receiving: what comes is discarded.
            Receiving::On if (io.greedy || !wants.read) && !discards => {
                io.greedy = true;
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

    /// Tells why the server ends a connection, if it does.
    fn tell(&mut self, id: SlotId) {
        if let Some(cause) = self.shard.take_cause(id)
            && let Some(connection) = self.shard.get(id)
        {
            let peer = self.kernel.peer(&connection.io.socket);
            self.ended.tell(cause, peer, self.now);
        }
    }

    /// Closes a connection once nothing is under way for it.
    fn close(&mut self, id: SlotId, reset: bool) {
        self.tell(id);
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        let io = &mut connection.io;
        if io.is_busy() {
            if !std::mem::replace(&mut io.cancelled, true) {
                self.kernel.cancel_all(id, &io.socket);
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
            let max = part.min(self.shard.receive_bytes_max(id)) as u32;
            let wants_read = self.shard.wants(id).read;
            let Some(connection) = self.shard.get_mut(id) else {
                continue;
            };
            let io = &mut connection.io;
            io.queued = false;
            if wants_read && io.receiving == Receiving::Off {
                io.receiving = Receiving::Once(max);
                self.kernel.receive(id, &io.socket, Some(max));
                spare = spare.saturating_sub(part);
                is_urged = false;
            }
        }
    }

    /// Has everyone told goodbye, each once what has arrived from it is answered.
    fn drain(&mut self) {
        let kernel = &self.kernel;
        self.shard
            .drain(CloseCode::GOING_AWAY, |io| kernel.standing(&io.socket));
        for id in self.shard.ids() {
            self.settle(id);
        }
    }
}

/// Takes a claim back, and provides the buffer again if it was the last one.
fn give_back<K: Kernel>(kernel: &mut K, accounts: &mut Accounts, lease: Lease) {
    if let Some(buffer) = accounts.release(lease) {
        kernel.provide(buffer);
    }
}

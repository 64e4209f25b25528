//! What the engine decides: events to the shard's verbs, and what the shard wants to system calls.

use std::io;

use super::kernel::{Event, Interest, Kernel, Received, Token};
use crate::engine::door::Door;
use crate::engine::{StopPhase, Worker};
use crate::protocol::{CloseCode, Moment};
use crate::shard::readiness::{Immediate, Wire};
use crate::shard::{Sent, Shard, SlotId, Write};
use crate::sys::memory;

/// The receive buffer of a thread, in bytes: a 64 KiB message and its header fit, and it stays in L2.
const HOT_BUFFER_BYTES: usize = 128 * 1024;

/// Connections accepted before others get their turn.
const ACCEPTS_MAX: usize = 64;

/// What this engine keeps per connection.
#[derive(Debug)]
pub struct Io<S> {
    socket: S,
    interest: Interest,
}

/// Sends at once.
struct Line<'a, K>(&'a mut K);

impl<K: Kernel> Wire<Io<K::Socket>> for Line<'_, K> {
    #[inline]
    fn send(&mut self, io: &mut Io<K::Socket>, bytes: &[u8], more: bool) -> Sent {
        self.0.send(&io.socket, bytes, more)
    }
}

/// A readiness engine over `K`.
#[derive(Debug)]
pub struct Driver<'a, K: Kernel> {
    worker: &'a Worker<'a>,
    kernel: K,
    shard: Shard<Io<K::Socket>>,
    hot: Vec<u8>,
    door: Door,
    drain_ends: Option<Moment>,
    now: Moment,
}

impl<'a, K: Kernel> Driver<'a, K> {
    /// An engine without connections.
    ///
    /// # Errors
    /// Where listeners cannot be watched.
    pub fn new(worker: &'a Worker<'a>, mut kernel: K) -> io::Result<Self> {
        kernel.listen(true)?;
        Ok(Driver {
            shard: Shard::new(worker.settings.clone(), worker.tally.clone()),
            worker,
            hot: vec![0; HOT_BUFFER_BYTES],
            door: Door::default(),
            drain_ends: None,
            now: kernel.now(),
            kernel,
        })
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// What the kernel says where the epoll instance itself fails.
    pub fn serve(&mut self) -> io::Result<()> {
        while !self.is_done() {
            self.turn()?;
        }
        Ok(())
    }

    /// The sockets.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The connections.
    pub fn shard(&self) -> &Shard<Io<K::Socket>> {
        &self.shard
    }

    /// One turn of the loop: waits for what happens or comes due, and acts on it.
    ///
    /// # Errors
    /// What the kernel says where the epoll instance itself fails.
    pub fn turn(&mut self) -> io::Result<()> {
        let patience = self.next_due().map(|due| due.since(self.now));
        self.kernel.wait(patience)?;
        self.now = self.kernel.now();
        self.shard.set_now(self.now);
        while let Some(event) = self.kernel.next_event() {
            match event.token {
                Token::Connection(id) => self.on_event(id, event),
                Token::Listener(listener) => self.accept(listener)?,
                Token::Waker => self.kernel.clear_waker(),
            }
        }
        while let Some(id) = self.shard.pop_due() {
            self.settle(id);
        }
        if self.worker.stop.phase() == StopPhase::Draining && self.drain_ends.is_none() {
            self.drain();
        }
        if self.door.reopen(self.now) {
            self.kernel.listen(true)?;
        }
        if self.shard.crowd_has_left() {
            memory::give_back();
        }
        while let Some(id) = self.shard.pop_shed() {
            self.settle(id);
        }
        Ok(())
    }

    /// Whether all is said: the drain is over.
    pub fn is_done(&self) -> bool {
        self.drain_ends
            .is_some_and(|ends| ends <= self.now || self.shard.is_empty())
    }

    /// When something is due next; none: when something happens.
    fn next_due(&self) -> Option<Moment> {
        let next = [self.shard.next_due(), self.door.reopens(), self.drain_ends];
        next.into_iter().flatten().min()
    }

    fn accept(&mut self, listener: u32) -> io::Result<()> {
        for _ in 0..ACCEPTS_MAX {
            if !self.shard.may_accept() {
                self.door.rest(self.now);
                return self.kernel.listen(false);
            }
            match self.kernel.accept(listener) {
                Ok(Some(socket)) => self.open(socket),
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.door.failed(&error, self.now);
                    if self.door.is_resting() {
                        return self.kernel.listen(false);
                    }
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, socket: K::Socket) {
        let interest = Interest {
            read: true,
            write: false,
        };
        let id = self.shard.open(Io { socket, interest });
        if let Some(connection) = self.shard.get_mut(id)
            && self
                .kernel
                .watch(&connection.io.socket, id, interest)
                .is_err()
        {
            self.shard.fail(id);
        }
        self.settle(id);
    }

    fn on_event(&mut self, id: SlotId, event: Event) {
        if event.readable || event.broken {
            if self.shard.wants(id).read {
                self.read(id);
            } else if event.broken {
                self.shard.fail(id);
            }
        }
        self.settle(id);
    }

    /// One receive. Level-triggered: what is left is reported again.
    #[inline]
    fn read(&mut self, id: SlotId) {
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        let io = &connection.io;
        match self.kernel.receive(&io.socket, &mut self.hot) {
            Received::Bytes(count) => {
                let line = Line(&mut self.kernel);
                self.shard
                    .receive(id, &mut self.hot[..count], &mut Immediate(line));
            }
            Received::Finished => self.shard.peer_finished(id),
            Received::Nothing => {}
            Received::Failed => self.shard.fail(id),
        }
    }

    /// Does what the shard wants for a connection, as far as its socket lets it.
    #[inline]
    fn settle(&mut self, id: SlotId) {
        let mut flushed = false;
        let wants = loop {
            let wants = self.shard.wants(id);
            match wants.write {
                Write::Send if !flushed => {
                    flushed = true;
                    self.shard.flush(id, &mut Line(&mut self.kernel));
                }
                Write::HalfClose => {
                    if let Some(connection) = self.shard.get(id) {
                        self.kernel.shut_down(&connection.io.socket);
                    }
                    self.shard.half_closed(id);
                }
                Write::Close { reset } => return self.close(id, reset),
                Write::Send | Write::Rest => break wants,
            }
        };
        let interest = Interest {
            read: wants.read,
            write: wants.write == Write::Send,
        };
        if let Some(connection) = self.shard.get_mut(id)
            && connection.io.interest != interest
        {
            connection.io.interest = interest;
            let rewatched = self.kernel.rewatch(&connection.io.socket, id, interest);
            if rewatched.is_err() {
                self.shard.fail(id);
                self.close(id, true);
            }
        }
    }

    fn close(&mut self, id: SlotId, reset: bool) {
        if let Some(io) = self.shard.release(id, |_| {}) {
            self.kernel.close(io.socket, reset);
        }
    }

    /// Takes in what has arrived already, then says goodbye to everyone.
    fn drain(&mut self) {
        self.drain_ends = Some(self.now + self.worker.stop.drain_timeout);
        for id in self.shard.ids() {
            if self.shard.wants(id).read {
                self.read(id);
            }
        }
        self.shard.drain(CloseCode::GOING_AWAY);
        for id in self.shard.ids() {
            self.settle(id);
        }
    }
}

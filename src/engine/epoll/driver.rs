//! What the engine decides: events to the shard's verbs, and what the shard wants to system calls.

use std::io;

use super::kernel::{Event, Interest, Kernel, Received, Token};
use crate::engine::Worker;
use crate::engine::door::Door;
use crate::engine::ended::Ended;
use crate::engine::leaving::Leaving;
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
    ended: Ended,
    leaving: Leaving,
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
            ended: Ended::default(),
            leaving: Leaving::default(),
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
        while let Some(id) = self.next_due_connection() {
            self.settle(id);
        }
        if self.leaving.begins(self.worker.stop, self.now) {
            self.drain();
        }
        if self.door.reopen(self.now) {
            self.kernel.listen(true)?;
        }
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

    /// Whether all is said: the drain is over.
    pub fn is_done(&self) -> bool {
        self.leaving.is_over(self.shard.is_empty(), self.now)
    }

    /// When something is due next; none: when something happens.
    fn next_due(&self) -> Option<Moment> {
        let next = [
            self.shard.next_due(),
            self.door.reopens(),
            self.leaving.next_due(),
        ];
        next.into_iter().flatten().min()
    }

    fn accept(&mut self, listener: u32) -> io::Result<()> {
        for _ in 0..ACCEPTS_MAX {
            if !self.shard.may_accept() {
                self.door.rest(self.now);
                return self.kernel.listen(false);
            }
            match self.kernel.accept(listener) {
                Ok(Some(socket)) => self.open(socket, listener),
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

    fn open(&mut self, socket: K::Socket, listener: u32) {
        let interest = Interest {
            read: true,
            write: false,
        };
        let entrance = self.worker.entrances[listener as usize];
        let id = self.shard.open(Io { socket, interest }, entrance);
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
        let max = self.shard.receive_bytes_max(id).min(HOT_BUFFER_BYTES);
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        let io = &connection.io;
        match self.kernel.receive(&io.socket, &mut self.hot[..max]) {
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
                    self.tell(id);
                    if let Some(connection) = self.shard.get(id) {
                        self.kernel.shut_down(&connection.io.socket);
                    }
                    self.shard.half_closed(id);
                }
                Write::Close { reset } => return self.close(id, reset),
                Write::Send | Write::Rest | Write::PutDown(_) => break wants,
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

    /// Tells why the server ends a connection, if it does.
    fn tell(&mut self, id: SlotId) {
        if let Some(cause) = self.shard.take_cause(id)
            && let Some(connection) = self.shard.get(id)
        {
            let peer = self.kernel.peer(&connection.io.socket);
            self.ended.tell(cause, peer, self.now);
        }
    }

    fn close(&mut self, id: SlotId, reset: bool) {
        self.tell(id);
        if let Some(io) = self.shard.release(id, |_| {}) {
            self.kernel.close(io.socket, reset);
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

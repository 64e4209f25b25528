//! What the engine decides: events to the shard's verbs, and what the shard wants to system calls.

use std::io;

use super::kernel::{Event, Interest, Kernel, Received, Token};
use crate::engine::state::State;
use crate::engine::{Letter, Origin, Post, Worker};
use crate::protocol::Moment;
use crate::shard::readiness::{Immediate, Wire};
use crate::shard::{Destination, Handle, Sent, Shard, SlotId, Write};

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

impl<S> Io<S> {
    fn new(socket: S) -> Self {
        let interest = Interest {
            read: true,
            write: false,
        };
        Io { socket, interest }
    }
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
    state: State<Io<K::Socket>>,
    hot: Vec<u8>,
}

impl<'a, K: Kernel> Driver<'a, K> {
    /// An engine without connections.
    ///
    /// # Errors
    /// Where listeners cannot be watched.
    pub fn new(worker: &'a Worker<'a>, mut kernel: K) -> io::Result<Self> {
        let state = State::new(worker, kernel.now());
        kernel.listen(!state.door.is_closed())?;
        Ok(Driver {
            state,
            worker,
            hot: vec![0; HOT_BUFFER_BYTES],
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
        &self.state.shard
    }

    /// One turn of the loop: waits for what happens or comes due, and acts on it.
    ///
    /// # Errors
    /// What the kernel says where the epoll instance itself fails.
    pub fn turn(&mut self) -> io::Result<()> {
        let patience = self.next_due().map(|due| due.since(self.state.now()));
        self.kernel.wait(patience)?;
        self.state.set_now(self.kernel.now());
        if let Some(open) = self.state.door_turns(self.worker.stop) {
            self.kernel.listen(open)?;
        }
        while let Some(event) = self.kernel.next_event() {
            match event.token {
                Token::Connection(id) => self.on_event(id, event),
                Token::Listener(listener) => self.accept(listener)?,
                Token::Waker => self.on_woken(),
            }
        }
        while let Some(id) = self.next_called() {
            self.settle(id);
        }
        if self.state.door.reopen(self.state.now()) {
            self.kernel.listen(true)?;
        }
        self.state.end_turn(self.worker.stop, || {});
        let kernel = &mut self.kernel;
        self.state.go_on_surveying(|io| kernel.peer(&io.socket));
        self.state.time_turn(|| kernel.now());
        Ok(())
    }

    fn on_woken(&mut self) {
        self.kernel.clear_waker();
        self.read_letters();
    }

    fn next_called(&mut self) -> Option<SlotId> {
        let kernel = &self.kernel;
        self.state
            .next_called(self.worker.stop, |io| kernel.standing(&io.socket))
    }

    /// Whether the drain is over.
    pub fn is_done(&self) -> bool {
        self.state.is_done()
    }

    /// When something is due next; none: when something happens.
    fn next_due(&self) -> Option<Moment> {
        let next = [self.state.next_due(), self.state.door.reopens()];
        next.into_iter().flatten().min()
    }

    fn accept(&mut self, listener: u32) -> io::Result<()> {
        for _ in 0..ACCEPTS_MAX {
            if self.state.door.is_closed() {
                return Ok(());
            }
            if !self.state.shard.may_accept() {
                self.state.door.rest(self.state.now());
                return self.kernel.listen(false);
            }
            match self.kernel.accept(listener) {
                Ok(Some(socket)) => self.place(socket, listener),
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.state.door.failed(&error, self.state.now());
                    if self.state.door.is_closed() {
                        return self.kernel.listen(false);
                    }
                }
            }
        }
        Ok(())
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
            Ok(id) => self.begin(id),
            Err(io) => self.kernel.close(io.socket, true),
        }
    }

    /// Begins to watch a connection.
    fn begin(&mut self, id: SlotId) {
        let Some(mut connection) = self.state.shard.at(id) else {
            return;
        };
        let io = connection.io();
        if self.kernel.watch(&io.socket, id, io.interest).is_err() {
            connection.fail();
        }
        self.settle(id);
    }

    fn on_event(&mut self, id: SlotId, event: Event) {
        let Some(mut connection) = self.state.shard.at(id) else {
            return;
        };
        if event.readable || event.broken {
            if connection.wants().read {
                read(&mut self.kernel, &mut self.hot, &mut connection);
            } else if event.broken {
                connection.fail();
            }
        }
        self.settle(id);
    }

    /// Does what the shard wants for a connection, as far as its socket lets it.
    #[inline]
    fn settle(&mut self, id: SlotId) {
        let now = self.state.now();
        let State { shard, ended, .. } = &mut self.state;
        let Some(mut connection) = shard.at(id) else {
            return;
        };
        let kernel = &mut self.kernel;
        let mut flushed = false;
        let wants = loop {
            let wants = connection.wants();
            match wants.write {
                Write::Send if !flushed => {
                    flushed = true;
                    connection.flush(&mut Line(kernel));
                    continue;
                }
                Write::Send | Write::Rest => break wants,
                Write::HalfClose | Write::PutDown(_) | Write::Close { .. } => {
                    ended.tell(&mut connection, |io| kernel.peer(&io.socket), now);
                }
            }
            match wants.write {
                Write::PutDown(to) => return self.put_down(id, to),
                Write::Close { reset } => return self.close(id, reset),
                _ => {
                    kernel.shut_down(&connection.io().socket);
                    connection.half_closed();
                }
            }
        };
        let interest = Interest {
            read: wants.read,
            write: wants.write == Write::Send,
        };
        let io = connection.io();
        if io.interest == interest {
            return;
        }
        io.interest = interest;
        if kernel.rewatch(&io.socket, id, interest).is_err() {
            connection.fail();
            self.close(id, true);
        }
    }

    fn put_down(&mut self, id: SlotId, to: Destination) {
        // Nothing is queued but what is the shard's own.
        if let Some((io, carried)) = self.state.put_down(id, |_, _| {}) {
            self.kernel.unwatch(&io.socket);
            self.kernel.post().hand_over(io.socket, carried, to);
        }
    }

    fn close(&mut self, id: SlotId, reset: bool) {
        if let Some(io) = self.state.release(id, |_| {}) {
            self.kernel.close(io.socket, reset);
        }
    }
}

/// One receive. Level-triggered: what is left is reported again.
#[inline]
fn read<K: Kernel>(kernel: &mut K, hot: &mut [u8], connection: &mut Handle<'_, Io<K::Socket>>) {
    let max = connection.receive_bytes_max().min(hot.len());
    match kernel.receive(&connection.io().socket, &mut hot[..max]) {
        Received::Bytes(count) => {
            connection.receive(&mut hot[..count], &mut Immediate(Line(kernel)));
        }
        Received::Finished => connection.peer_finished(),
        Received::Nothing => {}
        Received::Failed => connection.fail(),
    }
}

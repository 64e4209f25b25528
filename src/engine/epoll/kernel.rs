//! What the engine asks of readiness and non-blocking sockets.
//!
//! The real one is [`super::sockets::Sockets`]; the simulation in `tests/sim` is another. Nothing that
//! decides anything belongs behind this trait.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::Post;
use crate::protocol::Moment;
use crate::shard::{Sent, SlotId, Standing};

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Another thread wants to be heard.
    Waker,
    /// A listener has connections.
    Listener(u32),
    /// A connection.
    Connection(SlotId),
}

/// What a connection is watched for. Errors and hang-ups are reported in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// There is something to read, if only the peer's FIN.
    pub read: bool,
    /// There is room to write.
    pub write: bool,
}

/// What has been found. What is not acted on is reported again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub token: Token,
    /// There is something to read.
    pub readable: bool,
    /// The connection is broken, or both directions are shut.
    pub broken: bool,
}

/// What came of a receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This many bytes, at least one.
    Bytes(usize),
    /// The peer's FIN.
    Finished,
    /// Nothing yet.
    Nothing,
    /// The connection is broken.
    Failed,
}

/// An epoll instance with its listeners, its sockets and its clock.
pub trait Kernel {
    /// A non-blocking socket; dropped, it is closed.
    type Socket;

    /// The time.
    fn now(&mut self) -> Moment;

    /// Waits for events, or for `patience` to pass; without one, for events.
    ///
    /// # Errors
    /// Where the epoll instance cannot go on.
    fn wait(&mut self, patience: Option<Duration>) -> io::Result<()>;

    /// The next of the events that [`Kernel::wait`] found.
    fn next_event(&mut self) -> Option<Event>;

    /// Takes note that the waker was heard.
    fn clear_waker(&mut self);

    /// Whether listeners are watched.
    ///
    /// # Errors
    /// What the kernel says.
    fn listen(&mut self, on: bool) -> io::Result<()>;

    /// Takes a connection from a listener's queue; none if it is empty.
    ///
    /// # Errors
    /// As `accept(2)`.
    fn accept(&mut self, listener: u32) -> io::Result<Option<Self::Socket>>;

    /// Begins to watch a socket.
    ///
    /// # Errors
    /// What the kernel says.
    fn watch(&mut self, socket: &Self::Socket, id: SlotId, interest: Interest) -> io::Result<()>;

    /// Watches a socket for something else.
    ///
    /// # Errors
    /// What the kernel says.
    fn rewatch(&mut self, socket: &Self::Socket, id: SlotId, interest: Interest) -> io::Result<()>;

    /// Watches a socket no more.
    fn unwatch(&mut self, socket: &Self::Socket);

    /// What this worker has to do with others.
    fn post(&mut self) -> &mut impl Post<Self::Socket>;

    /// Receives what is there, without waiting.
    fn receive(&mut self, socket: &Self::Socket, into: &mut [u8]) -> Received;

    /// Sends what there is room for, without waiting. `more`: others follow at
    /// once, or FIN: what is sent may wait for them.
    fn send(&mut self, socket: &Self::Socket, bytes: &[u8], more: bool) -> Sent;

    /// How the peer stands. It costs system calls; of a broken socket it says nothing.
    fn standing(&self, socket: &Self::Socket) -> Standing;

    /// Sends FIN.
    fn shut_down(&mut self, socket: &Self::Socket);

    /// The address of a socket's peer; none where the connection is broken.
    fn peer(&self, socket: &Self::Socket) -> Option<SocketAddr>;

    /// Closes a socket; with `reset` the peer gets RST.
    fn close(&mut self, socket: Self::Socket, reset: bool);
}

//! What the engine asks of an io_uring: operations by name, completions by key.
//!
//! The real one is [`super::ring::Ring`]; the simulation in `tests/sim` is another. Nothing that decides
//! anything belongs behind this trait.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::Post;
use crate::protocol::Moment;
use crate::shard::{Lease, Load, SlotId, Standing};

/// What a completion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A connection was accepted by this listener, or could not be.
    Accept(u32),
    /// Another thread wants to be heard.
    Wake,
    /// Bytes for this connection.
    Receive(SlotId),
    /// Bytes of this connection have gone.
    Send(SlotId),
    /// Something whose outcome does not matter.
    Ignored,
}

/// A completion.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// What it is about.
    pub key: Key,
    /// A count, the number of a socket, or an error number below zero.
    pub result: i32,
    /// Whether the operation goes on (`IORING_CQE_F_MORE`).
    pub more: bool,
    /// The buffer that was filled (`IORING_CQE_F_BUFFER`).
    pub buffer: Option<u16>,
    /// Whether that buffer will be filled further (`IORING_CQE_F_BUF_MORE`, 6.12).
    pub buffer_more: bool,
}

/// A ring with its receive buffers, its listeners and its clock.
///
/// Operations are queued; [`Kernel::enter`] submits them. Each is answered by one completion with its key,
/// a multishot one by several of which all but the last say `more`. Two rules hold on both sides: a buffer
/// belongs to whoever submitted it until its completion, and no key may be in use twice.
pub trait Kernel {
    /// A socket; dropped, it is closed.
    type Socket;

    /// The time.
    fn now(&mut self) -> Moment;

    /// How many listeners there are.
    fn listeners(&self) -> u32;

    /// Submits what is queued and waits for a completion, or for `patience` to pass.
    ///
    /// # Errors
    /// Where the ring cannot go on.
    fn enter(&mut self, patience: Option<Duration>) -> io::Result<()>;

    /// The next of the completions that had come when [`Kernel::enter`] returned.
    fn next_completion(&mut self) -> Option<Completion>;

    /// Reports [`Key::Wake`] when another thread wants to be heard, each time.
    fn watch_waker(&mut self);

    /// Takes note that it was heard.
    fn clear_waker(&mut self);

    /// Accepts on a listener until cancelled or out of descriptors.
    fn accept(&mut self, listener: u32);

    /// Accepts one connection on a listener.
    fn accept_one(&mut self, listener: u32);

    /// Stops accepting on a listener. Connections may still come until the final completion.
    fn cancel_accept(&mut self, listener: u32);

    /// The socket that the completion of an accept names. To be called once for each.
    fn accepted(&mut self, number: u32) -> Self::Socket;

    /// Receives into provided buffers until cancelled, out of buffers (`ENOBUFS`), or the peer's FIN (0); with
    /// a `max`, once, at most so many bytes.
    fn receive(&mut self, id: SlotId, socket: &Self::Socket, max: Option<u32>);

    /// Stops receiving. Bytes may still come until the final completion.
    fn cancel_receive(&mut self, id: SlotId);

    /// Sends a piece. `wait`: until the peer's window opens, otherwise `EAGAIN` comes at once. `more`:
    /// others follow, or FIN: what is sent may wait for them.
    ///
    /// # Safety
    /// The bytes of `load` must stay as they are, and where they are, until the completion.
    unsafe fn send(
        &mut self,
        id: SlotId,
        socket: &Self::Socket,
        load: &Load,
        wait: bool,
        more: bool,
    );

    /// How the peer stands. It costs system calls; of a broken socket it says nothing.
    fn standing(&self, socket: &Self::Socket) -> Standing;

    /// Sends FIN, at once.
    fn shut_down(&mut self, socket: &Self::Socket);

    /// Cancels what is under way for a connection: its receive and its send.
    fn cancel_all(&mut self, id: SlotId, socket: &Self::Socket);

    /// What this worker has to do with others.
    fn post(&mut self) -> &mut impl Post<Self::Socket>;

    /// Closes a socket, at once; with `reset` the peer gets RST. Nothing may be under way for it.
    fn close(&mut self, socket: Self::Socket, reset: bool);

    /// The address of a socket's peer; none where the connection is broken.
    fn peer(&self, socket: &Self::Socket) -> Option<SocketAddr>;

    /// How many receive buffers there are. All of them are to be filled at first.
    fn buffers(&self) -> u16;

    /// The size of each of them, in bytes.
    fn buffer_bytes(&self) -> u32;

    /// Puts a buffer, all of it, at the end of the queue of those to be filled.
    fn provide(&mut self, buffer: u16);

    /// The bytes that the kernel has just delivered.
    ///
    /// # Safety
    /// `lease` must say what the kernel has just reported, and nothing of it may have been lent on.
    unsafe fn filled(&mut self, lease: &Lease) -> &mut [u8];

    /// The bytes of a claim.
    ///
    /// # Safety
    /// `lease` must be a claim that is counted and not handed back.
    unsafe fn claimed(&self, lease: &Lease) -> &[u8];
}

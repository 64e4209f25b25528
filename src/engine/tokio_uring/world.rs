//! The seam: everything the engine asks of the kernel, the executor and the clock.
//!
//! What is decided lies on this side of it, in `core.rs`, `connection.rs` and `serve.rs`; `kernel.rs` is
//! the other side. A test puts its own world there, under any executor of one thread.
//!
//! A world keeps these promises:
//!
//! - An operation begins when its future is first polled, and goes on until it completes; a future is not
//!   dropped before. Operations on a stream begin in the order in which they were first polled.
//! - A stream's operations may complete in any order and after any time, except that a write which
//!   completes without waiting for the peer is not reported after a read that began later.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use crate::engine::Post;
use crate::protocol::Moment;
use crate::shard::Standing;

/// What the engine runs in.
pub trait World: 'static {
    /// A socket that accepts.
    type Listener: Listener<Stream = Self::Stream>;
    /// A socket that has been accepted.
    type Stream: Stream;

    /// The time.
    fn now(&self) -> Moment;

    /// Has `task` polled until it is ready.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// What this worker has to do with others.
    fn post(&self) -> impl Post<Self::Stream>;

    /// Is ready at `due` or somewhat later.
    fn sleep_until(&self, due: Moment) -> impl Future<Output = ()>;

    /// Is ready once every task that could go on has done so, what they began has reached the kernel, and
    /// what the kernel could complete by then is about to be reported.
    fn turn(&self) -> impl Future<Output = ()>;
}

/// A socket that accepts.
pub trait Listener: 'static {
    /// What it accepts.
    type Stream: Stream;

    /// The next connection.
    ///
    /// # Errors
    /// What `accept(2)` says, or `ECANCELED`.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>>;

    /// Has an accept end that is under way, if it has not just found somebody.
    fn shut(&self);
}

/// A connected socket.
pub trait Stream: 'static {
    /// Reads into `buffer`, from its start. Says how many bytes came, 0 at the peer's FIN, and gives the
    /// buffer back.
    fn read(&self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;

    /// Writes from the start of `bytes`, and says how many went. Waits while none would.
    fn write(&self, bytes: Outgoing) -> impl Future<Output = io::Result<usize>>;

    /// The address of the peer; none where the connection is broken.
    fn peer(&self) -> Option<SocketAddr>;

    /// How the peer stands. It costs system calls; of a broken socket it says nothing.
    fn standing(&self) -> Standing;

    /// Sends FIN.
    fn half_close(&self);

    /// Has the operations end that are under way: with what they have done, or `ECANCELED`. The peer learns
    /// nothing of it.
    fn cancel(&self);

    /// Closes: with RST, or with FIN where none has been sent. Nothing is under way.
    fn close(self, reset: bool);
}

/// Bytes on their way out, wherever they lie.
#[derive(Debug)]
pub struct Outgoing {
    pub(super) start: *const u8,
    pub(super) len: usize,
}

impl Outgoing {
    /// Names `bytes`.
    ///
    /// # Safety
    /// They must stay where and as they are until the write of what is returned has completed.
    pub(super) unsafe fn new(bytes: &[u8]) -> Self {
        Outgoing {
            start: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: they stay as they are until the write has completed, by the contract of `new`, and with
        // its completion `self` is gone.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

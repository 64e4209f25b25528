//! One WebSocket connection, from its first byte to its last, without a socket.

use super::policy::Policy;
use super::reply::Reply;
use super::slab::SlabPool;
use super::tally::Tally;
use super::{CloseCode, Moment};

/// What a session may use during one call.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time.
    pub now: Moment,
    /// The operator's limits.
    pub policy: &'a Policy,
    /// The worker's slabs.
    pub slabs: &'a mut SlabPool,
    /// The worker's counters.
    pub tally: &'a Tally,
    /// How many bytes of reply beyond the lent memory the engine has room for. Only a mode that makes
    /// more bytes than it was given looks at it; it may pass it by one slab.
    pub room: usize,
    /// Whether new upgrades are refused with 503: the server is draining, or full.
    pub refusing: bool,
}

/// What the engine does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read on.
    Read,
    /// There is no room: keep the rest of the lent bytes, and offer them again when there is.
    Hold,
    /// Send what is queued, then FIN, then discard what comes until the peer's FIN or a deadline.
    HalfClose,
    /// Send what is queued, then close.
    Close,
}

/// What became of the lent bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many were taken in. Less than all only with [`Next::Hold`].
    pub consumed: usize,
    /// What the engine does next.
    pub next: Next,
}

/// Why a session is woken without bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// [`Session::deadline`] has passed.
    Deadline,
    /// The server is going down, with this code.
    Drain(CloseCode),
    /// The peer has sent its FIN.
    PeerFinished,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// A connection that was accepted at `now` and has sent nothing yet.
    pub fn open(_policy: &Policy, _now: Moment) -> Session {
        Session {}
    }

    /// Takes in what came and writes the answer over it.
    ///
    /// Afterwards the session keeps nothing of `lent`; only `reply.window` names it. `reply` must be
    /// empty when it is passed.
    pub fn receive(&mut self, _turn: &mut Turn<'_>, lent: &mut [u8], _reply: &mut Reply) -> Step {
        Step { consumed: lent.len(), next: Next::Read }
    }

    /// Goes on without bytes, for the reason given.
    pub fn resume(&mut self, _turn: &mut Turn<'_>, _why: Wake, _reply: &mut Reply) -> Next {
        Next::Read
    }

    /// When the session wants to be woken if nothing comes; none: never.
    pub fn deadline(&self) -> Option<Moment> {
        None
    }

    /// Gives back the memory it holds. To be called once, at the connection's end.
    pub fn release(&mut self, _slabs: &mut SlabPool) {}
}

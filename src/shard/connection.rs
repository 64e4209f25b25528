//! What a shard knows of one connection.

use crate::protocol::tcp_echo::TcpEcho;
use crate::protocol::{
    Moment, Next, Policy, Reply, Session, SlabChain, SlabPool, Step, Turn, Wake,
};

use super::outbox::Outbox;

/// Which protocol a shard speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 6455.
    WebSocket,
    /// The TCP echo of RFC 862.
    Tcp,
}

/// The protocol state of one connection.
#[derive(Debug)]
pub(super) enum Dialogue {
    WebSocket(Session),
    Tcp(TcpEcho),
}

impl Dialogue {
    pub(super) fn open(protocol: Protocol, policy: &Policy, now: Moment) -> Self {
        match protocol {
            Protocol::WebSocket => Dialogue::WebSocket(Session::open(policy, now)),
            Protocol::Tcp => Dialogue::Tcp(TcpEcho::open(policy, now)),
        }
    }

    #[inline]
    pub(super) fn receive(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        reply: &mut Reply,
    ) -> Step {
        match self {
            Dialogue::WebSocket(session) => session.receive(turn, lent, reply),
            Dialogue::Tcp(echo) => echo.receive(turn, lent, reply),
        }
    }

    pub(super) fn resume(&mut self, turn: &mut Turn<'_>, why: Wake, reply: &mut Reply) -> Next {
        match self {
            Dialogue::WebSocket(session) => session.resume(turn, why, reply),
            Dialogue::Tcp(echo) => echo.resume(turn, why),
        }
    }

    #[inline]
    pub(super) fn deadline(&self) -> Option<Moment> {
        match self {
            Dialogue::WebSocket(session) => session.deadline(),
            Dialogue::Tcp(echo) => echo.deadline(),
        }
    }

    pub(super) fn release(&mut self, slabs: &mut SlabPool) {
        if let Dialogue::WebSocket(session) = self {
            session.release(slabs);
        }
    }
}

/// How a connection ends once its queue is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// FIN, then wait for the peer's.
    HalfClose,
    /// Close.
    Close,
}

/// How far along its end a connection is.
///
/// ```text
/// Talking -> Flushing(HalfClose) -> Lingering -> Gone
///        \-> Flushing(Close) ------------------/
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The dialogue goes on.
    Talking,
    /// The dialogue is over; what is queued is being sent.
    Flushing(End),
    /// FIN has been sent; what comes is discarded until the peer's FIN.
    Lingering,
    /// To be closed; by a reset where bytes were lost.
    Gone { reset: bool },
}

/// One connection. `Io` is what the engine needs to reach it.
#[derive(Debug)]
pub struct Connection<Io> {
    /// The engine's part.
    pub io: Io,
    pub(super) phase: Phase,
    /// The session takes no input until there is room; it waits in `parked`.
    pub(super) held: bool,
    /// The peer's FIN has come.
    pub(super) peer_finished: bool,
    /// Over the connection limit: its upgrade will be refused.
    pub(super) surplus: bool,
    /// Queued bytes wait for the peer to read.
    pub(super) blocked: bool,
    pub(super) outbox: Outbox,
    pub(super) dialogue: Dialogue,
    pub(super) parked: SlabChain,
    /// The earliest timer entry that is out for this connection.
    pub(super) timer: Moment,
    /// When the queue last moved, or the current phase began.
    pub(super) progress: Moment,
    /// When the dialogue was over.
    pub(super) ended: Moment,
}

impl<Io> Connection<Io> {
    /// Whether FIN follows what is queued.
    pub(super) fn finishes(&self) -> bool {
        matches!(self.phase, Phase::Flushing(_))
    }
}

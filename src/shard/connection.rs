//! What a shard knows of one connection.

use crate::link::Link;
use crate::memory::{Slab, SlabChain, SlabPool};
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::guests::Guest;
use crate::protocol::tally::Stage;
use crate::protocol::tcp_echo::TcpEcho;
use crate::protocol::{Cause, Moment, Next, Policy, Reply, Session, Step, Timer, Turn, Wake};

use super::admission::Permit;
use super::outbox::Outbox;

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 6455.
    WebSocket,
    /// The TCP echo of RFC 862.
    Tcp,
}

/// What a listener says of those who come in by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// Which protocol they speak.
    pub protocol: Protocol,
    /// Whether they speak it over TLS.
    pub tls: bool,
    /// Its number among those whose connections are counted apart.
    pub number: u16,
}

/// Where a connection goes that is put down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To whoever answers ordinary HTTP.
    Http,
    /// To the worker of that number.
    Worker(u16),
    /// To the process that is to go on in the place of this one.
    Successor,
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

    /// How far it is.
    #[inline]
    pub(super) fn stage(&self) -> Stage {
        match self {
            Dialogue::WebSocket(session) => session.stage(),
            Dialogue::Tcp(_) => Stage::Open,
        }
    }

    /// What the deadline is for.
    pub(super) fn timer(&self) -> Timer {
        match self {
            Dialogue::WebSocket(session) => session.timer(),
            Dialogue::Tcp(_) => Timer::Idle,
        }
    }

    /// The peer gave a sign of life: silence counts from now.
    pub(super) fn heard(&mut self, policy: &Policy, now: Moment) {
        match self {
            Dialogue::WebSocket(session) => session.heard(policy, now),
            Dialogue::Tcp(echo) => echo.heard(policy, now),
        }
    }

    /// Writes how far it is.
    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Dialogue::WebSocket(session) => {
                writer.u8(0);
                session.write(writer);
            }
            Dialogue::Tcp(echo) => {
                writer.u8(1);
                echo.write(writer);
            }
        }
    }

    /// Reads what [`Dialogue::write`] wrote.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        policy: &Policy,
        slabs: &mut SlabPool,
    ) -> Result<Self, Damage> {
        match reader.u8("protocol")? {
            0 => Session::read(reader, policy, slabs).map(Dialogue::WebSocket),
            1 => TcpEcho::read(reader).map(Dialogue::Tcp),
            _ => Err(Damage::value("protocol")),
        }
    }

    /// What it holds of a request that is to be answered by somebody else.
    pub(super) fn take_held(&mut self) -> Option<Box<Slab>> {
        match self {
            Dialogue::WebSocket(session) => session.take_held(),
            Dialogue::Tcp(_) => None,
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

/// How a peer's TCP stands, as far as the kernel can tell: all zero for a broken connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many bytes it has acknowledged, which only grows. Whether the peer has read them is not told.
    pub acknowledged: u64,
    /// Whether it has still to acknowledge something that the kernel was given.
    pub outstanding: bool,
    /// How many bytes have come from it so far, received or not. Its FIN counts as one (RFC 9293, section 3.4).
    pub received: u64,
    /// Whether its FIN has come.
    pub finished: bool,
}

/// One connection. `Io` is what the engine needs to reach it.
#[derive(Debug)]
pub struct Connection<Io> {
    /// The engine's part.
    pub io: Io,
    pub(super) phase: Phase,
    /// It is to be put down, for whoever is to pick it up.
    pub(super) leaving: Option<Destination>,
    /// By which entrance it came in ([`Entrance::number`]).
    pub(super) entrance: u16,
    /// It stays in this process: its successor would not have it.
    pub(super) stays: bool,
    /// The session takes no input until there is room; it waits in `parked`.
    pub(super) held: bool,
    /// What waits in `parked` waits for another turn, whatever room there is.
    pub(super) yields: bool,
    /// The peer's FIN has come.
    pub(super) peer_finished: bool,
    /// It came when the server was going down already.
    pub(super) late: bool,
    /// Queued bytes wait for the peer to read.
    pub(super) blocked: bool,
    /// How many times the queue's limit has been doubled, since the peer writes and does not read.
    pub(super) doublings: u8,
    /// How often it was looked at since then and found reading, with as much queued as it may have.
    pub(super) found_reading: u8,
    /// How often it was looked at since it last made progress.
    pub(super) unmoved: u8,
    /// How often a deadline was put off, since something had come that was not taken in.
    pub(super) put_off: u8,
    /// Something had not been acknowledged when the peer was last looked at, or was queued since.
    pub(super) owed: bool,
    /// Something has been taken in since it was last looked at.
    pub(super) said: bool,
    /// Why the server ends it, until that has been reported.
    pub(super) cause: Option<Cause>,
    /// Its place among the connections there may be; none: it is over the limit, and its upgrade is refused.
    pub(super) permit: Option<Permit>,
    /// What lies between the wire and the dialogue; none: nothing. The queue is what goes on the wire, what is parked
    /// is what the dialogue gets.
    pub(super) link: Option<Box<Link>>,
    /// Whoever is at the other end; none: nothing is to be known of it.
    pub(super) guest: Option<Box<Guest>>,
    pub(super) outbox: Outbox,
    pub(super) dialogue: Dialogue,
    pub(super) parked: SlabChain,
    /// The earliest timer entry that is out for this connection.
    pub(super) timer: Moment,
    /// When the peer was last seen to have acknowledged or said something, or when `owed` last changed.
    pub(super) progress: Moment,
    /// [`Standing::acknowledged`] when it was last looked at.
    pub(super) acknowledged: u64,
    /// How much it kept when it was last entered among the keepers, in bytes.
    pub(super) ranked: u32,
    /// Bytes taken in so far.
    pub(super) taken_in: u64,
    /// How many of its bytes are answered before it is told that the server goes down: those that had come when
    /// that began.
    pub(super) last_words: u64,
}

impl<Io> Connection<Io> {
    /// One of which nothing is known yet.
    pub(super) fn new(io: Io, dialogue: Dialogue, now: Moment) -> Self {
        Connection {
            io,
            phase: Phase::Talking,
            leaving: None,
            entrance: 0,
            stays: false,
            held: false,
            yields: false,
            peer_finished: false,
            late: false,
            blocked: false,
            doublings: 0,
            found_reading: 0,
            unmoved: 0,
            put_off: 0,
            owed: false,
            cause: None,
            permit: None,
            link: None,
            guest: None,
            outbox: Outbox::default(),
            dialogue,
            parked: SlabChain::default(),
            timer: Moment::NEVER,
            progress: now,
            acknowledged: 0,
            said: false,
            ranked: 0,
            taken_in: 0,
            last_words: 0,
        }
    }

    /// The memory that is kept until the peer reads, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        // What is under way to a peer that keeps up lies in an engine's buffers, or will in a moment.
        let queued = if self.blocked { self.outbox.cost() } else { 0 };
        let unfinished = self.link.as_ref().map_or(0, |link| link.counted.queued());
        queued + self.parked.cost() + unfinished
    }

    /// Whether it may be put down for another process: what a link has agreed on stays in this one.
    pub fn is_portable(&self) -> bool {
        let is_gone = matches!(self.phase, Phase::Gone { .. });
        self.link.is_none() && !is_gone && !self.stays && self.leaving.is_none()
    }

    /// Whether its dialogue goes on here.
    #[inline]
    pub(super) fn talks(&self) -> bool {
        self.phase == Phase::Talking && self.leaving.is_none()
    }

    /// Whether there is no place for it among the connections of its source.
    pub(super) fn is_turned_away(&self) -> bool {
        self.guest
            .as_ref()
            .is_some_and(|guest| guest.is_turned_away())
    }

    /// Whether its handshake is over.
    pub fn is_open(&self) -> bool {
        self.dialogue.timer() != Timer::Handshake
    }

    /// What waits with it, to be taken in or to be sent, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.bytes() + self.parked.byte_count()
    }

    /// Whether the peer does not keep up with what it is sent.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.blocked
    }

    /// Whether FIN follows what is queued.
    pub(super) fn finishes(&self) -> bool {
        matches!(self.phase, Phase::Flushing(_)) && self.leaving.is_none()
    }
}

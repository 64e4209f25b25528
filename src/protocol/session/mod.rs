//! One WebSocket connection, from its first byte to its last, without a socket.
//!
//! | file | what it answers |
//! |---|---|
//! | `head.rs` | the upgrade request |
//! | `echo.rs` | frames, written over themselves |
//! | `prefix.rs` | messages that grow by a prefix |
//! | `control.rs` | Ping, Pong, Close |
//! | `inbound.rs` | where in a frame and a message the peer is |
//! | `window.rs` | the reply as it grows over the request |

mod control;
mod echo;
mod head;
mod inbound;
mod prefix;
mod window;

use std::time::Duration;

use super::close::{Cause, CloseCode, Ending, Violation};
use super::frame::{FIN, PING, ServerHeader, TEXT};
use super::handshake::Refusal;
use super::moment::Moment;
use super::policy::{GreetingAfter, Policy};
use super::reply::{Piece, Reply};
use super::tally::Tally;
use crate::memory::slab::{Slab, SlabPool};
use control::PartialControl;
use inbound::Inbound;
use prefix::Decoder;

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
    /// Why the session ends the connection, where it is not the peer that ends it.
    pub cause: Option<Cause>,
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
    /// The request is ordinary HTTP and belongs to another owner, all of it.
    HandOver,
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

/// What a session's deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The end of the request head.
    Handshake,
    /// The greeting.
    Greeting,
    /// The peer's silence.
    Idle,
    /// The end of the frame that a drain waits for.
    Drain,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The request head is not whole.
    Head,
    /// Upgraded; the greeting is still to be sent.
    Greeting,
    /// Frames.
    Open,
    /// A Close or a refusal has been sent: nothing more comes from here.
    Ended,
}

/// How a run over some lent bytes ended.
#[derive(Clone, Copy, Debug)]
enum Flow {
    /// All of them are taken in.
    Read,
    /// The reply has no more room.
    Hold,
    /// A Close was answered, or an overdue one was sent.
    Ended,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Session {
    stage: Stage,
    /// A ping is out, or was due while an open reply frame left no place for it.
    pinged: bool,
    /// A reply frame is open whose header promised bytes that have not come: nothing else can be sent.
    cut_open: bool,
    /// What to close with once the open reply frame has ended.
    close_due: Option<Ending>,
    /// What is held is the first fragment of an answer (in the mode that answers with a prefix).
    first_fragment: bool,
    deadline: Moment,
    inbound: Inbound,
    /// Payload held until its frame, or a fragment of it, is whole; in the handshake, the head.
    held: Option<Box<Slab>>,
    /// A control frame of which a part has come.
    control: Option<Box<PartialControl>>,
    /// Turns binary into text, in the mode that answers with a prefix.
    decoder: Option<Box<Decoder>>,
}

/// How long a draining server waits for the end of what a peer is amid: a request, to answer it with 503, or a
/// frame whose reply is open, to send a Close behind it.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

impl Session {
    /// A connection that was accepted at `now` and has sent nothing yet.
    pub fn open(policy: &Policy, now: Moment) -> Session {
        Session {
            stage: Stage::Head,
            pinged: false,
            cut_open: false,
            close_due: None,
            first_fragment: false,
            deadline: now + policy.handshake_timeout,
            inbound: Inbound::default(),
            held: None,
            control: None,
            decoder: None,
        }
    }

    /// Takes in what came and writes the answer over it.
    ///
    /// Afterwards the session keeps nothing of `lent`; only `reply.window` names it. `reply` must be
    /// empty when it is passed.
    pub fn receive(&mut self, turn: &mut Turn<'_>, lent: &mut [u8], reply: &mut Reply) -> Step {
        let mut from = 0;
        if self.stage == Stage::Head {
            match self.receive_head(turn, lent, reply) {
                Ok(Some(head_len)) => from = head_len,
                Ok(None) => {
                    return Step {
                        consumed: lent.len(),
                        next: Next::Read,
                    };
                }
                Err(refusal) => {
                    let next = self.refuse(turn, &refusal, lent, reply);
                    return Step {
                        consumed: lent.len(),
                        next,
                    };
                }
            }
            if from == lent.len() {
                return Step {
                    consumed: from,
                    next: Next::Read,
                };
            }
        }
        if self.stage == Stage::Ended {
            return Step {
                consumed: lent.len(),
                next: Next::HalfClose,
            };
        }
        if self.stage == Stage::Greeting {
            self.greet(turn, reply);
        }
        self.heard(turn.policy, turn.now);
        if turn.policy.prefix.is_some() {
            self.answer_with_prefix(turn, lent, from, reply)
        } else {
            self.echo(turn, lent, from, reply)
        }
    }

    /// Goes on without bytes, for the reason given.
    pub fn resume(&mut self, turn: &mut Turn<'_>, why: Wake, reply: &mut Reply) -> Next {
        match (why, self.stage) {
            (_, Stage::Ended) => Next::HalfClose,
            (Wake::PeerFinished, _) => {
                self.stage = Stage::Ended;
                Next::Close
            }
            (Wake::Deadline, Stage::Head) => {
                turn.tally.timeouts.add(1);
                let refusal = if turn.refusing {
                    Refusal::Unavailable
                } else {
                    Refusal::Timeout
                };
                self.refuse(turn, &refusal, &[], reply)
            }
            (Wake::Deadline, Stage::Greeting) => {
                self.greet(turn, reply);
                self.heard(turn.policy, turn.now);
                Next::Read
            }
            (Wake::Deadline, Stage::Open) => self.silent(turn, reply),
            (Wake::Drain(_), Stage::Head) => {
                self.deadline = self.deadline.min(turn.now + DRAIN_PATIENCE);
                Next::Read
            }
            (Wake::Drain(code), Stage::Greeting | Stage::Open) => {
                let ending = Ending::Drain(code);
                if self.close_due.is_some() {
                    return Next::Read;
                }
                if self.cut_open {
                    self.close_due = Some(ending);
                    self.deadline = turn.now + DRAIN_PATIENCE;
                    return Next::Read;
                }
                self.finish(ending, reply, turn)
            }
        }
    }

    /// What the deadline is for.
    pub fn timer(&self) -> Timer {
        match self.stage {
            Stage::Head => Timer::Handshake,
            Stage::Greeting => Timer::Greeting,
            Stage::Open if self.close_due.is_some() => Timer::Drain,
            Stage::Open | Stage::Ended => Timer::Idle,
        }
    }

    /// When the session wants to be woken if nothing comes; none: never.
    pub fn deadline(&self) -> Option<Moment> {
        (self.deadline < Moment::NEVER && self.stage != Stage::Ended).then_some(self.deadline)
    }

    /// Writes it down, to be read elsewhere.
    pub fn write(&self, writer: &mut super::carried::Writer) {
        let _ = writer;
    }

    /// Reads what [`Session::write`] wrote.
    ///
    /// # Errors
    /// Where it is not a session.
    pub fn read(
        _: &mut super::carried::Reader<'_>,
        _: &Policy,
        _: &mut SlabPool,
    ) -> Result<Self, super::carried::Damage> {
        Err(super::carried::Damage::value("session"))
    }

    /// What is held of a head that another owner is to answer.
    pub fn take_held(&mut self) -> Option<Box<Slab>> {
        self.held.take()
    }

    /// Gives back the memory it holds. To be called at the connection's end.
    pub fn release(&mut self, slabs: &mut SlabPool) {
        if let Some(slab) = self.held.take() {
            slabs.give(slab);
        }
    }

    /// Sends the greeting, as the first frame.
    fn greet(&mut self, turn: &mut Turn<'_>, reply: &mut Reply) {
        self.stage = Stage::Open;
        if let Some(greeting) = &turn.policy.greeting {
            let mut slab = turn.slabs.take(greeting.len());
            slab.append(greeting.as_bytes());
            let length = slab.len() as u64;
            slab.prepend(ServerHeader::new(FIN | TEXT, length).as_slice());
            reply.before.append_slab(slab, turn.slabs);
        }
    }

    /// The peer gave a sign of life: silence counts from now.
    #[inline]
    pub fn heard(&mut self, policy: &Policy, now: Moment) {
        self.pinged = false;
        if self.close_due.is_some() {
            return;
        }
        self.deadline = match policy.idle_timeout {
            Some(idle) => now + idle / 2,
            None => Moment::NEVER,
        };
    }

    /// The peer has been silent for half the idle timeout, or for all of it.
    fn silent(&mut self, turn: &mut Turn<'_>, reply: &mut Reply) -> Next {
        if self.pinged || self.close_due.is_some() {
            turn.tally.timeouts.add(1);
            let ending = self.close_due.take().unwrap_or(Ending::Idle);
            return self.finish(ending, reply, turn);
        }
        self.pinged = true;
        self.deadline = turn.now + turn.policy.idle_timeout.unwrap_or(Duration::MAX) / 2;
        if !self.cut_open {
            reply.before.append(&[FIN | PING, 0], turn.slabs);
        }
        Next::Read
    }

    /// Ends the session: with `ending` where a Close can be sent, with FIN alone where a reply frame is
    /// open and promises bytes that will not come.
    fn finish(&mut self, ending: Ending, reply: &mut Reply, turn: &mut Turn<'_>) -> Next {
        self.stage = Stage::Ended;
        self.release(turn.slabs);
        // A drain ends all, and is told once.
        if !matches!(ending, Ending::Drain(_)) {
            turn.cause = Some(Cause::Closed(ending));
        }
        if !self.cut_open {
            control::append_close(ending, &mut reply.after, turn);
        }
        Next::HalfClose
    }

    /// What the engine is told after a run over lent bytes.
    fn conclude(
        &mut self,
        turn: &mut Turn<'_>,
        outcome: Result<Flow, Violation>,
        reply: &mut Reply,
    ) -> Next {
        match outcome {
            Ok(Flow::Read) => Next::Read,
            Ok(Flow::Hold) => Next::Hold,
            Ok(Flow::Ended) => {
                self.stage = Stage::Ended;
                Next::HalfClose
            }
            Err(violation) => {
                turn.tally.violations.add(1);
                self.finish(Ending::Violation(violation), reply, turn)
            }
        }
    }

    /// How the greeting goes out, right after the 101 was written into `switching`.
    fn schedule_greeting(&mut self, turn: &mut Turn<'_>, reply: &mut Reply) {
        self.heard(turn.policy, turn.now);
        self.stage = Stage::Greeting;
        if turn.policy.greeting.is_none() {
            self.stage = Stage::Open;
            return;
        }
        match turn.policy.greeting_after {
            GreetingAfter::Handshake => self.greet(turn, reply),
            // Not due in this turn, and so in the next.
            GreetingAfter::Turn => self.deadline = turn.now + Duration::from_nanos(1),
            GreetingAfter::Delay(delay) => self.deadline = turn.now + delay,
        }
    }
}

impl Piece {
    /// Appends a Pong or another short frame.
    fn append_frame(&mut self, first: u8, payload: &[u8], slabs: &mut SlabPool) {
        let header = ServerHeader::new(first, payload.len() as u64);
        let mut slab = slabs.take(header.as_slice().len() + payload.len());
        slab.append(header.as_slice());
        slab.append(payload);
        self.append_slab(slab, slabs);
    }

    /// Appends a slab, into the last one where it fits.
    fn append_slab(&mut self, slab: Box<Slab>, slabs: &mut SlabPool) {
        if let Piece::Slabs(chain) = self
            && let Some(last) = chain.last_mut()
            && last.room() >= slab.len()
        {
            last.append(slab.bytes());
            slabs.give(slab);
            return;
        }
        self.push(slab);
    }
}

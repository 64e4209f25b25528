//! One WebSocket connection, from its first byte to its last, without a socket.
//!
//! ```text
//! Head -> Open -> Ended      a 101, then a Close
//!     \---------> Ended      a refusal
//!     \                      handed over, for somebody else to answer
//! ```
//!
//! | file | what it answers |
//! |---|---|
//! | `head.rs` | the upgrade request |
//! | `open.rs` | greeting, silence, drain: all that is not about the bytes of a frame |
//! | `inbound.rs`, `inbound_carried.rs` | where in a frame and a message the peer is |
//! | `echo.rs` | frames, written over themselves |
//! | `deflated.rs` | compressed text, looked at |
//! | `prefix.rs` | messages that grow by a prefix |
//! | `lossy.rs` | bytes that become text |
//! | `control.rs` | Ping, Pong, Close |
//! | `window.rs` | the reply as it grows over the request |

mod control;
mod deflated;
mod echo;
mod head;
mod inbound;
mod inbound_carried;
mod lossy;
mod open;
mod prefix;
mod window;

use super::carried::{Damage, Reader, Writer};
use super::close::{Cause, CloseCode};
use super::guests::{Guest, Visit};
use super::inflate::Inflaters;
use super::moment::Moment;
use super::policy::Policy;
use super::reply::Reply;
use super::tally::{Stage, Tally};
use crate::memory::slab::{Slab, SlabPool};
use head::{Head, Outcome};
use open::Open;

/// What compressed text may cost in one turn of a connection, in inflated bytes; `deflated.rs` says what else counts.
pub const INFLATION_BYTES_MAX: usize = 256 * 1024;

/// What a session may use during one call.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time.
    pub now: Moment,
    /// The operator's limits.
    pub policy: &'a Policy,
    /// The worker's slabs.
    pub slabs: &'a mut SlabPool,
    /// What the worker inflates compressed text with.
    pub inflaters: &'a mut Inflaters,
    /// The worker's counters.
    pub tally: &'a Tally,
    /// How many bytes of reply beyond the lent memory the engine has room for. Only a mode that makes
    /// more bytes than it was given looks at it; it may pass it by one slab.
    pub room: usize,
    /// What compressed text may still cost, in inflated bytes, before others have their turn:
    /// [`INFLATION_BYTES_MAX`], less what it has. A session passes it by half a mebibyte at most.
    pub inflation: usize,
    /// Whether new upgrades are refused with 503: the server is draining, or full.
    pub refusing: bool,
    /// Whether TLS is spoken under it, which an address that it names has to say.
    pub over_tls: bool,
    /// Whoever is at the other end, where something is to be known of it.
    pub guest: Option<&'a mut Guest>,
    /// Why the session ends the connection, where it is not the peer that ends it.
    pub cause: Option<Cause>,
}

impl Turn<'_> {
    /// What is to be told of the connection at its end, where something is.
    fn visit(&mut self) -> Option<&mut Visit> {
        self.guest.as_deref_mut()?.visit.as_mut()
    }
}

/// What the engine does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read on.
    Read,
    /// The request is ordinary HTTP and belongs to another owner, all of it: what [`Session::take_held`] returns,
    /// and behind that the lent bytes, of which none are taken in.
    HandOver,
    /// There is no room: keep the rest of the lent bytes, and offer them again when there is.
    Hold,
    /// Others have their turn: keep the rest of the lent bytes, and offer them again in a later one.
    Yield,
    /// Send what is queued, then FIN, then discard what comes until the peer's FIN or a deadline.
    HalfClose,
    /// Send what is queued, then close.
    Close,
}

/// What became of the lent bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many were taken in. Less than all only with [`Next::Hold`], [`Next::Yield`] and [`Next::HandOver`].
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

/// One connection.
#[derive(Debug)]
pub struct Session {
    state: State,
}

/// How far a connection has come, with what belongs to that stage and no other.
#[derive(Debug)]
enum State {
    /// The request head is not whole.
    Head(Head),
    /// Upgraded: frames.
    Open(Open),
    /// A Close or a refusal has been sent, or the peer's FIN has come: nothing more comes from here.
    Ended,
}

/// An idle connection may take 256 bytes in all.
const _: () = assert!(size_of::<Session>() <= 96);

impl Session {
    /// A connection that was accepted at `now` and has sent nothing yet.
    pub fn open(policy: &Policy, now: Moment) -> Session {
        Session {
            state: State::Head(Head::new(policy, now)),
        }
    }

    /// A connection whose upgrade somebody else answered at `now`: a plain echo from its first frame on, without
    /// greeting or prefix.
    pub fn upgraded(policy: &Policy, now: Moment) -> Session {
        Session {
            state: State::Open(Open::echo(policy, now)),
        }
    }

    /// Takes in what came and writes the answer over it.
    ///
    /// Afterwards the session keeps nothing of `lent`; only `reply.window` names it. `reply` must be
    /// empty when it is passed.
    pub fn receive(&mut self, turn: &mut Turn<'_>, lent: &mut [u8], reply: &mut Reply) -> Step {
        let mut from = 0;
        if let State::Head(_) = self.state {
            match self.receive_head(turn, lent, reply) {
                Ok(head_len) => from = head_len,
                Err(step) => return step,
            }
        }
        let State::Open(open) = &mut self.state else {
            return all(lent, Next::HalfClose);
        };
        let step = open.receive(turn, lent, from, reply);
        if step.next == Next::HalfClose {
            self.state = State::Ended;
        }
        step
    }

    /// How far it is.
    #[inline]
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Head(_) => Stage::Handshake,
            State::Open(_) => Stage::Open,
            State::Ended => Stage::Closing,
        }
    }

    /// Takes in a head, or a part of one. Returns where the frames begin, if there are some behind it.
    ///
    /// Not inlined: the frames of all other calls should not be held up by what a head needs.
    #[inline(never)]
    fn receive_head(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        reply: &mut Reply,
    ) -> Result<usize, Step> {
        let State::Head(head) = &mut self.state else {
            return Ok(0);
        };
        match head.receive(turn, lent, reply) {
            Outcome::More => Err(all(lent, Next::Read)),
            Outcome::Refuse(refusal) => {
                head.refuse(turn, refusal, lent, reply);
                self.state = State::Ended;
                Err(all(lent, Next::HalfClose))
            }
            Outcome::HandOver => Err(Step {
                consumed: 0,
                next: Next::HandOver,
            }),
            Outcome::Upgrade {
                head_len,
                manner,
                deflates,
            } => {
                if let Some(visit) = turn.visit() {
                    visit.note_upgrade();
                }
                let open = Open::new(manner, deflates, turn, reply);
                self.state = State::Open(open);
                if head_len == lent.len() {
                    Err(all(lent, Next::Read))
                } else {
                    Ok(head_len)
                }
            }
        }
    }

    /// Goes on without bytes, for the reason given.
    pub fn resume(&mut self, turn: &mut Turn<'_>, why: Wake, reply: &mut Reply) -> Next {
        let next = match (&mut self.state, why) {
            (State::Ended, _) => Next::HalfClose,
            (_, Wake::PeerFinished) => {
                self.release(turn.slabs);
                Next::Close
            }
            (State::Head(head), Wake::Deadline) => head.expire(turn, reply),
            (State::Head(head), Wake::Drain(_)) => head.hasten(turn.now),
            (State::Open(open), Wake::Deadline) => open.pass_deadline(turn, reply),
            (State::Open(open), Wake::Drain(code)) => open.drain(turn, code, reply),
        };
        if next == Next::HalfClose {
            self.state = State::Ended;
        }
        next
    }

    /// What the deadline is for.
    pub fn timer(&self) -> Timer {
        match &self.state {
            State::Head(_) => Timer::Handshake,
            State::Open(open) => open.timer(),
            State::Ended => Timer::Idle,
        }
    }

    /// When the session wants to be woken if nothing comes; none: never.
    pub fn deadline(&self) -> Option<Moment> {
        let due = match &self.state {
            State::Head(head) => head.deadline(),
            State::Open(open) => open.deadline(),
            State::Ended => Moment::NEVER,
        };
        (due < Moment::NEVER).then_some(due)
    }

    /// The peer gave a sign of life: silence counts from now.
    #[inline]
    pub fn heard(&mut self, policy: &Policy, now: Moment) {
        if let State::Open(open) = &mut self.state {
            open.heard(policy, now);
        }
    }

    /// Writes down how far it is, for another owner to go on.
    pub fn write(&self, writer: &mut Writer) {
        match &self.state {
            State::Head(head) => {
                writer.u8(0);
                head.write(writer);
            }
            State::Open(open) => {
                writer.u8(1);
                open.write(writer);
            }
            State::Ended => writer.u8(2),
        }
    }

    /// Reads what [`Session::write`] wrote. What has been agreed on stays, whatever `policy` says now: the manner
    /// and the deadline that is set.
    ///
    /// # Errors
    /// Where that is no state that a session can be in. No memory of `slabs` is kept then.
    pub fn read(
        reader: &mut Reader<'_>,
        policy: &Policy,
        slabs: &mut SlabPool,
    ) -> Result<Self, Damage> {
        let state = match reader.u8("session")? {
            0 => State::Head(Head::read(reader, slabs)?),
            1 => State::Open(Open::read(reader, policy, slabs)?),
            2 => State::Ended,
            _ => return Err(Damage::value("session")),
        };
        Ok(Session { state })
    }

    /// What is held of a head that another owner is to answer.
    pub fn take_held(&mut self) -> Option<Box<Slab>> {
        match &mut self.state {
            State::Head(head) => head.take_held(),
            State::Open(_) | State::Ended => None,
        }
    }

    /// Gives back the memory it holds: nothing more comes from it. To be called at the connection's end.
    pub fn release(&mut self, slabs: &mut SlabPool) {
        match &mut self.state {
            State::Head(head) => head.release(slabs),
            State::Open(open) => open.release(slabs),
            State::Ended => {}
        }
        self.state = State::Ended;
    }
}

/// All of the lent bytes are taken in.
fn all(lent: &[u8], next: Next) -> Step {
    Step {
        consumed: lent.len(),
        next,
    }
}

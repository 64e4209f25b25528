//! An upgraded connection: its manner, and what it waits for.

use std::sync::Arc;
use std::time::Duration;

use crate::memory::slab::SlabPool;
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::close::{Cause, CloseCode, Ending, Violation};
use crate::protocol::frame::{FIN, PING, ServerHeader, TEXT};
use crate::protocol::moment::Moment;
use crate::protocol::policy::{GreetingAfter, Policy};
use crate::protocol::reply::Reply;
use crate::protocol::tally::{Opcode, Waited};

use super::inbound::{Inbound, Unfinished};
use super::prefix::Prefix;
use super::{Next, Step, Timer, Turn, control};

/// How long a drain waits for the end of a frame whose reply is open, to send a Close behind it.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// How messages are answered: decided at the upgrade, for as long as the connection lasts.
#[derive(Debug)]
pub(super) enum Manner {
    /// By themselves.
    Echo,
    /// As text, with a prefix.
    Prefix(Box<Prefix>),
}

impl Manner {
    fn write(&self, writer: &mut Writer) {
        match self {
            Manner::Echo => writer.u8(0),
            Manner::Prefix(prefix) => {
                writer.u8(1);
                prefix.write(writer);
            }
        }
    }

    fn read(reader: &mut Reader<'_>, policy: &Policy) -> Result<Self, Damage> {
        match reader.u8("manner")? {
            0 => Ok(Manner::Echo),
            1 => Ok(Manner::Prefix(Box::new(Prefix::read(reader, policy)?))),
            _ => Err(Damage::value("manner")),
        }
    }

    /// What the operator wants of new connections.
    pub(super) fn of(policy: &Policy) -> Self {
        match &policy.prefix {
            None => Manner::Echo,
            Some(text) => Manner::Prefix(Box::new(Prefix::new(Arc::clone(text)))),
        }
    }
}

/// What is to happen next if the peer says nothing, and when.
#[derive(Clone, Copy, Debug)]
enum Awaits {
    /// The greeting goes out, or before that with the first answer.
    Greeting { due: Moment },
    /// A ping goes out; if `pinged`, the peer is given up. A ping that was due while an open reply frame left
    /// no place for it counts as one.
    Idle { due: Moment, pinged: bool },
    /// The connection ends without a Close. If the open reply frame has ended before, a Close with this code
    /// follows it.
    Drain { due: Moment, code: CloseCode },
}

impl Awaits {
    fn write(self, writer: &mut Writer) {
        match self {
            Awaits::Greeting { due } => {
                writer.u8(0);
                writer.until(due);
            }
            Awaits::Idle { due, pinged } => {
                writer.u8(1);
                writer.until(due);
                writer.flag(pinged);
            }
            Awaits::Drain { due, code } => {
                writer.u8(2);
                writer.until(due);
                writer.u16(code.to_wire());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let kind = reader.u8("awaits")?;
        let due = reader.until("deadline")?;
        match kind {
            0 => Ok(Awaits::Greeting { due }),
            1 => Ok(Awaits::Idle {
                due,
                pinged: reader.flag("pinged")?,
            }),
            2 => {
                let code = CloseCode::from_wire(reader.u16("drain code")?);
                let code = code.ok_or(Damage::value("drain code"))?;
                Ok(Awaits::Drain { due, code })
            }
            _ => Err(Damage::value("awaits")),
        }
    }
}

/// An upgraded connection.
#[derive(Debug)]
pub(super) struct Open {
    awaits: Awaits,
    manner: Manner,
    inbound: Inbound,
}

/// How a run over some lent bytes ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flow {
    /// All of them are taken in.
    Read,
    /// The reply has no more room; so many of the bytes are left.
    Hold { rest: usize },
    /// Enough is done for one turn; so many of the bytes are left.
    Yield { rest: usize },
    /// A Close was answered.
    Closed,
}

impl Open {
    /// A plain echo whose head was answered elsewhere.
    pub(super) fn echo(policy: &Policy, now: Moment) -> Self {
        Open {
            awaits: silence(policy, now),
            manner: Manner::Echo,
            inbound: Inbound::default(),
        }
    }

    /// A connection whose head has just been answered with a 101. `deflates`: it agrees on permessage-deflate.
    pub(super) fn new(
        manner: Manner,
        deflates: bool,
        turn: &mut Turn<'_>,
        reply: &mut Reply,
    ) -> Self {
        let mut open = Open {
            awaits: silence(turn.policy, turn.now),
            manner,
            inbound: Inbound::new(deflates),
        };
        if turn.policy.greeting.is_some() {
            let due = match turn.policy.greeting_after {
                GreetingAfter::Handshake => {
                    greet(turn, reply);
                    return open;
                }
                // Not due in this turn, and so in the next.
                GreetingAfter::Turn => turn.now + Duration::from_nanos(1),
                GreetingAfter::Delay(delay) => turn.now + delay,
            };
            open.awaits = Awaits::Greeting { due };
        }
        open
    }

    /// Answers `lent[from..]`.
    pub(super) fn receive(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        from: usize,
        reply: &mut Reply,
    ) -> Step {
        let mut end = lent.len();
        match self.awaits {
            Awaits::Idle { .. } => self.awaits = silence(turn.policy, turn.now),
            Awaits::Greeting { .. } => {
                greet(turn, reply);
                self.awaits = silence(turn.policy, turn.now);
            }
            Awaits::Drain { .. } => end = self.end_of_frame(from, end),
        }
        let outcome = match &mut self.manner {
            Manner::Echo => self.inbound.echo(turn, &mut lent[..end], from, reply),
            Manner::Prefix(prefix) => self.inbound.answer(prefix, turn, lent, from, reply),
        };
        let mut consumed = lent.len();
        let next = match outcome {
            Ok(Flow::Read) => match self.awaits {
                Awaits::Drain { code, .. } if !self.inbound.is_reply_open() => {
                    self.close(turn, Ending::Drain(code), reply)
                }
                _ => Next::Read,
            },
            Ok(Flow::Hold { rest }) => {
                consumed -= rest;
                Next::Hold
            }
            Ok(Flow::Yield { rest }) => {
                consumed -= rest;
                Next::Yield
            }
            Ok(Flow::Closed) => Next::HalfClose,
            Err(violation) => self.fail(turn, violation, reply),
        };
        Step { consumed, next }
    }

    /// The deadline has passed.
    pub(super) fn pass_deadline(&mut self, turn: &mut Turn<'_>, reply: &mut Reply) -> Next {
        match self.awaits {
            Awaits::Greeting { .. } => {
                greet(turn, reply);
                self.awaits = silence(turn.policy, turn.now);
                Next::Read
            }
            Awaits::Idle { pinged: false, .. } => {
                let idle = turn.policy.idle_timeout.unwrap_or(Duration::MAX);
                self.awaits = Awaits::Idle {
                    due: turn.now + idle / 2,
                    pinged: true,
                };
                if !self.inbound.is_reply_open() {
                    reply.before.append(&[FIN | PING, 0], turn.slabs);
                    control::count_sent(turn.tally, Opcode::Ping, 0);
                }
                Next::Read
            }
            Awaits::Idle { pinged: true, .. } => {
                turn.tally.timeouts.at(Waited::Idle).add(1);
                self.close(turn, Ending::Idle, reply)
            }
            Awaits::Drain { code, .. } => {
                turn.tally.timeouts.at(Waited::Drain).add(1);
                self.close(turn, Ending::Drain(code), reply)
            }
        }
    }

    /// The server is going down: says so, but not within an open reply frame.
    pub(super) fn drain(
        &mut self,
        turn: &mut Turn<'_>,
        code: CloseCode,
        reply: &mut Reply,
    ) -> Next {
        if matches!(self.awaits, Awaits::Drain { .. }) {
            return Next::Read;
        }
        if self.inbound.is_reply_open() {
            let due = turn.now + DRAIN_PATIENCE;
            self.awaits = Awaits::Drain { due, code };
            return Next::Read;
        }
        self.close(turn, Ending::Drain(code), reply)
    }

    /// What the deadline is for.
    pub(super) fn timer(&self) -> Timer {
        match self.awaits {
            Awaits::Greeting { .. } => Timer::Greeting,
            Awaits::Idle { .. } => Timer::Idle,
            Awaits::Drain { .. } => Timer::Drain,
        }
    }

    /// When what is awaited is due.
    pub(super) fn deadline(&self) -> Moment {
        match self.awaits {
            Awaits::Greeting { due } | Awaits::Idle { due, .. } | Awaits::Drain { due, .. } => due,
        }
    }

    /// The peer gave a sign of life: silence counts from now, if it is that which is waited for.
    #[inline]
    pub(super) fn heard(&mut self, policy: &Policy, now: Moment) {
        if matches!(self.awaits, Awaits::Idle { .. }) {
            self.awaits = silence(policy, now);
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        self.awaits.write(writer);
        self.manner.write(writer);
        self.inbound.write(writer);
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        policy: &Policy,
        slabs: &mut SlabPool,
    ) -> Result<Self, Damage> {
        let awaits = Awaits::read(reader)?;
        let manner = Manner::read(reader, policy)?;
        let mut inbound = Inbound::read(reader, &manner, slabs)?;
        let goes_together = match awaits {
            // The first byte of a frame brings the greeting.
            Awaits::Greeting { .. } => inbound.is_untouched(),
            Awaits::Idle { .. } => true,
            Awaits::Drain { .. } => inbound.is_reply_open(),
        };
        if !goes_together {
            inbound.release(slabs);
            return Err(Damage::value("awaits"));
        }
        Ok(Open {
            awaits,
            manner,
            inbound,
        })
    }

    /// Gives back what is held.
    pub(super) fn release(&mut self, slabs: &mut SlabPool) {
        self.inbound.release(slabs);
    }

    /// Where the frame ends whose reply is open, in lent bytes that go on at `from`; at most `end`. A drain takes
    /// in nothing of what is behind it.
    #[cold]
    fn end_of_frame(&self, from: usize, end: usize) -> usize {
        let remaining = match &self.inbound.unfinished {
            Unfinished::Data(frame) => frame.remaining,
            Unfinished::None | Unfinished::Control(_) => 0,
        };
        end.min(from.saturating_add(remaining as usize))
    }

    #[cold]
    fn fail(&mut self, turn: &mut Turn<'_>, violation: Violation, reply: &mut Reply) -> Next {
        turn.tally.violations.at(violation).add(1);
        self.close(turn, Ending::Violation(violation), reply)
    }

    /// Ends the connection: with a Close where one can be sent, with FIN alone where a reply frame is open and
    /// promises bytes that will not come.
    fn close(&mut self, turn: &mut Turn<'_>, ending: Ending, reply: &mut Reply) -> Next {
        self.release(turn.slabs);
        // A drain ends all, and is told once.
        if !matches!(ending, Ending::Drain(_)) {
            turn.cause = Some(Cause::Closed(ending));
        }
        if !self.inbound.is_reply_open() {
            control::append_close(ending, &mut reply.after, turn);
        }
        Next::HalfClose
    }
}

/// Silence counts from now; a ping is due after half of what is borne.
#[inline]
fn silence(policy: &Policy, now: Moment) -> Awaits {
    let due = match policy.idle_timeout {
        Some(idle) => now + idle / 2,
        None => Moment::NEVER,
    };
    Awaits::Idle { due, pinged: false }
}

/// Sends the greeting, as the first frame.
fn greet(turn: &mut Turn<'_>, reply: &mut Reply) {
    if let Some(greeting) = &turn.policy.greeting {
        let mut slab = turn.slabs.take(greeting.len());
        slab.append(greeting.as_bytes());
        let length = slab.len() as u64;
        slab.prepend(ServerHeader::new(FIN | TEXT, length).as_slice());
        reply.before.append_slab(slab, turn.slabs);
        control::count_sent(turn.tally, Opcode::Text, greeting.len());
    }
}

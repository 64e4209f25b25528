//! The upgrade request: found, answered, and what comes right behind it left for the frames.
//!
//! Where the whole head is in the lent bytes, the 101 is written over it where it fits, like any reply.

use std::time::Duration;

use crate::memory::slab::{Slab, SlabPool};
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::close::Cause;
use crate::protocol::handshake::{self, Accepted, Answer, Foreign, HEAD_BYTES_MAX, Refusal};
use crate::protocol::moment::Moment;
use crate::protocol::policy::Policy;
use crate::protocol::reply::Reply;
use crate::protocol::tally::{Status, Waited};

use super::open::Manner;
use super::{Next, Turn};

/// How long a draining server waits for the end of a request, to answer it with 503.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// The status of an upgrade.
const SWITCHING: Status = Status(101);

/// A request head that is not whole, or is to be handed over.
#[derive(Debug)]
pub(super) struct Head {
    /// When it is refused, if it is not whole by then.
    deadline: Moment,
    /// What has come of it.
    held: Option<Box<Slab>>,
}

/// What became of a head.
pub(super) enum Outcome {
    /// It is not whole.
    More,
    /// It is ordinary HTTP. None of the lent bytes are taken in.
    HandOver,
    /// It is answered by [`Head::refuse`].
    Refuse(Refusal),
    /// It has been answered with a 101.
    Upgrade {
        /// How many of the lent bytes were the head's.
        head_len: usize,
        manner: Manner,
        /// Whether permessage-deflate is agreed on.
        deflates: bool,
    },
}

impl Head {
    pub(super) fn new(policy: &Policy, now: Moment) -> Self {
        Head {
            deadline: now + policy.handshake_timeout,
            held: None,
        }
    }

    /// When it must be whole.
    pub(super) fn deadline(&self) -> Moment {
        self.deadline
    }

    /// Looks for the end of the head, and answers it with a 101 if that is what it asks for.
    pub(super) fn receive(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        reply: &mut Reply,
    ) -> Outcome {
        let outcome = match self.held.take() {
            Some(held) => self.receive_rest(turn, held, lent, reply),
            None => self.receive_first(turn, lent, reply),
        };
        outcome.unwrap_or_else(Outcome::Refuse)
    }

    fn receive_first(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        reply: &mut Reply,
    ) -> Result<Outcome, Refusal> {
        let head = &lent[..lent.len().min(HEAD_BYTES_MAX)];
        let Some(head_len) = handshake::find_end(head, 0)? else {
            let slab = turn.slabs.take_to_hold(lent.len());
            let held = self.held.insert(slab.ok_or(Refusal::Unavailable)?);
            held.append(lent);
            return Ok(Outcome::More);
        };
        let Answer::Upgrade(accepted) = answer(turn, &head[..head_len])? else {
            return Ok(Outcome::HandOver);
        };
        let manner = Manner::of(turn.policy);
        // The window comes last, so it can carry the 101 only where all else is in it too; and a subprotocol's
        // name cannot be written over where it is read.
        let alone = turn.policy.greeting.is_none() && matches!(manner, Manner::Echo);
        let deflates = accepted.deflate.is_some();
        match accepted {
            Accepted {
                accept,
                subprotocol: None,
                deflate,
            } if alone && accepted.switching_len() <= head_len => {
                let accepted = Accepted {
                    accept,
                    subprotocol: None,
                    deflate,
                };
                reply.window = 0..handshake::write_switching(&accepted, lent);
            }
            _ => push_switching(turn, &accepted, reply),
        }
        Ok(Outcome::Upgrade {
            head_len,
            manner,
            deflates,
        })
    }

    fn receive_rest(
        &mut self,
        turn: &mut Turn<'_>,
        held: Box<Slab>,
        lent: &[u8],
        reply: &mut Reply,
    ) -> Result<Outcome, Refusal> {
        let had = held.len();
        let more = &lent[..lent.len().min(HEAD_BYTES_MAX - had)];
        let held = turn.slabs.enlarge(held, more.len());
        let held = self.held.insert(held.ok_or(Refusal::Unavailable)?);
        held.append(more);
        let Some(head_len) = handshake::find_end(held.bytes(), had)? else {
            return Ok(Outcome::More);
        };
        let Answer::Upgrade(accepted) = answer(turn, &held.bytes()[..head_len])? else {
            held.truncate(had);
            return Ok(Outcome::HandOver);
        };
        let deflates = accepted.deflate.is_some();
        push_switching(turn, &accepted, reply);
        self.release(turn.slabs);
        Ok(Outcome::Upgrade {
            head_len: head_len - had,
            manner: Manner::of(turn.policy),
            deflates,
        })
    }

    /// Answers with a refusal. `lent` is the head if none of it is held.
    pub(super) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        refusal: Refusal,
        lent: &[u8],
        reply: &mut Reply,
    ) {
        let status = Status(refusal.status());
        turn.tally.handshakes.at(status).add(1);
        turn.cause = Some(Cause::Refused(refusal));
        if refusal == Refusal::Foreign(Foreign::Tls) {
            turn.tally.tls_to_plain.add(1);
            turn.cause = Some(Cause::Tls("is spoken where this server speaks none"));
        }
        let head = self.held.as_ref().map_or(lent, |slab| slab.bytes());
        let now = turn.policy.wall_clock.map(|clock| clock.0());
        reply
            .before
            .append(&refusal.render(head, now, turn.over_tls), turn.slabs);
        self.release(turn.slabs);
    }

    /// The deadline has passed.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>, reply: &mut Reply) -> Next {
        turn.tally.timeouts.at(Waited::Handshake).add(1);
        let refusal = match &turn.guest {
            Some(guest) if guest.is_turned_away() => Refusal::TooMany,
            _ if turn.refusing => Refusal::Unavailable,
            _ => Refusal::Timeout,
        };
        self.refuse(turn, refusal, &[], reply);
        Next::HalfClose
    }

    /// The server is going down: not much longer is waited for the rest.
    pub(super) fn hasten(&mut self, now: Moment) -> Next {
        self.deadline = self.deadline.min(now + DRAIN_PATIENCE);
        Next::Read
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.until(self.deadline);
        writer.bytes(self.held.as_ref().map_or(&[], |slab| slab.bytes()));
    }

    pub(super) fn read(reader: &mut Reader<'_>, slabs: &mut SlabPool) -> Result<Self, Damage> {
        let deadline = reader.until("handshake deadline")?;
        let head = reader.bytes("head", HEAD_BYTES_MAX - 1)?;
        let damage = Damage::value("head");
        if !matches!(handshake::find_end(head, 0), Ok(None)) {
            return Err(damage);
        }
        let held = match head {
            [] => None,
            _ => Some(slabs.hold_again(head, head.len()).ok_or(damage)?),
        };
        Ok(Head { deadline, held })
    }

    /// What is held, for another owner.
    pub(super) fn take_held(&mut self) -> Option<Box<Slab>> {
        self.held.take()
    }

    /// Gives back what is held.
    pub(super) fn release(&mut self, slabs: &mut SlabPool) {
        if let Some(slab) = self.held.take() {
            slabs.give(slab);
        }
    }
}

/// What is to become of a whole head. A server that takes no upgrades can be asked how it is all the same.
fn answer<'a>(turn: &mut Turn<'_>, head: &'a [u8]) -> Result<Answer<'a>, Refusal> {
    let guests = turn.policy.guests.as_deref();
    let mut guest = turn.guest.as_deref_mut().zip(guests);
    if let Some((guest, guests)) = &mut guest {
        let told = guest.hear(guests, head);
        turn.over_tls |= told.is_secure == Some(true);
        if guest.is_turned_away() {
            handshake::check_line(head)?;
            return Err(Refusal::TooMany);
        }
    }
    let answer = handshake::answer(head, turn.policy);
    if turn.refusing && answer != Ok(Answer::Http) {
        // Not before what [`Head::receive`] would have said had the head come in pieces.
        handshake::check_line(head)?;
        return Err(Refusal::Unavailable);
    }
    if let Ok(Answer::Upgrade(accepted)) = &answer {
        if let Some((guest, guests)) = guest {
            guest.enter(guests)?;
        }
        turn.tally.handshakes.at(SWITCHING).add(1);
        turn.tally
            .deflating
            .add(u64::from(accepted.deflate.is_some()));
    }
    answer
}

/// Answers with a 101 beside the lent bytes.
fn push_switching(turn: &mut Turn<'_>, accepted: &Accepted<'_>, reply: &mut Reply) {
    let mut slab = turn.slabs.take(accepted.switching_len());
    let count = handshake::write_switching(accepted, slab.spare());
    slab.grow(count);
    reply.before.push(slab);
}

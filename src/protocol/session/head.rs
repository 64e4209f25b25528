//! The upgrade request: found, answered, and what comes right behind it left for the frames.
//!
//! Where the whole head is in the lent bytes, the 101 is written over it, like any reply; it is never
//! longer than the request that it answers.

use crate::memory::slab::Slab;
use crate::protocol::close::Cause;
use crate::protocol::handshake::{self, HEAD_BYTES_MAX, Refusal, Scan};
use crate::protocol::reply::Reply;

use super::{Next, Session, Stage, Turn};

impl Session {
    /// Looks for the end of the head and answers it with a 101; how many of the lent bytes were the
    /// head's, or none while it is not whole.
    pub(super) fn receive_head(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        reply: &mut Reply,
    ) -> Result<Option<usize>, Refusal> {
        let Some(held) = self.held.take() else {
            let head = &lent[..lent.len().min(HEAD_BYTES_MAX)];
            let scanned = handshake::scan(head, 0);
            if !matches!(scanned, Scan::Complete(_)) {
                handshake::check_line(head)?;
            }
            return match scanned {
                Scan::BareLineFeed => Err(Refusal::BareLineFeed),
                Scan::Complete(len) => {
                    let switching = switch(turn, &lent[..len])?;
                    // The window comes last, so it can carry the 101 only where all else is in it too.
                    if turn.policy.greeting.is_none() && turn.policy.prefix.is_none() {
                        lent[..switching.len()].copy_from_slice(switching.bytes());
                        reply.window = 0..switching.len();
                        turn.slabs.give(switching);
                    } else {
                        reply.before.push(switching);
                    }
                    self.schedule_greeting(turn, reply);
                    Ok(Some(len))
                }
                Scan::Incomplete if lent.len() < HEAD_BYTES_MAX => {
                    let slab = turn.slabs.take_to_hold(lent.len());
                    let held = self.held.insert(slab.ok_or(Refusal::Unavailable)?);
                    held.append(lent);
                    Ok(None)
                }
                Scan::Incomplete => Err(Refusal::too_large(&lent[..HEAD_BYTES_MAX])),
            };
        };
        let had = held.len();
        let more = &lent[..lent.len().min(HEAD_BYTES_MAX - had)];
        let held = turn.slabs.enlarge(held, more.len());
        let mut held = held.ok_or(Refusal::Unavailable)?;
        held.append(more);
        let scanned = handshake::scan(held.bytes(), had);
        let held = self.held.insert(held);
        if !matches!(scanned, Scan::Complete(_)) {
            handshake::check_line(held.bytes())?;
        }
        match scanned {
            Scan::BareLineFeed => Err(Refusal::BareLineFeed),
            Scan::Incomplete if held.len() == HEAD_BYTES_MAX => {
                Err(Refusal::too_large(held.bytes()))
            }
            Scan::Incomplete => Ok(None),
            Scan::Complete(len) => {
                reply.before.push(switch(turn, &held.bytes()[..len])?);
                self.release(turn.slabs);
                self.schedule_greeting(turn, reply);
                Ok(Some(len - had))
            }
        }
    }

    /// Answers with a refusal, and ends.
    pub(super) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        refusal: &Refusal,
        lent: &[u8],
        reply: &mut Reply,
    ) -> Next {
        turn.tally.refusals.add(1);
        turn.cause = Some(Cause::Refused(refusal.status()));
        self.stage = Stage::Ended;
        let head = self.held.as_ref().map_or(lent, |slab| slab.bytes());
        let now = turn.policy.wall_clock.map(|clock| clock.0());
        reply.before.append(&refusal.render(head, now), turn.slabs);
        self.release(turn.slabs);
        Next::HalfClose
    }
}

/// More than a 101 takes without the name of its subprotocol, in bytes.
const SWITCHING_BYTES: usize = 256;

/// The 101 that answers a whole head.
fn switch(turn: &mut Turn<'_>, head: &[u8]) -> Result<Box<Slab>, Refusal> {
    if turn.refusing {
        // Not before what [`Session::receive_head`] would have said had the head come in pieces.
        handshake::check_line(head)?;
        return Err(Refusal::Unavailable);
    }
    let accepted = handshake::answer(head, turn.policy)?;
    turn.tally.upgrades.add(1);
    let subprotocol_len = accepted.subprotocol.map_or(0, str::len);
    let mut slab = turn.slabs.take(SWITCHING_BYTES + subprotocol_len);
    let count = handshake::write_switching(&accepted, slab.spare());
    slab.grow(count);
    Ok(slab)
}

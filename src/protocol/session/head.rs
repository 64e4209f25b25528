//! The upgrade request: found, answered, and what comes right behind it left for the frames.

use crate::protocol::handshake::{self, HEAD_BYTES_MAX, Refusal, Scan};
use crate::protocol::reply::Reply;

use super::{Next, Session, Stage, Turn};

impl Session {
    /// Looks for the end of the head and answers it with a 101; how many of the lent bytes were the
    /// head's, or none while it is not whole.
    pub(super) fn receive_head(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &[u8],
        reply: &mut Reply,
    ) -> Result<Option<usize>, Refusal> {
        let Some(held) = &mut self.held else {
            return match handshake::scan(lent, 0) {
                Scan::BareLineFeed => Err(Refusal::BareLineFeed),
                Scan::Complete(len) if len <= HEAD_BYTES_MAX => {
                    self.switch(turn, &lent[..len], reply)?;
                    Ok(Some(len))
                }
                Scan::Incomplete if lent.len() < HEAD_BYTES_MAX => {
                    let mut slab = turn.slabs.take_to_hold().ok_or(Refusal::Unavailable)?;
                    slab.append(lent);
                    self.held = Some(slab);
                    Ok(None)
                }
                Scan::Complete(_) | Scan::Incomplete => {
                    Err(Refusal::too_large(&lent[..HEAD_BYTES_MAX]))
                }
            };
        };
        let had = held.len();
        held.append(lent);
        match handshake::scan(held.bytes(), had) {
            Scan::BareLineFeed => Err(Refusal::BareLineFeed),
            Scan::Incomplete if held.room() == 0 => Err(Refusal::too_large(held.bytes())),
            Scan::Incomplete => Ok(None),
            Scan::Complete(len) => {
                let Some(slab) = self.held.take() else {
                    return Ok(None);
                };
                match self.switch(turn, &slab.bytes()[..len], reply) {
                    Ok(()) => turn.slabs.give(slab),
                    Err(refusal) => {
                        // The refusal repeats the Host.
                        self.held = Some(slab);
                        return Err(refusal);
                    }
                }
                Ok(Some(len - had))
            }
        }
    }

    /// Answers a whole head.
    fn switch(
        &mut self,
        turn: &mut Turn<'_>,
        head: &[u8],
        reply: &mut Reply,
    ) -> Result<(), Refusal> {
        if turn.refusing {
            return Err(Refusal::Unavailable);
        }
        let accepted = handshake::answer(head, turn.policy)?;
        let mut slab = turn.slabs.take();
        let len = handshake::write_switching(&accepted, slab.spare());
        slab.grow(len);
        reply.before.push(slab);
        turn.tally.upgrades.add(1);
        self.schedule_greeting(turn, reply);
        Ok(())
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
        self.stage = Stage::Ended;
        let head = self.held.as_ref().map_or(lent, |slab| slab.bytes());
        reply.before.append(&refusal.render(head), turn.slabs);
        Next::HalfClose
    }
}

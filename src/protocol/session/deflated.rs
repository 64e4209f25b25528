//! Compressed text: looked at, inflated, before it is echoed as it came (RFC 7692).

use crate::protocol::close::Violation;
use crate::protocol::inflate::{SLICE_BYTES_MAX, Slice};

use super::Turn;
use super::inbound::{Frame, Inbound, Kind};
use super::window::Window;

/// What each call of the inflater costs beside what comes of it, in inflated bytes: it takes time though little comes.
const PIECE_COST: usize = 512;

/// What each compressed byte costs beside what comes of it, in inflated bytes: blocks that bring a code each, and no
/// text, take that long to read.
const COMPRESSED_COST: usize = 32;

impl Inbound {
    /// Looks at the payload of a compressed text that is here, as far as the turn may go on with that. Returns how
    /// many of the unread bytes may be answered: all, or some of the frame's payload.
    #[inline(never)] // What comes uncompressed should not be held up by what this needs.
    pub(super) fn inspect(
        &mut self,
        turn: &mut Turn<'_>,
        frame: &mut Frame,
        window: &Window<'_>,
    ) -> Result<usize, Violation> {
        let all = window.unread_len();
        let here = frame.remaining.min(all as u64) as usize;
        let is_untouched = self.message_bytes == frame.remaining;
        if is_untouched && here == 0 {
            // Nothing has come of the message, and if it ends, it is empty.
            return Ok(all);
        }
        if here > 0 && turn.inflation == 0 {
            return Ok(0);
        }
        let mut inflater = match self.inflater.take() {
            Some(inflater) => inflater,
            None if is_untouched => turn.inflaters.take(),
            None => {
                self.stop_inspecting(turn, frame)?;
                return Ok(all);
            }
        };
        let ends = frame.is_final() && here as u64 == frame.remaining;
        let before = inflater.message_bytes();
        let maximum = turn.policy.message_bytes_max.unwrap_or(u64::MAX);
        let mut message_bytes = before;
        let mut done = 0;
        let outcome = loop {
            let count = (here - done).min(SLICE_BYTES_MAX);
            let slice = Slice::new(count, ends && done + count == here, |bytes| {
                window.copy_unmasked(done, bytes, frame.key);
            });
            turn.inflation = turn.inflation.saturating_sub(count * COMPRESSED_COST);
            let inflated = inflater.inflate(slice, turn.inflaters.piece(), |text| {
                turn.inflation = turn.inflation.saturating_sub(text.len() + PIECE_COST);
                let room =
                    usize::try_from(maximum.saturating_sub(message_bytes)).unwrap_or(usize::MAX);
                let (within, beyond) = text.split_at(text.len().min(room));
                message_bytes += within.len() as u64;
                self.validator.push(within).map_err(|_| Violation::Utf8)?;
                if beyond.is_empty() {
                    Ok(())
                } else {
                    Err(Violation::MessageTooBig)
                }
            });
            done += count;
            if inflated.is_err() || done == here || turn.inflation == 0 {
                break inflated;
            }
        };
        turn.tally.inflated_bytes.add(message_bytes - before);
        if outcome.is_ok() && (!ends || done < here) {
            self.inflater = Some(inflater);
            return Ok(if done < here { done } else { all });
        }
        turn.inflaters.give(inflater, turn.slabs);
        outcome?;
        if !self.validator.is_complete() {
            return Err(Violation::Utf8);
        }
        turn.tally.inflated.add(1);
        Ok(all)
    }

    /// The message's inflater is not here any more: the rest is passed on as it comes, and is measured as that.
    fn stop_inspecting(&mut self, turn: &Turn<'_>, frame: &mut Frame) -> Result<(), Violation> {
        turn.tally.unchecked.add(1);
        self.validator = Default::default();
        frame.kind = Kind::Binary;
        self.message = Some(Kind::Binary);
        self.check_size(turn.policy)
    }

    /// Ends a call amid a compressed text: its inflater is kept, where there is memory for that.
    #[cold]
    pub(super) fn keep_inflater(&mut self, turn: &mut Turn<'_>) {
        if let Some(inflater) = self.inflater.take() {
            self.inflater = turn.inflaters.keep(inflater, turn.slabs);
        }
    }
}

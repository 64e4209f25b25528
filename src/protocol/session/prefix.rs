//! Messages answered as text with a prefix, as `'Received: ' + message` does in JavaScript.
//!
//! Here a reply is longer than its request, so it cannot be written over it. It is gathered in slabs,
//! a fragment at a time and never more than there is room for; the message is never collected.

use crate::memory::slab::HOLD_BYTES_MAX;
use crate::protocol::close::Violation;
use crate::protocol::frame::{CONTINUATION, FIN, ServerHeader, TEXT};
use crate::protocol::reply::Reply;

use super::inbound::{Frame, Kind, Way};
use super::window::Window;
use super::{Flow, Session, Step, Turn};

/// Bytes to text, invalid sequences replaced by U+FFFD, as Node's `Buffer.toString` does.
pub(super) struct Decoder(encoding_rs::Decoder);

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Decoder")
    }
}

impl Decoder {
    fn new() -> Self {
        Decoder(encoding_rs::UTF_8.new_decoder_without_bom_handling())
    }
}

/// The most bytes of text that one byte of input can become (U+FFFD is three bytes long).
const GROWTH_MAX: usize = 3;

/// Room that a fragment must have before payload is put into it: for the end of a sequence begun
/// earlier, and then some.
const FRAGMENT_ROOM_MIN: usize = 64;

impl Session {
    /// Answers `lent[from..]` as far as there is room.
    pub(super) fn answer_with_prefix(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        from: usize,
        reply: &mut Reply,
    ) -> Step {
        let mut input = Window::new(lent, 0..0, from);
        let outcome = self.answer_frames(turn, &mut input, reply);
        let hold = matches!(outcome, Ok(Flow::Hold));
        let consumed = input.read_len();
        let next = self.conclude(turn, outcome, reply);
        Step {
            consumed: if hold { consumed } else { lent.len() },
            next,
        }
    }

    fn answer_frames(
        &mut self,
        turn: &mut Turn<'_>,
        input: &mut Window<'_>,
        reply: &mut Reply,
    ) -> Result<Flow, Violation> {
        if self.control.is_some()
            && let Some(flow) = self.continue_control(turn, input, reply)?
        {
            return Ok(flow);
        }
        loop {
            if let Some(frame) = self.inbound.frame.take()
                && let Some(flow) = self.answer_payload(turn, frame, input, reply)?
            {
                return Ok(flow);
            }
            if input.unread_len() == 0 {
                return Ok(Flow::Read);
            }
            if reply.before.byte_count() >= turn.room {
                return Ok(Flow::Hold);
            }
            let Some((header, count)) = self.inbound.header(input.unread())? else {
                input.skip(input.unread_len());
                return Ok(Flow::Read);
            };
            input.skip(count);
            if header.is_control() {
                if let Some(flow) = self.begin_control(turn, header, input, reply)? {
                    return Ok(flow);
                }
            } else {
                let mut frame = self.inbound.begin(&header, turn.policy)?;
                frame.way = Way::Fragments {
                    begun: header.opcode == CONTINUATION,
                };
                self.inbound.frame = Some(frame);
            }
        }
    }

    /// Answers payload until the frame ends, the input does, or the room. A frame that is not at its
    /// end stays in `inbound`.
    fn answer_payload(
        &mut self,
        turn: &mut Turn<'_>,
        mut frame: Frame,
        input: &mut Window<'_>,
        reply: &mut Reply,
    ) -> Result<Option<Flow>, Violation> {
        // What is held from an earlier receive was taken to be held.
        let mut may_wait = true;
        loop {
            if self.held.is_none() {
                if frame.remaining > 0 && input.unread_len() == 0 {
                    self.inbound.frame = Some(frame);
                    return Ok(None);
                }
                may_wait = self.open_fragment(turn, &mut frame, input.unread_len());
            }
            if frame.remaining > 0 && self.is_fragment_full() {
                self.emit_fragment(turn, false, reply);
                if reply.before.byte_count() >= turn.room {
                    self.inbound.frame = Some(frame);
                    return Ok(Some(Flow::Hold));
                }
                continue;
            }
            if !self.gather(&mut frame, input)? {
                self.inbound.frame = Some(frame);
                self.keep_or_emit(turn, may_wait, reply);
                return Ok(None);
            }
            if frame.remaining == 0 {
                self.emit_fragment(turn, frame.is_final(), reply);
                turn.tally.messages.add(u64::from(self.inbound.end(&frame)));
                return Ok(None);
            }
        }
    }

    /// Whether the open fragment has too little room for more payload.
    fn is_fragment_full(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|slab| slab.room() < FRAGMENT_ROOM_MIN)
    }

    /// Takes a slab to gather into; whether it may be held until more comes. A message's first begins
    /// with the prefix. `here` bytes of input are left.
    fn open_fragment(&mut self, turn: &mut Turn<'_>, frame: &mut Frame, here: usize) -> bool {
        let will_wait = (here as u64) < frame.remaining && here < HOLD_BYTES_MAX;
        let to_hold = if will_wait {
            let prefix_len = turn.policy.prefix.as_ref().map_or(0, String::len);
            let wanted = prefix_len as u64 + FRAGMENT_ROOM_MIN as u64;
            let wanted = wanted.saturating_add(frame.remaining.saturating_mul(GROWTH_MAX as u64));
            turn.slabs
                .take_to_hold(wanted.min(HOLD_BYTES_MAX as u64) as usize)
        } else {
            None
        };
        let may_wait = to_hold.is_some();
        let mut slab = to_hold.unwrap_or_else(|| turn.slabs.take(HOLD_BYTES_MAX));
        if frame.way == (Way::Fragments { begun: false }) {
            frame.way = Way::Fragments { begun: true };
            slab.append(turn.policy.prefix.as_deref().unwrap_or_default().as_bytes());
            self.first_fragment = true;
            if frame.kind == Kind::Binary {
                match &mut self.decoder {
                    Some(decoder) => **decoder = Decoder::new(),
                    none => *none = Some(Box::new(Decoder::new())),
                }
            }
        }
        self.held = Some(slab);
        may_wait
    }

    /// Moves payload into the open fragment; false when there is no more input while the frame goes on.
    fn gather(&mut self, frame: &mut Frame, input: &mut Window<'_>) -> Result<bool, Violation> {
        let Some(slab) = &mut self.held else {
            return Ok(false);
        };
        let fits = match frame.kind {
            Kind::Text => slab.room(),
            Kind::Binary => (slab.room() - FRAGMENT_ROOM_MIN / 2) / GROWTH_MAX,
        };
        let here = frame.remaining.min(input.unread_len() as u64) as usize;
        let count = here.min(fits);
        let payload = input.take(count, frame.key);
        let ends = count as u64 == frame.remaining;
        match &mut self.decoder {
            Some(decoder) if frame.kind == Kind::Binary => {
                let last = ends && frame.is_final();
                let (_, read, written, _) = decoder.0.decode_to_utf8(payload, slab.spare(), last);
                debug_assert_eq!(read, payload.len(), "there was room for all of it");
                slab.grow(written);
            }
            _ => {
                self.inbound.check(frame, payload, ends)?;
                slab.append(payload);
            }
        }
        frame.advance(count);
        Ok(ends || count < here || input.unread_len() > 0)
    }

    /// At the end of the input, within a frame: keeps the open fragment if that is affordable.
    fn keep_or_emit(&mut self, turn: &mut Turn<'_>, may_wait: bool, reply: &mut Reply) {
        match &self.held {
            Some(slab) if slab.is_empty() => self.release(turn.slabs),
            Some(_) if !may_wait => self.emit_fragment(turn, false, reply),
            _ => {}
        }
    }

    /// Sends the open fragment.
    fn emit_fragment(&mut self, turn: &mut Turn<'_>, fin: bool, reply: &mut Reply) {
        let Some(mut slab) = self.held.take() else {
            return;
        };
        let opcode = if std::mem::take(&mut self.first_fragment) {
            TEXT
        } else {
            CONTINUATION
        };
        let first = opcode | if fin { FIN } else { 0 };
        let header = ServerHeader::new(first, slab.len() as u64);
        slab.prepend(header.as_slice());
        reply.before.append_slab(slab, turn.slabs);
    }
}

//! Messages answered as text with a prefix, as `'Received: ' + message` does in JavaScript.
//!
//! Here a reply is longer than its request, so it cannot be written over it. It is gathered in slabs,
//! a fragment at a time and never more than there is room for; the message is never collected.

use std::sync::Arc;

use crate::memory::slab::HOLD_BYTES_MAX;
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::close::Violation;
use crate::protocol::frame::{CONTINUATION, FIN, ServerHeader, TEXT};
use crate::protocol::policy::{Policy, TEXT_BYTES_MAX};
use crate::protocol::reply::Reply;
use crate::protocol::tally::{Opcode, Tally};

use super::Turn;
use super::inbound::{Frame, Inbound, Kind, Unfinished, Way};
use super::lossy::{Decoder, GROWTH_MAX, UNFINISHED_BYTES_MAX};
use super::open::Flow;
use super::window::Window;

/// What a connection needs whose messages are answered with a prefix.
#[derive(Debug)]
pub(super) struct Prefix {
    text: Arc<str>,
    /// Turns binary into text.
    decoder: Decoder,
}

impl Prefix {
    pub(super) fn new(text: Arc<str>) -> Self {
        Prefix {
            text,
            decoder: Decoder::default(),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(self.text.as_bytes());
        writer.bytes(self.decoder.unfinished());
    }

    /// Where it is `policy`'s own, the text is shared with all that have it from there.
    pub(super) fn read(reader: &mut Reader<'_>, policy: &Policy) -> Result<Self, Damage> {
        let text = reader.bytes("prefix", TEXT_BYTES_MAX)?;
        let text = str::from_utf8(text).map_err(|_| Damage::value("prefix"))?;
        let shared = policy.prefix.clone().filter(|shared| **shared == *text);
        let unfinished = reader.bytes("unfinished character", UNFINISHED_BYTES_MAX)?;
        let decoder = Decoder::resume(unfinished).ok_or(Damage::value("unfinished character"))?;
        Ok(Prefix {
            text: shared.unwrap_or_else(|| text.into()),
            decoder,
        })
    }

    /// Whether a character of a binary message is not whole.
    pub(super) fn is_amid_character(&self) -> bool {
        !self.decoder.unfinished().is_empty()
    }

    /// Whether `held` can be what is held of an answer to `frame`, of which some payload came.
    pub(super) fn may_hold(&self, frame: &Frame, held: &[u8]) -> bool {
        let continues = frame.first & !FIN == CONTINUATION;
        match (frame.way, frame.taken_in()) {
            (Way::Fragments { begun }, 0) => held.is_empty() && begun == continues,
            (Way::Fragments { begun: false }, _) => {
                !continues && held.starts_with(self.text.as_bytes())
            }
            (Way::Fragments { begun: true }, _) => true,
            _ => false,
        }
    }
}

/// Room that a fragment must have before payload is put into it: for the end of a sequence begun
/// earlier, and then some.
const FRAGMENT_ROOM_MIN: usize = 64;

impl Inbound {
    /// Answers `lent[from..]` as far as there is room.
    pub(super) fn answer(
        &mut self,
        prefix: &mut Prefix,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        from: usize,
        reply: &mut Reply,
    ) -> Result<Flow, Violation> {
        let mut input = Window::new(lent, 0..0, from);
        self.answer_frames(prefix, turn, &mut input, reply)
    }

    fn answer_frames(
        &mut self,
        prefix: &mut Prefix,
        turn: &mut Turn<'_>,
        input: &mut Window<'_>,
        reply: &mut Reply,
    ) -> Result<Flow, Violation> {
        if let Some(flow) = self.continue_control(turn, input, reply)? {
            return Ok(flow);
        }
        loop {
            if let Some(frame) = self.take_frame()
                && let Some(flow) = self.answer_payload(prefix, turn, frame, input, reply)?
            {
                return Ok(flow);
            }
            if input.unread_len() == 0 {
                return Ok(Flow::Read);
            }
            if reply.before.byte_count() >= turn.room {
                let rest = input.unread_len();
                return Ok(Flow::Hold { rest });
            }
            let Some((header, count)) = self.header(input.unread())? else {
                input.skip(input.unread_len());
                return Ok(Flow::Read);
            };
            input.skip(count);
            if header.is_control() {
                if let Some(flow) = self.begin_control(turn, header, input, reply)? {
                    return Ok(flow);
                }
            } else {
                let mut frame = self.begin(&header, turn.policy)?;
                frame.way = Way::Fragments {
                    begun: header.opcode == CONTINUATION,
                };
                self.unfinished = Unfinished::Data(frame);
            }
        }
    }

    /// Answers payload until the frame ends, the input does, or the room. A frame that is not at its
    /// end stays in `frame`.
    fn answer_payload(
        &mut self,
        prefix: &mut Prefix,
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
                    self.unfinished = Unfinished::Data(frame);
                    return Ok(None);
                }
                may_wait = self.open_fragment(prefix, turn, &frame, input.unread_len());
            }
            if frame.remaining > 0 && self.is_fragment_full() {
                self.emit_fragment(turn, &mut frame, false, reply);
                if reply.before.byte_count() >= turn.room {
                    self.unfinished = Unfinished::Data(frame);
                    let rest = input.unread_len();
                    return Ok(Some(Flow::Hold { rest }));
                }
                continue;
            }
            if !self.gather(prefix, &mut frame, input)? {
                self.keep_or_emit(turn, &mut frame, may_wait, reply);
                self.unfinished = Unfinished::Data(frame);
                return Ok(None);
            }
            if frame.remaining == 0 {
                let ends = frame.is_final();
                self.emit_fragment(turn, &mut frame, ends, reply);
                let opcode = if frame.is_text() {
                    Opcode::Text
                } else {
                    Opcode::Binary
                };
                let messages = u64::from(self.end(&frame));
                let Tally {
                    messages: counted,
                    payload_bytes,
                    ..
                } = turn.tally;
                counted.received_alone(opcode).add(messages);
                counted.sent_alone(Opcode::Text).add(messages);
                payload_bytes.received_alone(opcode).add(frame.length);
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
    fn open_fragment(
        &mut self,
        prefix: &Prefix,
        turn: &mut Turn<'_>,
        frame: &Frame,
        here: usize,
    ) -> bool {
        let will_wait = (here as u64) < frame.remaining && here < HOLD_BYTES_MAX;
        let to_hold = if will_wait {
            let wanted = fragment_len_max(prefix.text.len(), frame.remaining);
            turn.slabs.take_to_hold(wanted)
        } else {
            None
        };
        let may_wait = to_hold.is_some();
        let mut slab = to_hold.unwrap_or_else(|| turn.slabs.take(HOLD_BYTES_MAX));
        if frame.way == (Way::Fragments { begun: false }) {
            slab.append(prefix.text.as_bytes());
        }
        self.held = Some(slab);
        may_wait
    }

    /// Moves payload into the open fragment; false when there is no more input while the frame goes on.
    fn gather(
        &mut self,
        prefix: &mut Prefix,
        frame: &mut Frame,
        input: &mut Window<'_>,
    ) -> Result<bool, Violation> {
        let Some(slab) = &mut self.held else {
            return Ok(false);
        };
        let fits = match frame.kind {
            Kind::Text => slab.room(),
            Kind::Binary | Kind::DeflatedText => (slab.room() - FRAGMENT_ROOM_MIN / 2) / GROWTH_MAX,
        };
        let here = frame.remaining.min(input.unread_len() as u64) as usize;
        let count = here.min(fits);
        let payload = input.take(count, frame.key);
        let ends = count as u64 == frame.remaining;
        match frame.kind {
            Kind::Binary | Kind::DeflatedText => {
                let last = ends && frame.is_final();
                prefix.decoder.decode(payload, last, slab);
            }
            Kind::Text => {
                slab.append(payload);
                self.check(frame, payload, ends)?;
            }
        }
        frame.advance(count);
        Ok(ends || count < here || input.unread_len() > 0)
    }

    /// At the end of the input, within a frame: keeps the open fragment if that is affordable.
    fn keep_or_emit(
        &mut self,
        turn: &mut Turn<'_>,
        frame: &mut Frame,
        may_wait: bool,
        reply: &mut Reply,
    ) {
        match &self.held {
            Some(slab) if slab.is_empty() => self.release(turn.slabs),
            Some(_) if !may_wait => self.emit_fragment(turn, frame, false, reply),
            _ => {}
        }
    }

    /// Sends the open fragment.
    fn emit_fragment(
        &mut self,
        turn: &mut Turn<'_>,
        frame: &mut Frame,
        fin: bool,
        reply: &mut Reply,
    ) {
        let Some(mut slab) = self.held.take() else {
            return;
        };
        let opcode = if frame.way == (Way::Fragments { begun: false }) {
            TEXT
        } else {
            CONTINUATION
        };
        frame.way = Way::Fragments { begun: true };
        let first = opcode | if fin { FIN } else { 0 };
        let header = ServerHeader::new(first, slab.len() as u64);
        let sent_bytes = turn.tally.payload_bytes.sent_alone(Opcode::Text);
        sent_bytes.add(slab.len() as u64);
        slab.prepend(header.as_slice());
        reply.before.append_slab(slab, turn.slabs);
    }
}

/// The most bytes that a fragment may need room for which begins with `held_len` bytes and has `remaining`
/// bytes of payload before it, as far as one fragment goes.
pub(super) fn fragment_len_max(held_len: usize, remaining: u64) -> usize {
    let least = held_len as u64 + FRAGMENT_ROOM_MIN as u64;
    let wanted = least.saturating_add(remaining.saturating_mul(GROWTH_MAX as u64));
    wanted.min(HOLD_BYTES_MAX as u64) as usize
}

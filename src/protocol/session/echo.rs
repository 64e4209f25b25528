//! Frames answered by themselves: unmasked, four bytes shorter, written over where they came.

use crate::memory::slab::HOLD_BYTES_MAX;
use crate::protocol::close::Violation;
use crate::protocol::frame::{
    self, CONTINUATION, FIN, PING, PONG, SHORT_HEADER_BYTES, ServerHeader, TEXT,
};
use crate::protocol::reply::Reply;
use crate::protocol::tally::{Opcode, Tally};
use crate::protocol::utf8;

use super::Turn;
use super::control::count_control;
use super::inbound::{Frame, Inbound, Kind, Unfinished, Way};
use super::open::Flow;
use super::window::Window;

/// When the stream goes on behind a piece of payload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// In this turn.
    On,
    /// In a later one, after others have had theirs.
    Later,
}

/// What was echoed in one call: whole messages, and the payload of the frames that ended.
#[derive(Default)]
struct Echoed {
    texts: u64,
    text_bytes: u64,
    binaries: u64,
    binary_bytes: u64,
}

impl Echoed {
    #[inline]
    fn tell(&self, tally: &Tally) {
        if self.text_bytes > 0 || self.texts > 0 {
            tally.messages.echoed(Opcode::Text).add(self.texts);
            tally
                .payload_bytes
                .echoed(Opcode::Text)
                .add(self.text_bytes);
        }
        if self.binary_bytes > 0 || self.binaries > 0 {
            tally.messages.echoed(Opcode::Binary).add(self.binaries);
            tally
                .payload_bytes
                .echoed(Opcode::Binary)
                .add(self.binary_bytes);
        }
    }
}

fn yields(window: &Window<'_>) -> Flow {
    Flow::Yield {
        rest: window.unread_len(),
    }
}

impl Inbound {
    /// Echoes `lent[from..]`.
    pub(super) fn echo(
        &mut self,
        turn: &mut Turn<'_>,
        lent: &mut [u8],
        from: usize,
        reply: &mut Reply,
    ) -> Result<Flow, Violation> {
        let mut window = Window::new(lent, reply.window.clone(), from);
        let mut echoed = Echoed::default();
        let outcome = self.echo_frames(turn, &mut window, reply, &mut echoed);
        echoed.tell(turn.tally);
        if self.inflater.is_some() {
            self.keep_inflater(turn);
        }
        reply.window = window.range();
        outcome
    }

    fn echo_frames(
        &mut self,
        turn: &mut Turn<'_>,
        window: &mut Window<'_>,
        reply: &mut Reply,
        echoed: &mut Echoed,
    ) -> Result<Flow, Violation> {
        match self.unfinished {
            Unfinished::None => {}
            Unfinished::Control(_) => {
                if let Some(flow) = self.continue_control(turn, window, reply)? {
                    return Ok(flow);
                }
            }
            Unfinished::Data(frame) => {
                self.unfinished = Unfinished::None;
                if self.echo_payload(turn, frame, window, reply, echoed)? == Goes::Later {
                    return Ok(yields(window));
                }
            }
        }
        loop {
            self.echo_short_messages(turn, window, echoed)?;
            if window.unread_len() == 0 {
                return Ok(Flow::Read);
            }
            let Some((header, count)) = self.header(window.unread())? else {
                window.skip(window.unread_len());
                return Ok(Flow::Read);
            };
            window.skip(count);
            if !header.is_control() {
                let frame = self.begin(&header, turn.policy)?;
                if self.echo_payload(turn, frame, window, reply, echoed)? == Goes::Later {
                    return Ok(yields(window));
                }
            } else if header.opcode == PING && header.length <= window.unread_len() as u64 {
                let pong = ServerHeader::new(FIN | PONG, header.length);
                let length = header.length as usize;
                let payload = window.payload(pong.as_slice().len(), length, header.key);
                window.commit(&pong, payload, &mut reply.before, turn.slabs);
                count_control(turn.tally, PING, length);
            } else if let Some(flow) = self.begin_control(turn, header, window, reply)? {
                return Ok(flow);
            }
        }
    }

    /// Answers the short messages that come next, as [`Inbound::echo_payload`] would, in a straight line.
    #[inline]
    fn echo_short_messages(
        &self,
        turn: &Turn<'_>,
        window: &mut Window<'_>,
        echoed: &mut Echoed,
    ) -> Result<(), Violation> {
        if self.is_amid() {
            return Ok(());
        }
        let maximum = turn.policy.message_bytes_max.unwrap_or(u64::MAX);
        let maximum = u8::try_from(maximum).unwrap_or(u8::MAX);
        let (before, unread) = (echoed.texts + echoed.binaries, window.unread_len());
        let mut text_bytes = 0;
        while let Some(message) = frame::parse_short_message(window.unread(), self.deflates)
            && message.length <= maximum
        {
            let payload = window.short_payload(&message);
            if message.first == FIN | TEXT {
                if !utf8::is_valid(window.peek(&payload)) {
                    return Err(Violation::Utf8);
                }
                echoed.texts += 1;
                text_bytes += u64::from(message.length);
            } else {
                echoed.binaries += 1;
            }
            window.commit_short(&message, payload);
        }
        // What was read and was no header. So binary messages are counted without looking at their lengths.
        let messages = echoed.texts + echoed.binaries - before;
        let read = (unread - window.unread_len()) as u64;
        echoed.text_bytes += text_bytes;
        echoed.binary_bytes += read - messages * SHORT_HEADER_BYTES as u64 - text_bytes;
        Ok(())
    }

    /// Answers as much of the frame's payload as is here, and may be looked at in this turn.
    #[inline]
    fn echo_payload(
        &mut self,
        turn: &mut Turn<'_>,
        mut frame: Frame,
        window: &mut Window<'_>,
        reply: &mut Reply,
        echoed: &mut Echoed,
    ) -> Result<Goes, Violation> {
        let here = if frame.kind == Kind::DeflatedText {
            self.inspect(turn, &mut frame, window)?
        } else {
            window.unread_len()
        };
        if frame.way == Way::Open && frame.remaining <= here as u64 {
            let header = ServerHeader::new(frame.first, frame.length);
            let payload = window.payload(header.as_slice().len(), frame.length as usize, frame.key);
            self.check(&frame, window.peek(&payload), true)?;
            window.commit(&header, payload, &mut reply.before, turn.slabs);
            self.count(&frame, echoed);
            return Ok(Goes::On);
        }
        self.echo_part(turn, &mut frame, here, window, reply)?;
        if frame.remaining > 0 {
            self.unfinished = Unfinished::Data(frame);
            if window.unread_len() > 0 {
                return Ok(Goes::Later);
            }
        } else {
            self.count(&frame, echoed);
        }
        Ok(Goes::On)
    }

    /// Ends a frame, and counts it.
    #[inline]
    fn count(&mut self, frame: &Frame, echoed: &mut Echoed) {
        let is_text = frame.is_text();
        let ended = u64::from(self.end(frame));
        let (messages, bytes) = if is_text {
            (&mut echoed.texts, &mut echoed.text_bytes)
        } else {
            (&mut echoed.binaries, &mut echoed.binary_bytes)
        };
        *messages += ended;
        *bytes += frame.length;
    }

    /// Answers a part of a frame that straddles receives, or turns: `here` bytes at most.
    fn echo_part(
        &mut self,
        turn: &mut Turn<'_>,
        frame: &mut Frame,
        here: usize,
        window: &mut Window<'_>,
        reply: &mut Reply,
    ) -> Result<(), Violation> {
        let count = frame.remaining.min(here as u64) as usize;
        if count == 0 {
            return Ok(());
        }
        if frame.way == Way::Open {
            frame.way = self.choose_way(turn, frame, count);
            if frame.way == Way::CutThrough {
                let header = ServerHeader::new(frame.first, frame.length);
                let payload = window.payload(header.as_slice().len(), count, frame.key);
                window.commit(&header, payload, &mut reply.before, turn.slabs);
                frame.advance(count);
                return Ok(());
            }
        }
        match frame.way {
            Way::CutThrough => {
                let payload = window.payload(0, count, frame.key);
                window.commit_bare(payload);
                frame.advance(count);
                Ok(())
            }
            Way::Open | Way::Hold => {
                if count as u64 == frame.remaining {
                    self.emit(turn, frame, frame.first, count, window, reply)
                } else {
                    self.keep(frame, count, window)
                }
            }
            Way::Fragments { begun } => {
                let ends = count as u64 == frame.remaining;
                let gathered = self.held.as_ref().map_or(0, |slab| slab.len()) + count;
                if !ends && gathered < HOLD_BYTES_MAX {
                    if self.held.is_none() {
                        self.held = turn.slabs.take_to_hold(HOLD_BYTES_MAX);
                    }
                    if self.held.is_some() {
                        return self.keep(frame, count, window);
                    }
                }
                let opcode = if begun {
                    CONTINUATION
                } else {
                    frame.first & !FIN
                };
                let fin = if ends { frame.first & FIN } else { 0 };
                frame.way = Way::Fragments { begun: true };
                self.emit(turn, frame, fin | opcode, count, window, reply)
            }
        }
    }

    /// Decides how a straddling frame is answered, now that a first part of it has come.
    fn choose_way(&mut self, turn: &mut Turn<'_>, frame: &Frame, count: usize) -> Way {
        debug_assert!(self.held.is_none() && (count as u64) < frame.remaining);
        if frame.length <= HOLD_BYTES_MAX as u64 {
            self.held = turn.slabs.take_to_hold(frame.length as usize);
            if self.held.is_some() {
                return Way::Hold;
            }
        }
        match frame.kind {
            Kind::Binary => Way::CutThrough,
            Kind::Text | Kind::DeflatedText => Way::Fragments { begun: false },
        }
    }

    /// Adds `count` bytes to what is held.
    fn keep(
        &mut self,
        frame: &mut Frame,
        count: usize,
        window: &mut Window<'_>,
    ) -> Result<(), Violation> {
        let payload = window.take(count, frame.key);
        self.check(frame, payload, false)?;
        if let Some(slab) = &mut self.held {
            slab.append(payload);
        }
        frame.advance(count);
        Ok(())
    }

    /// Sends what is held and `count` bytes more as one frame that begins with `first`.
    fn emit(
        &mut self,
        turn: &mut Turn<'_>,
        frame: &mut Frame,
        first: u8,
        count: usize,
        window: &mut Window<'_>,
        reply: &mut Reply,
    ) -> Result<(), Violation> {
        let ends = count as u64 == frame.remaining;
        let Some(mut slab) = self.held.take() else {
            let header = ServerHeader::new(first, count as u64);
            let payload = window.payload(header.as_slice().len(), count, frame.key);
            self.check(frame, window.peek(&payload), ends)?;
            window.commit(&header, payload, &mut reply.before, turn.slabs);
            frame.advance(count);
            return Ok(());
        };
        let header = ServerHeader::new(first, (slab.len() + count) as u64);
        // Where nothing follows, one send of the slab is cheaper than one of the slab and one of the window.
        let in_slab = count == window.unread_len() && count <= slab.room();
        let checked = if in_slab {
            let payload = window.take(count, frame.key);
            slab.append(payload);
            self.check(frame, payload, ends)
        } else {
            let payload = window.payload(0, count, frame.key);
            let checked = self.check(frame, window.peek(&payload), ends);
            if checked.is_ok() {
                window.commit_bare(payload);
            }
            checked
        };
        frame.advance(count);
        if checked.is_err() {
            turn.slabs.give(slab);
            return checked;
        }
        slab.prepend(header.as_slice());
        reply.before.push(slab);
        Ok(())
    }
}

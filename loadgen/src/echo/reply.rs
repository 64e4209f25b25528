//! What comes back: every reply is compared with the message that it answers.

use super::connection::{Exchange, Stage, Turn, Verdict, data_opcode};
use super::pending::{Pending, UNSENT};
use super::ping::Pong;
use super::workload::SAMPLE_OF;
use crate::wire::failure::{Failure, Mismatch};
use crate::wire::frame::Opcode;
use crate::wire::reader::{Data, Event};

/// Bytes shown of a message that should not be there.
const EXCERPT_BYTES: usize = 16;

impl Exchange {
    pub(super) fn receive_raw(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) -> Verdict {
        while !bytes.is_empty() {
            let Some(pending) = self.awaited() else {
                return Err(self.unasked(bytes));
            };
            let here = bytes.len().min(pending.size() - self.verified);
            let (piece, rest) = bytes.split_at(here);
            self.verify(piece, pending, turn)?;
            bytes = rest;
            if self.verified == pending.size() {
                self.complete(turn);
            }
        }
        Ok(())
    }

    pub(super) fn receive_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Verdict {
        match event {
            Event::Data(data) => self.receive_data(data, turn),
            Event::Control { opcode, payload } => self.control(opcode, payload, turn),
        }
    }

    pub(super) fn receive_data(&mut self, data: Data<'_>, turn: &mut Turn<'_>) -> Verdict {
        let Some(pending) = self.awaited() else {
            return Err(self.unasked(data.bytes));
        };
        if data.first {
            self.check_place(data.head.opcode, pending, turn)?;
        }
        if self.is_compressed(&data) {
            self.inflate(&data, pending, turn)?;
        } else {
            if data.first && !self.is_wrong {
                self.check_length(&data, pending, turn)?;
            }
            self.verify(data.bytes, pending, turn)?;
        }
        if data.last && data.head.fin {
            turn.tally.fragmented += u64::from(self.in_message);
            self.complete(turn);
        } else if data.last {
            self.in_message = true;
        }
        Ok(())
    }

    /// The message that the next reply answers. One that is queued and not yet sent has none.
    pub(super) fn awaited(&self) -> Option<Pending> {
        let first = self.pending.front().copied();
        first.filter(|pending| pending.sent != UNSENT)
    }

    /// Whether `data` belongs to a compressed reply, which its first frame says.
    fn is_compressed(&mut self, data: &Data<'_>) -> bool {
        let Some(compression) = &mut self.compression else {
            return false;
        };
        if data.first && !self.in_message {
            compression.in_compressed = data.head.compressed;
        }
        compression.in_compressed
    }

    /// Inflates a part of a reply and compares what comes out.
    fn inflate(&mut self, data: &Data<'_>, pending: Pending, turn: &mut Turn<'_>) -> Verdict {
        // Taken out for the time of the call, since what comes out is compared here.
        let Some(mut compression) = self.compression.take() else {
            return Ok(());
        };
        let size = pending.size();
        let inflater = &mut compression.inflater;
        inflater.receive(data.bytes, size, |bytes| self.verify(bytes, pending, turn))?;
        if data.last && data.head.fin {
            let bytes = inflater.finish(size, |bytes| self.verify(bytes, pending, turn))?;
            if bytes != size as u64 {
                let what = format!("a message of {size} bytes came back with {bytes}");
                self.differs(what, turn)?;
            }
            turn.tally.compressed += 1;
        }
        self.compression = Some(compression);
        Ok(())
    }

    /// Checks that an uncompressed data frame is as long as what is left of its message.
    fn check_length(&mut self, data: &Data<'_>, pending: Pending, turn: &mut Turn<'_>) -> Verdict {
        let sent = pending.size() as u64;
        let length = self.verified as u64 + data.frame_length;
        let fin = data.head.fin;
        if length == sent || (length < sent && !fin) {
            return Ok(());
        }
        let more = if fin { "" } else { " or more" };
        let what = format!("a message of {sent} bytes came back with {length}{more}");
        self.differs(what, turn)
    }

    /// Checks a data frame's place in its message, and its opcode.
    fn check_place(&mut self, opcode: Opcode, pending: Pending, turn: &mut Turn<'_>) -> Verdict {
        self.check_fragment(opcode)?;
        let sent = data_opcode(pending.kind());
        if self.in_message || opcode == sent {
            return Ok(());
        }
        self.differs(format!("a {sent:?} message came back as {opcode:?}"), turn)
    }

    /// Checks that a data frame continues a message where one is under way, and only there.
    pub(super) fn check_fragment(&self, opcode: Opcode) -> Verdict {
        let what = match (self.in_message, opcode == Opcode::Continuation) {
            (true, false) => "a new message inside a fragmented one",
            (false, true) => "a continuation of no message",
            _ => return Ok(()),
        };
        Err(Failure::Protocol(what.to_owned()))
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], turn: &mut Turn<'_>) -> Verdict {
        match opcode {
            Opcode::Ping => {
                turn.tally.pings += 1;
                if self.may_speak() {
                    self.append_control(Opcode::Pong, payload, turn.random);
                }
            }
            Opcode::Pong => match self.pings.pong(payload) {
                Pong::Answer(sent) => turn.tally.ponged(sent, turn.now),
                Pong::Unasked => turn.tally.pongs += 1,
                Pong::Wrong => {
                    let what = "a pong with another payload than the ping that it answers";
                    return Err(Failure::Protocol(what.to_owned()));
                }
            },
            _ => return self.close(payload, turn),
        }
        Ok(())
    }

    fn close(&mut self, payload: &[u8], turn: &mut Turn<'_>) -> Verdict {
        let (code, reason) = match payload {
            [] => (None, &[][..]),
            [_] => return Err(Failure::Protocol("a Close payload of one byte".to_owned())),
            [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
        };
        // Codes that are for telling that there was none (RFC 6455 section 7.4.1).
        if let Some(code @ (..1000 | 1005 | 1006 | 1015)) = code {
            let what = format!("a Close with code {code}, which is never sent");
            return Err(Failure::Protocol(what));
        }
        let reason = std::str::from_utf8(reason)
            .map_err(|_| Failure::Protocol("a Close reason that is not UTF-8".to_owned()))?;
        if self.stage != Stage::Closing {
            let reason = reason.to_owned();
            // RFC 6455 section 5.5.1: it is answered, with its own code.
            self.say_close(&payload[..payload.len().min(2)], turn);
            self.stage = Stage::Ended;
            return Err(Failure::ServerClosed { code, reason });
        }
        self.stage = Stage::Closed;
        Ok(())
    }

    /// Ends the load over a wrong reply; or, where it is to go on, counts the reply, once, and leaves the
    /// rest of it uncompared.
    #[cold]
    pub(super) fn wrong(
        &mut self,
        turn: &mut Turn<'_>,
        describe: impl FnOnce(&Exchange) -> Mismatch,
    ) -> Verdict {
        if !turn.workload.keep_going {
            return Err(Failure::Mismatch(Box::new(describe(self))));
        }
        if !self.is_wrong {
            self.is_wrong = true;
            turn.tally.wrong(turn.connection, || describe(self));
        }
        Ok(())
    }

    /// The same, where `what` says it all.
    #[cold]
    pub(super) fn differs(&mut self, what: String, turn: &mut Turn<'_>) -> Verdict {
        self.wrong(turn, |exchange| exchange.mismatch(what))
    }

    /// Compares the next bytes of the first pending message's reply, if it is one that is compared.
    fn verify(&mut self, bytes: &[u8], pending: Pending, turn: &mut Turn<'_>) -> Verdict {
        let is_compared = turn.workload.verify_all || self.answered.is_multiple_of(SAMPLE_OF);
        if is_compared && !self.is_wrong {
            let sent = pending.payload(turn.workload);
            if bytes != &sent[self.verified..self.verified + bytes.len()] {
                self.wrong(turn, |exchange| {
                    let base = exchange.verified;
                    let mut pairs = bytes.iter().zip(&sent[base..]);
                    let at = pairs.position(|(received, expected)| received != expected);
                    Mismatch::at(exchange.answered, sent, base, bytes, at.unwrap_or_default())
                })?;
            } else {
                turn.tally.compared_bytes += bytes.len() as u64;
            }
        }
        self.verified += bytes.len();
        Ok(())
    }

    pub(super) fn complete(&mut self, turn: &mut Turn<'_>) {
        if let Some(pending) = self.pending.pop_front()
            && !self.is_wrong
        {
            turn.tally
                .answered(pending.due, pending.sent, turn.now, self.verified as u64);
        }
        self.answered += 1;
        self.is_wrong = false;
        self.verified = 0;
        self.in_message = false;
    }

    fn mismatch(&self, mut what: String) -> Mismatch {
        if self.answered == 0 && self.verified == 0 {
            what += "; it is the first on the connection, so the server may have spoken first (a greeting, which --greeting skips)";
        }
        Mismatch {
            what,
            message: self.answered,
            offset: self.verified as u64,
            ..Mismatch::default()
        }
    }

    pub(super) fn unasked(&self, bytes: &[u8]) -> Failure {
        let what = match self.answered {
            0 => {
                "the server spoke first: a message came before it was sent any (--greeting skips it)"
            }
            _ => "the server sent a message that answers none of ours",
        };
        Failure::Mismatch(Box::new(Mismatch {
            what: what.to_owned(),
            received: bytes[..bytes.len().min(EXCERPT_BYTES)].to_vec(),
            ..self.mismatch(String::new())
        }))
    }
}

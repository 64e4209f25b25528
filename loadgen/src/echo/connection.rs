//! One connection of the load: sends messages, keeps `depth` in flight, checks each reply.

use std::collections::VecDeque;
use std::sync::Arc;

use super::failure::{Failure, Mismatch};
use super::frame::{Opcode, append_frame};
use super::outbox::Outbox;
use super::payload::{Kind, Pool, Random};
use super::reader::{Event, Reader};
use super::tally::Tally;
use crate::target::Protocol;

/// Status code of the Close that ends a connection in good order.
const CLOSE_NORMAL: u16 = 1000;

/// What every connection sends.
#[derive(Clone)]
pub(crate) struct Workload {
    /// WebSocket messages or raw bytes.
    pub(crate) protocol: Protocol,
    /// Text or binary; raw bytes only differ in content.
    pub(crate) kind: Kind,
    /// Messages in flight per connection.
    pub(crate) depth: usize,
    /// Where payloads come from; also fixes their size.
    pub(crate) pool: Arc<Pool>,
}

/// What a connection borrows for one call.
pub(crate) struct Turn<'a> {
    /// When the bytes at hand were received, in nanoseconds since an epoch of the caller's.
    pub(crate) now: u64,
    /// What to send.
    pub(crate) workload: &'a Workload,
    /// Keys and payload choices.
    pub(crate) random: &'a mut Random,
    /// Where to count.
    pub(crate) tally: &'a mut Tally,
}

/// Send time of a message that is queued and not yet given to the kernel.
const UNSENT: u64 = u64::MAX;

/// Bytes shown of a message that should not be there.
const EXCERPT_BYTES: usize = 16;

/// A message that waits for its reply.
struct Pending {
    /// Nanoseconds since the caller's epoch, or [`UNSENT`].
    sent: u64,
    /// Its window of the pool.
    window: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Each answered message is followed by a new one.
    Loading,
    /// No new messages; the last replies are awaited.
    Draining,
    /// Close sent, the server's is awaited.
    Closing,
    /// Nothing more is expected.
    Closed,
}

/// State of one connection, from the end of the handshake on.
pub(crate) struct Connection {
    reader: Reader,
    exchange: Exchange,
}

/// What was sent and what of it came back.
struct Exchange {
    stage: Stage,
    pending: VecDeque<Pending>,
    /// Messages at the end of `pending` that have no send time yet.
    unstamped: usize,
    /// Bytes of the first pending message's reply already found right.
    verified: usize,
    /// Whether a fragmented reply is under way.
    in_message: bool,
    answered: u64,
    outbox: Outbox,
}

impl Connection {
    /// A connection with nothing in flight yet.
    pub(crate) fn new() -> Connection {
        Connection {
            reader: Reader::new(),
            exchange: Exchange {
                stage: Stage::Loading,
                pending: VecDeque::new(),
                unstamped: 0,
                verified: 0,
                in_message: false,
                answered: 0,
                outbox: Outbox::default(),
            },
        }
    }

    /// What is to be sent.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.exchange.outbox
    }

    /// Queues messages until `depth` are in flight (none once draining).
    pub(crate) fn fill(&mut self, turn: &mut Turn<'_>) {
        self.exchange.fill(turn);
    }

    /// Gives the messages queued since the last call their send time.
    pub(crate) fn stamp(&mut self, now: u64) {
        let exchange = &mut self.exchange;
        for pending in exchange.pending.iter_mut().rev().take(exchange.unstamped) {
            pending.sent = now;
        }
        exchange.unstamped = 0;
    }

    /// Checks bytes from the server, counts what they complete, and queues what follows.
    pub(crate) fn receive(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), Failure> {
        match turn.workload.protocol {
            Protocol::Tcp => self.exchange.receive_raw(bytes, turn)?,
            Protocol::Websocket => {
                while let Some(event) = self.reader.next(&mut bytes).map_err(Failure::Protocol)? {
                    self.exchange.receive_event(event, turn)?;
                }
            }
        }
        self.exchange.close_when_drained(turn);
        self.exchange.fill(turn);
        Ok(())
    }

    /// Sends no more messages; once the last reply is in, the connection is closed properly.
    pub(crate) fn drain(&mut self, turn: &mut Turn<'_>) {
        if self.exchange.stage == Stage::Loading {
            self.exchange.stage = Stage::Draining;
            self.exchange.close_when_drained(turn);
        }
    }

    /// Judges the end of the server's stream.
    pub(crate) fn end_of_stream(&mut self) -> Result<(), Failure> {
        match self.exchange.stage {
            Stage::Closing | Stage::Closed => {
                self.exchange.stage = Stage::Closed;
                Ok(())
            }
            _ => Err(Failure::Disconnected {
                in_flight: self.unanswered(),
            }),
        }
    }

    /// Whether nothing more is expected of the server.
    pub(crate) fn is_closed(&self) -> bool {
        self.exchange.stage == Stage::Closed
    }

    /// Messages still without their whole reply.
    pub(crate) fn unanswered(&self) -> usize {
        self.exchange.pending.len()
    }

    /// When the oldest unanswered message was sent.
    pub(crate) fn oldest_unanswered(&self) -> Option<u64> {
        self.exchange
            .pending
            .front()
            .map(|pending| pending.sent)
            .filter(|&sent| sent != UNSENT)
    }
}

impl Exchange {
    fn fill(&mut self, turn: &mut Turn<'_>) {
        if self.stage != Stage::Loading {
            return;
        }
        while self.pending.len() < turn.workload.depth {
            let bits = turn.random.bits();
            let window = turn.workload.pool.choose(bits);
            let payload = turn.workload.pool.window(window);
            let writer = self.outbox.writer();
            match turn.workload.protocol {
                Protocol::Tcp => writer.extend_from_slice(payload),
                Protocol::Websocket => {
                    // The choice of window took low bits; the key is the high half.
                    let key = ((bits >> 32) as u32).to_ne_bytes();
                    append_frame(writer, data_opcode(turn.workload.kind), payload, key);
                }
            }
            self.pending.push_back(Pending {
                sent: UNSENT,
                window,
            });
            self.unstamped += 1;
        }
    }

    fn receive_raw(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let Some(pending) = self.pending.front() else {
                return Err(self.unasked(&bytes[..bytes.len().min(EXCERPT_BYTES)]));
            };
            let sent = turn.workload.pool.window(pending.window);
            let here = bytes.len().min(sent.len() - self.verified);
            let (piece, rest) = bytes.split_at(here);
            self.verify(piece, sent)?;
            bytes = rest;
            if self.verified == sent.len() {
                self.complete(turn);
            }
        }
        Ok(())
    }

    fn receive_event(&mut self, event: Event<'_>, turn: &mut Turn<'_>) -> Result<(), Failure> {
        let (opcode, fin, frame_length, first, last, bytes) = match event {
            Event::Control { opcode, payload } => return self.control(opcode, payload, turn),
            Event::Data {
                opcode,
                fin,
                frame_length,
                first,
                last,
                bytes,
            } => (opcode, fin, frame_length, first, last, bytes),
        };
        let Some(pending) = self.pending.front() else {
            return Err(self.unasked(&bytes[..bytes.len().min(EXCERPT_BYTES)]));
        };
        let sent = turn.workload.pool.window(pending.window);
        if first {
            self.check_frame(opcode, fin, frame_length, sent.len(), turn.workload.kind)?;
        }
        self.verify(bytes, sent)?;
        if last && fin {
            turn.tally.fragmented += u64::from(self.in_message);
            self.complete(turn);
        } else if last {
            self.in_message = true;
        }
        Ok(())
    }

    /// Checks a data frame's place in its message, its opcode and its length.
    fn check_frame(
        &self,
        opcode: Opcode,
        fin: bool,
        frame_length: u64,
        sent_length: usize,
        kind: Kind,
    ) -> Result<(), Failure> {
        match (self.in_message, opcode) {
            (true, Opcode::Continuation) => {}
            (true, _) => {
                return Err(Failure::Protocol(
                    "a new message inside a fragmented one".to_owned(),
                ));
            }
            (false, Opcode::Continuation) => {
                return Err(Failure::Protocol("a continuation of no message".to_owned()));
            }
            (false, opcode) if opcode != data_opcode(kind) => {
                let sent = data_opcode(kind);
                let what = format!("a {sent:?} message came back as {opcode:?}");
                return Err(self.mismatch(what));
            }
            _ => {}
        }
        let length = self.verified as u64 + frame_length;
        let wrong = if fin {
            length != sent_length as u64
        } else {
            length > sent_length as u64
        };
        if wrong {
            let more = if fin { "" } else { " or more" };
            return Err(self.mismatch(format!(
                "a message of {sent_length} bytes came back with {length}{more}"
            )));
        }
        Ok(())
    }

    fn control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Failure> {
        match opcode {
            Opcode::Ping => {
                turn.tally.pings += 1;
                if matches!(self.stage, Stage::Loading | Stage::Draining) {
                    let key = (turn.random.bits() as u32).to_ne_bytes();
                    append_frame(self.outbox.writer(), Opcode::Pong, payload, key);
                }
            }
            Opcode::Pong => turn.tally.pongs += 1,
            _ => {
                let (code, reason) = match payload {
                    [] => (None, &[][..]),
                    [_] => {
                        return Err(Failure::Protocol("a Close payload of one byte".to_owned()));
                    }
                    [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
                };
                if self.stage != Stage::Closing {
                    let reason = String::from_utf8_lossy(reason).into_owned();
                    return Err(Failure::ServerClosed { code, reason });
                }
                self.stage = Stage::Closed;
            }
        }
        Ok(())
    }

    /// Compares the next bytes of the first pending message's reply.
    fn verify(&mut self, bytes: &[u8], sent: &[u8]) -> Result<(), Failure> {
        if bytes != &sent[self.verified..self.verified + bytes.len()] {
            let at = bytes
                .iter()
                .zip(&sent[self.verified..])
                .position(|(received, expected)| received != expected)
                .unwrap_or_default();
            let mismatch = Mismatch::at(self.answered, sent, self.verified, bytes, at);
            return Err(Failure::Mismatch(Box::new(mismatch)));
        }
        self.verified += bytes.len();
        Ok(())
    }

    fn complete(&mut self, turn: &mut Turn<'_>) {
        if let Some(pending) = self.pending.pop_front() {
            turn.tally
                .answered(pending.sent, turn.now, self.verified as u64);
        }
        self.answered += 1;
        self.verified = 0;
        self.in_message = false;
    }

    fn close_when_drained(&mut self, turn: &mut Turn<'_>) {
        if self.stage != Stage::Draining || !self.pending.is_empty() {
            return;
        }
        self.stage = match turn.workload.protocol {
            Protocol::Tcp => Stage::Closed,
            Protocol::Websocket => {
                let key = (turn.random.bits() as u32).to_ne_bytes();
                let payload = CLOSE_NORMAL.to_be_bytes();
                append_frame(self.outbox.writer(), Opcode::Close, &payload, key);
                Stage::Closing
            }
        };
    }

    fn mismatch(&self, what: String) -> Failure {
        Failure::Mismatch(Box::new(Mismatch {
            what,
            message: self.answered,
            offset: self.verified as u64,
            expected: Vec::new(),
            received: Vec::new(),
            excerpt_offset: 0,
        }))
    }

    fn unasked(&self, bytes: &[u8]) -> Failure {
        Failure::Mismatch(Box::new(Mismatch {
            what: "the server sent a message that answers none of ours".to_owned(),
            message: self.answered,
            offset: 0,
            expected: Vec::new(),
            received: bytes.to_vec(),
            excerpt_offset: 0,
        }))
    }
}

fn data_opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;

//! One connection of the load: what it sends and when it is over. What comes back is `reply.rs`'s.

use std::collections::VecDeque;

use super::dialogue::Progress;
use super::pending::{Pending, UNSENT};
use super::ping::Pings;
use super::tally::Tally;
use super::workload::{Pace, Workload};
use crate::payload::{Kind, Random};
use crate::target::Protocol;
use crate::wire::deflate::{Deflater, Inflater};
use crate::wire::failure::Failure;
use crate::wire::frame::{Head, Opcode, append_frame};
use crate::wire::handshake::extension::DeflateAgreement;
use crate::wire::outbox::Outbox;
use crate::wire::reader::Reader;

/// Status code of the Close that ends a connection in good order.
const CLOSE_NORMAL: u16 = 1000;

/// Whether all was right, or why the connection cannot go on.
pub(crate) type Verdict = Result<(), Failure>;

/// What a connection borrows for one call.
pub(crate) struct Turn<'a> {
    /// Number of the connection within the run, for what is told of it.
    pub(crate) connection: usize,
    /// When the bytes at hand were received, in nanoseconds since an epoch of the caller's.
    pub(crate) now: u64,
    /// What to send.
    pub(crate) workload: &'a Workload,
    /// Keys and payload choices.
    pub(crate) random: &'a mut Random,
    /// Where to count.
    pub(crate) tally: &'a mut Tally,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// Messages are sent.
    #[default]
    Loading,
    /// No new messages; the last replies are awaited.
    Draining,
    /// Close sent, the server's is awaited.
    Closing,
    /// Both have said their Close; the server is to end the stream (RFC 6455 section 7.1.1).
    Closed,
    /// Nothing more is expected.
    Ended,
    /// It does not stand: not yet, or not any more. Nothing is sent or taken up until another takes its place.
    Away,
}

/// State of one connection, from the end of the handshake on.
pub(crate) struct Connection {
    reader: Reader,
    exchange: Exchange,
}

/// Both directions of permessage-deflate.
pub(super) struct Compression {
    deflater: Deflater,
    pub(super) inflater: Inflater,
    /// Whether the reply under way is compressed.
    pub(super) in_compressed: bool,
    /// A message on its way into frames.
    scratch: Vec<u8>,
}

/// What was sent and what of it came back.
#[derive(Default)]
pub(super) struct Exchange {
    pub(super) stage: Stage,
    pub(super) pending: VecDeque<Pending>,
    /// Messages at the end of `pending` that have not been given to the kernel.
    unstamped: usize,
    /// Bytes of the first pending message's reply that have come: found right, unless it is wrong.
    pub(super) verified: usize,
    /// Whether the reply under way has been found wrong, and the load goes on.
    pub(super) is_wrong: bool,
    /// Whether a fragmented reply is under way.
    pub(super) in_message: bool,
    pub(super) answered: u64,
    /// If messages are compressed.
    pub(super) compression: Option<Box<Compression>>,
    pub(super) pings: Pings,
    pub(super) outbox: Outbox,
    /// How far it is in a dialogue.
    pub(super) progress: Progress,
}

impl Connection {
    /// A connection with nothing in flight yet.
    pub(crate) fn new() -> Connection {
        Connection::with(None)
    }

    /// The same, with compression if that was agreed on.
    pub(crate) fn with(deflate: Option<&DeflateAgreement>) -> Connection {
        let compression = deflate.map(|agreement| {
            Box::new(Compression {
                deflater: Deflater::new(agreement),
                inflater: Inflater::new(agreement),
                in_compressed: false,
                scratch: Vec::new(),
            })
        });
        Connection {
            reader: Reader::new(compression.is_some()),
            exchange: Exchange {
                compression,
                ..Exchange::default()
            },
        }
    }

    /// The place of one that does not stand, after `answered` messages.
    pub(crate) fn away(answered: u64) -> Connection {
        let mut connection = Connection::new();
        connection.exchange.stage = Stage::Away;
        connection.exchange.answered = answered;
        connection
    }

    /// It has ended before its time: forgets what was not answered. What is being sent stays in its place.
    pub(crate) fn lose(&mut self) {
        self.exchange.stage = Stage::Away;
        self.exchange.pending.clear();
        self.exchange.unstamped = 0;
        self.exchange.pings = Pings::default();
    }

    /// Another takes the place of this one, and its count of answers.
    pub(crate) fn replace(&mut self, mut next: Connection) {
        next.exchange.answered = self.answered();
        *self = next;
    }

    /// What is to be sent.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.exchange.outbox
    }

    /// Queues what the loop asks for: of a closed one, messages until as many are in flight as should
    /// be; of full duplex, as many as there is room for. Nothing once draining.
    pub(crate) fn fill(&mut self, turn: &mut Turn<'_>) {
        if self.exchange.stage != Stage::Loading {
            return;
        }
        match turn.workload.pace {
            Pace::Depth(depth) => {
                while self.exchange.pending.len() < depth {
                    self.exchange.queue(UNSENT, turn);
                }
            }
            Pace::Duplex => {
                while self.has_room(turn.workload) {
                    self.exchange.queue(UNSENT, turn);
                }
            }
            Pace::Scheduled => {}
        }
    }

    /// Whether an open loop's next message may be queued.
    pub(crate) fn has_room(&self, workload: &Workload) -> bool {
        let limits = workload.limits;
        self.exchange.pending.len() < limits.in_flight_max
            && self.exchange.stage != Stage::Away
            && self.exchange.outbox.queued_bytes() < limits.queued_bytes_max
    }

    /// Queues one message of an open loop, which was due at `due`.
    pub(crate) fn queue(&mut self, due: u64, turn: &mut Turn<'_>) {
        if self.exchange.stage == Stage::Loading {
            self.exchange.queue(due, turn);
        }
    }

    /// Queues a ping, unless one is still unanswered. Where messages are fragmented, it goes between
    /// the fragments of the next one.
    pub(crate) fn ping(&mut self, turn: &mut Turn<'_>) {
        if self.exchange.stage != Stage::Loading || !self.exchange.pings.want() {
            return;
        }
        if turn.workload.fragments < 2 {
            self.exchange.append_ping(turn.random);
        }
    }

    /// Lends what is to be sent, and notes `now` as the time at which it was; `None` if there is
    /// nothing or a send is under way.
    pub(crate) fn outgoing(&mut self, now: u64) -> Option<&[u8]> {
        let exchange = &mut self.exchange;
        // Whatever is queued while a part is on its way goes with a later one.
        if exchange.outbox.begins_anew() {
            for pending in exchange.pending.iter_mut().rev().take(exchange.unstamped) {
                pending.sent = now;
                pending.due = pending.due.min(now);
            }
            exchange.unstamped = 0;
            exchange.pings.stamp(now);
        }
        exchange.outbox.begin()
    }

    /// Checks bytes from the server, counts what they complete, and queues what follows.
    pub(crate) fn receive(&mut self, mut bytes: &[u8], turn: &mut Turn<'_>) -> Verdict {
        let workload = turn.workload;
        match (workload.protocol, &workload.dialogue) {
            (Protocol::Tcp, _) => self.exchange.receive_raw(bytes, turn)?,
            (Protocol::Websocket, Some(dialogue)) => {
                while let Some(event) = self.reader.next(&mut bytes).map_err(Failure::Protocol)? {
                    self.exchange.receive_in_dialogue(event, dialogue, turn)?;
                }
            }
            (Protocol::Websocket, None) => {
                while let Some(event) = self.reader.next(&mut bytes).map_err(Failure::Protocol)? {
                    self.exchange.receive_event(event, turn)?;
                }
            }
        }
        self.exchange.close_when_drained(turn);
        self.fill(turn);
        Ok(())
    }

    /// Sends no more messages; once the last reply is in, the connection is closed properly.
    pub(crate) fn drain(&mut self, turn: &mut Turn<'_>) {
        match self.exchange.stage {
            Stage::Loading => {
                self.exchange.stage = Stage::Draining;
                self.exchange.close_when_drained(turn);
            }
            Stage::Away => self.exchange.stage = Stage::Ended,
            _ => {}
        }
    }

    /// Takes leave of a server that has not yet been told anything: a Close with this code, unless there was
    /// one.
    pub(crate) fn resign(&mut self, code: u16, turn: &mut Turn<'_>) {
        if self.exchange.may_speak() {
            self.exchange.say_close(&code.to_be_bytes(), turn);
            self.exchange.stage = Stage::Ended;
        }
    }

    /// Judges the end of the server's stream.
    pub(crate) fn end_of_stream(&mut self) -> Verdict {
        match self.exchange.stage {
            Stage::Closing | Stage::Closed | Stage::Ended => {
                self.exchange.stage = Stage::Ended;
                Ok(())
            }
            _ => Err(Failure::Disconnected {
                in_flight: self.unanswered(),
            }),
        }
    }

    /// Whether all is said; the server may still have to end the stream.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.exchange.stage, Stage::Closed | Stage::Ended)
    }

    /// Whether our Close is said, and the server's awaited.
    pub(crate) fn is_closing(&self) -> bool {
        self.exchange.stage == Stage::Closing
    }

    /// Whether nothing more is expected of the server.
    pub(crate) fn is_ended(&self) -> bool {
        self.exchange.stage == Stage::Ended
    }

    /// Whether it does not stand, and another is to take its place.
    pub(crate) fn is_away(&self) -> bool {
        self.exchange.stage == Stage::Away
    }

    /// Messages that have their whole reply, right or wrong.
    pub(crate) fn answered(&self) -> u64 {
        self.exchange.answered
    }

    /// Messages still without their whole reply.
    pub(crate) fn unanswered(&self) -> usize {
        self.exchange.pending.len()
    }

    /// Of those, the ones not yet given to the kernel.
    pub(crate) fn unsent(&self) -> usize {
        self.exchange.unstamped
    }

    /// Whether a part has come of a reply that has not come whole.
    pub(crate) fn is_answered_in_part(&self) -> bool {
        let exchange = &self.exchange;
        exchange.verified > 0 || exchange.in_message || exchange.progress.has_begun()
    }

    /// Whether a ping is still without its pong.
    pub(crate) fn awaits_pong(&self) -> bool {
        self.exchange.pings.is_waiting()
    }

    /// When each message that is still without its whole reply was due, if that is known, and whether it
    /// was given to the kernel.
    pub(crate) fn unanswered_since(&self) -> impl Iterator<Item = (u64, bool)> {
        let pending = self.exchange.pending.iter();
        let known = pending.filter(|pending| pending.due != UNSENT);
        known.map(|pending| (pending.due, pending.sent != UNSENT))
    }
}

impl Exchange {
    fn queue(&mut self, due: u64, turn: &mut Turn<'_>) {
        let workload = turn.workload;
        let kind = workload.kinds.draw(turn.random);
        let size = workload.sizes.draw(turn.random);
        let bits = turn.random.bits();
        let window = workload.pool.choose(kind, size, bits);
        let payload = workload.pool.window(kind, window, size);
        match workload.protocol {
            Protocol::Tcp => self.outbox.writer().extend_from_slice(payload),
            Protocol::Websocket => {
                // The choice of window took low bits; the key is the high half.
                let key = ((bits >> 32) as u32).to_ne_bytes();
                self.append_message(Head::whole(data_opcode(kind)), payload, key, turn);
            }
        }
        self.pending
            .push_back(Pending::new(due, window, size, kind));
        self.unstamped += 1;
    }

    /// Appends a message in as many frames as it is to have, the first masked with `key`.
    fn append_message(&mut self, head: Head, payload: &[u8], key: [u8; 4], turn: &mut Turn<'_>) {
        let Some(mut compression) = self.compression.take() else {
            return self.append_frames(head, payload, key, turn);
        };
        let scratch = &mut compression.scratch;
        scratch.clear();
        // What cannot be compressed may go as it is (RFC 7692 section 6).
        match compression.deflater.compress(payload, scratch) {
            Ok(()) => {
                turn.tally.deflated.count(payload, scratch);
                let compressed = true;
                self.append_frames(Head { compressed, ..head }, scratch, key, turn);
            }
            Err(_) => self.append_frames(head, payload, key, turn),
        }
        self.compression = Some(compression);
    }

    /// Appends a message in as many frames as it is to have. The first begins with `head`, but for its FIN.
    fn append_frames(
        &mut self,
        mut head: Head,
        payload: &[u8],
        mut key: [u8; 4],
        turn: &mut Turn<'_>,
    ) {
        let fragments = turn.workload.fragments;
        let cut = |fragment| payload.len() * fragment / fragments;
        for fragment in 1..=fragments {
            head.fin = fragment == fragments;
            let part = &payload[cut(fragment - 1)..cut(fragment)];
            append_frame(self.outbox.writer(), head, part, key);
            if !head.fin {
                head = Head::whole(Opcode::Continuation);
                key = turn.random.key();
                if self.pings.is_wanted() {
                    self.append_ping(turn.random);
                }
            }
        }
    }

    fn append_ping(&mut self, random: &mut Random) {
        let payload = self.pings.begin();
        self.append_control(Opcode::Ping, payload.as_flattened(), random);
    }

    pub(super) fn append_control(&mut self, opcode: Opcode, payload: &[u8], random: &mut Random) {
        let head = Head::whole(opcode);
        append_frame(self.outbox.writer(), head, payload, random.key());
    }

    /// Whether the server may still be told anything.
    pub(super) fn may_speak(&self) -> bool {
        matches!(self.stage, Stage::Loading | Stage::Draining)
    }

    pub(super) fn close_when_drained(&mut self, turn: &mut Turn<'_>) {
        let owes = !self.pending.is_empty() || self.pings.is_waiting();
        if self.stage != Stage::Draining || owes {
            return;
        }
        self.say_close(&CLOSE_NORMAL.to_be_bytes(), turn);
        self.stage = match turn.workload.protocol {
            Protocol::Tcp => Stage::Ended,
            Protocol::Websocket => Stage::Closing,
        };
    }

    /// Appends a Close; bare TCP has none.
    pub(super) fn say_close(&mut self, payload: &[u8], turn: &mut Turn<'_>) {
        if turn.workload.protocol == Protocol::Websocket {
            self.append_control(Opcode::Close, payload, turn.random);
        }
    }
}

/// The opcode of a message's first frame.
pub(super) fn data_opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;

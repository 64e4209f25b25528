//! Servers that are no byte-exact echo: what their replies must be, and what they ask in between.
//!
//! Only connections of a workload with a [`Dialogue`] come here, so that an echo pays nothing for it.

use std::fmt;
use std::sync::Arc;

use super::connection::{Exchange, Stage, Turn};
use crate::payload::Random;
use crate::wire::failure::{Failure, Mismatch};
use crate::wire::frame::{Head, Opcode, append_frame};
use crate::wire::reader::{Data, Event};

/// Most messages that answer one.
const MESSAGES_MAX: u64 = 1_000_000;

/// Longest thing that a server may ask: it is held until it is whole.
const ASK_BYTES_MAX: usize = 1024;

/// What answers a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The same message.
    Echo,
    /// This text with the message behind it.
    Prefix(Arc<str>),
    /// So many messages, whatever is in them.
    Messages(u64),
}

impl Expect {
    /// Reads `echo`, `any`, `prefix:TEXT` or `3x`. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Expect, String> {
        if let Some(prefix) = text.strip_prefix("prefix:") {
            return match prefix {
                "" => Err("the prefix is empty; write prefix:TEXT, or echo for none".to_owned()),
                prefix => Ok(Expect::Prefix(prefix.into())),
            };
        }
        let count = text.strip_suffix('x').and_then(|count| count.parse().ok());
        match (text, count) {
            ("echo", _) => Ok(Expect::Echo),
            ("any", _) => Ok(Expect::Messages(1)),
            (_, Some(count @ 1..=MESSAGES_MAX)) => Ok(Expect::Messages(count)),
            _ => {
                Err("expected echo, any, prefix:TEXT, or how many messages, such as 3x".to_owned())
            }
        }
    }

    /// Whether the bytes of replies are compared.
    pub(crate) fn is_exact(&self) -> bool {
        !matches!(self, Expect::Messages(_))
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Echo => f.write_str("echo"),
            Expect::Prefix(prefix) => write!(f, "prefix:{prefix}"),
            Expect::Messages(1) => f.write_str("any"),
            Expect::Messages(count) => write!(f, "{count}x"),
        }
    }
}

/// What a server asks in a text message of its own, and what it is told then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    ask: String,
    reply: String,
}

impl Answer {
    /// Reads `ASK=REPLY`. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Answer, String> {
        match text.split_once('=') {
            Some((ask, reply)) if (1..=ASK_BYTES_MAX).contains(&ask.len()) => Ok(Answer {
                ask: ask.to_owned(),
                reply: reply.to_owned(),
            }),
            _ => Err(format!(
                "expected ASK=REPLY, such as 2=3, with an ASK of 1 to {ASK_BYTES_MAX} bytes"
            )),
        }
    }

    /// Appends the REPLY.
    pub(crate) fn append(&self, out: &mut Vec<u8>, random: &mut Random) {
        let head = Head::whole(Opcode::Text);
        append_frame(out, head, self.reply.as_bytes(), random.key());
    }
}

/// Tells what a server asks from what else it says.
#[derive(Default)]
pub(crate) struct Ear {
    /// What has come of a frame that may be the ASK.
    held: Vec<u8>,
    is_holding: bool,
}

/// What a part of a frame turned out to be.
pub(crate) enum Heard {
    /// Not a part of the ASK.
    Unlike,
    /// It may be one; it is held until its frame is whole.
    Part,
    /// The ASK, which is to be answered and counts for nothing.
    Ask,
    /// It was held in vain: the whole payload of its frame.
    Whole(Vec<u8>),
}

impl Ear {
    /// Takes a part of a frame, which is inside of a message if `in_message`.
    pub(crate) fn hear(&mut self, data: &Data<'_>, answer: &Answer, in_message: bool) -> Heard {
        // Only a whole message in a frame of that length can be it.
        let may_ask = data.first
            && data.fin
            && data.opcode == Opcode::Text
            && !in_message
            && data.frame_length == answer.ask.len() as u64;
        if !may_ask && !self.is_holding {
            return Heard::Unlike;
        }
        self.held.extend_from_slice(data.bytes);
        self.is_holding = !data.last;
        if self.is_holding {
            return Heard::Part;
        }
        let held = std::mem::take(&mut self.held);
        if held == answer.ask.as_bytes() {
            Heard::Ask
        } else {
            Heard::Whole(held)
        }
    }
}

/// What there is to a conversation beyond a byte-exact echo.
#[derive(Debug)]
pub(crate) struct Dialogue {
    pub(crate) expect: Expect,
    pub(crate) answer: Option<Answer>,
}

/// How far one connection is in it.
#[derive(Default)]
pub(super) struct Progress {
    ear: Ear,
    /// Bytes of the prefix that have come of the reply under way.
    prefixed: usize,
    /// Messages that have come of the reply under way.
    replies: u64,
}

impl Progress {
    /// Whether a part of a reply has come.
    pub(super) fn has_begun(&self) -> bool {
        self.prefixed > 0 || self.replies > 0
    }
}

impl Exchange {
    /// Takes what the server says in a dialogue.
    pub(super) fn receive_in_dialogue(
        &mut self,
        event: Event<'_>,
        dialogue: &Dialogue,
        progress: &mut Progress,
        turn: &mut Turn<'_>,
    ) -> Result<(), Failure> {
        let data = match event {
            Event::Control { .. } => return self.receive_event(event, turn),
            Event::Data(data) => data,
        };
        let Some(answer) = &dialogue.answer else {
            return self.receive_reply(data, dialogue, progress, turn);
        };
        match progress.ear.hear(&data, answer, self.in_message) {
            Heard::Part => Ok(()),
            Heard::Ask => {
                if matches!(self.stage, Stage::Loading | Stage::Draining) {
                    answer.append(self.outbox.writer(), turn.random);
                }
                Ok(())
            }
            Heard::Whole(bytes) => {
                let whole = Data {
                    first: true,
                    bytes: &bytes,
                    ..data
                };
                self.receive_reply(whole, dialogue, progress, turn)
            }
            Heard::Unlike => self.receive_reply(data, dialogue, progress, turn),
        }
    }

    fn receive_reply(
        &mut self,
        data: Data<'_>,
        dialogue: &Dialogue,
        progress: &mut Progress,
        turn: &mut Turn<'_>,
    ) -> Result<(), Failure> {
        match &dialogue.expect {
            Expect::Echo => self.receive_event(Event::Data(data), turn),
            Expect::Prefix(prefix) => {
                let prefix = prefix.as_bytes();
                self.receive_prefixed(data, prefix, &mut progress.prefixed, turn)
            }
            Expect::Messages(count) => {
                self.receive_counted(data, *count, &mut progress.replies, turn)
            }
        }
    }

    /// Compares what is the prefix's, and has the rest compared as an echo.
    fn receive_prefixed(
        &mut self,
        mut data: Data<'_>,
        prefix: &[u8],
        prefixed: &mut usize,
        turn: &mut Turn<'_>,
    ) -> Result<(), Failure> {
        if self.awaited().is_none() {
            return self.receive_event(Event::Data(data), turn);
        }
        let rest = &prefix[*prefixed..];
        if data.first {
            let of_prefix = data.frame_length.min(rest.len() as u64);
            data.frame_length -= of_prefix;
            if data.fin && of_prefix < rest.len() as u64 {
                self.wrong(turn, |exchange| {
                    exchange.mismatch("the reply is shorter than its prefix".to_owned())
                })?;
            }
        }
        let (head, tail) = data.bytes.split_at(rest.len().min(data.bytes.len()));
        if let Some(at) = head.iter().zip(rest).position(|(came, due)| came != due) {
            self.wrong(turn, |exchange| Mismatch {
                what: "the reply does not begin with the prefix".to_owned(),
                ..Mismatch::at(exchange.answered, prefix, *prefixed, head, at)
            })?;
        }
        *prefixed += head.len();
        if data.last && data.fin {
            *prefixed = 0;
        }
        data.bytes = tail;
        self.receive_event(Event::Data(data), turn)
    }

    /// Counts messages, and looks at nothing but their frames.
    fn receive_counted(
        &mut self,
        data: Data<'_>,
        count: u64,
        replies: &mut u64,
        turn: &mut Turn<'_>,
    ) -> Result<(), Failure> {
        let Some(pending) = self.awaited() else {
            return Err(self.unasked(data.bytes));
        };
        if data.first {
            self.check_fragment(data.opcode)?;
            turn.tally.compressed += u64::from(data.compressed);
        }
        if !data.last {
            return Ok(());
        }
        if !data.fin {
            self.in_message = true;
            return Ok(());
        }
        turn.tally.fragmented += u64::from(self.in_message);
        self.in_message = false;
        *replies += 1;
        if *replies == count {
            *replies = 0;
            self.verified = pending.size();
            self.complete(turn);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "dialogue_tests.rs"]
mod tests;

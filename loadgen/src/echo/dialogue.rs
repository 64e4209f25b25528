//! Servers that are no byte-exact echo: what their replies must be, and what they ask in between.
//!
//! Only connections of a workload with a [`Dialogue`] come here, so that an echo pays nothing for it.

use std::fmt;
use std::sync::Arc;

use super::connection::{Exchange, Turn, Verdict};
use crate::payload::Random;
use crate::wire::failure::Mismatch;
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
        let count = text.strip_suffix('x').and_then(|count| count.parse().ok());
        Err(match (text, text.strip_prefix("prefix:"), count) {
            ("echo", ..) => return Ok(Expect::Echo),
            ("any", ..) => return Ok(Expect::Messages(1)),
            (_, Some(""), _) => "the prefix is empty; write prefix:TEXT, or echo for none",
            (_, Some(prefix), _) => return Ok(Expect::Prefix(prefix.into())),
            (.., Some(count @ 1..=MESSAGES_MAX)) => return Ok(Expect::Messages(count)),
            _ => "expected echo, any, prefix:TEXT, or how many messages, such as 3x",
        }
        .to_owned())
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
            && data.head.fin
            && data.head.opcode == Opcode::Text
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
        match std::mem::take(&mut self.held) {
            held if held == answer.ask.as_bytes() => Heard::Ask,
            held => Heard::Whole(held),
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
        turn: &mut Turn<'_>,
    ) -> Verdict {
        let Event::Data(data) = event else {
            return self.receive_event(event, turn);
        };
        let Dialogue { expect, answer } = dialogue;
        let Some(answer) = answer else {
            return self.receive_reply(data, expect, turn);
        };
        match self.progress.ear.hear(&data, answer, self.in_message) {
            Heard::Unlike => self.receive_reply(data, expect, turn),
            Heard::Whole(bytes) => {
                let (first, bytes) = (true, &bytes[..]);
                let whole = Data {
                    first,
                    bytes,
                    ..data
                };
                self.receive_reply(whole, expect, turn)
            }
            Heard::Ask if self.may_speak() => {
                answer.append(self.outbox.writer(), turn.random);
                Ok(())
            }
            Heard::Ask | Heard::Part => Ok(()),
        }
    }

    fn receive_reply(&mut self, data: Data<'_>, expect: &Expect, turn: &mut Turn<'_>) -> Verdict {
        match expect {
            Expect::Echo => self.receive_data(data, turn),
            Expect::Prefix(prefix) => self.receive_prefixed(data, prefix.as_bytes(), turn),
            Expect::Messages(count) => self.receive_counted(data, *count, turn),
        }
    }

    /// Compares what is the prefix's, and has the rest compared as an echo.
    fn receive_prefixed(
        &mut self,
        mut data: Data<'_>,
        prefix: &[u8],
        turn: &mut Turn<'_>,
    ) -> Verdict {
        if self.awaited().is_none() {
            return self.receive_data(data, turn);
        }
        let prefixed = self.progress.prefixed;
        let rest = &prefix[prefixed..];
        if data.first {
            let of_prefix = data.frame_length.min(rest.len() as u64);
            data.frame_length -= of_prefix;
            if data.head.fin && of_prefix < rest.len() as u64 {
                self.differs("the reply is shorter than its prefix".to_owned(), turn)?;
            }
        }
        let (head, tail) = data.bytes.split_at(rest.len().min(data.bytes.len()));
        if let Some(at) = head.iter().zip(rest).position(|(came, due)| came != due) {
            self.wrong(turn, |exchange| Mismatch {
                what: "the reply does not begin with the prefix".to_owned(),
                ..Mismatch::at(exchange.answered, prefix, prefixed, head, at)
            })?;
        }
        let is_over = data.last && data.head.fin;
        self.progress.prefixed = if is_over { 0 } else { prefixed + head.len() };
        data.bytes = tail;
        self.receive_data(data, turn)
    }

    /// Counts messages, and looks at nothing but their frames.
    fn receive_counted(&mut self, data: Data<'_>, count: u64, turn: &mut Turn<'_>) -> Verdict {
        let Some(pending) = self.awaited() else {
            return Err(self.unasked(data.bytes));
        };
        if data.first {
            self.check_fragment(data.head.opcode)?;
            turn.tally.compressed += u64::from(data.head.compressed);
        }
        if data.last && data.head.fin {
            turn.tally.fragmented += u64::from(self.in_message);
            self.in_message = false;
            self.progress.replies += 1;
            if self.progress.replies == count {
                self.progress.replies = 0;
                self.verified = pending.size();
                self.complete(turn);
            }
        } else if data.last {
            self.in_message = true;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "dialogue_tests.rs"]
mod tests;

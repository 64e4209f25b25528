//! Reads what a server sends, and holds it to every rule that binds a server's frames.
//!
//! A message that comes back in fragments, with control frames between them, is as good as one in a
//! single frame.

use std::fmt;

use super::agreement::Terms;
use super::inflate::Inflater;
use super::verdict::Finding;
use super::wire::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};

/// Longest message that is kept.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// A message as sent or as it came back; if it was compressed, what it was made of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// What came.
#[derive(PartialEq, Eq)]
pub(crate) enum Event {
    Message(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// With its code, if it has one, and its reason.
    Close(Option<u16>, String),
}

/// What has come and was not understood yet.
#[derive(Default)]
pub(crate) struct Reader {
    bytes: Vec<u8>,
    /// Of these, how many are done with.
    taken: usize,
    /// permessage-deflate was agreed on.
    pub(crate) deflate: bool,
    inflater: Inflater,
    /// Compressed messages are handed out as they came.
    pub(crate) is_verbatim: bool,
    /// A message of which the last frame has not come, and whether it is compressed.
    unfinished: Option<(Message, bool)>,
    is_closed: bool,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

/// In words, as reports have it.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Message(message) => message.fmt(f),
            Event::Ping(payload) => write!(f, "a ping of {} bytes", payload.len()),
            Event::Pong(payload) => write!(f, "a pong of {} bytes", payload.len()),
            Event::Close(code, reason) => f.write_str(&close_words(*code, reason)),
        }
    }
}

/// A Close in words.
pub(super) fn close_words(code: Option<u16>, reason: &str) -> String {
    match code {
        None => "Close without a code".to_owned(),
        Some(code) if reason.is_empty() => format!("Close {code}"),
        Some(code) => format!("Close {code} {reason:?}"),
    }
}

impl Message {
    /// In words: kind, length and how it begins.
    pub(crate) fn words(&self) -> String {
        let kind = if self.opcode == TEXT {
            "text"
        } else {
            "binary"
        };
        let begin: String = String::from_utf8_lossy(&self.payload[..self.payload.len().min(24)])
            .chars()
            .flat_map(char::escape_debug)
            .collect();
        let more = if self.payload.len() > 24 { "..." } else { "" };
        format!("{kind} of {} bytes \"{begin}{more}\"", self.payload.len())
    }
}

impl Reader {
    /// Holds compressed messages to what was agreed on.
    pub(crate) fn agree(&mut self, terms: &Terms) {
        self.deflate = true;
        self.inflater = Inflater::new(!terms.server_no_context_takeover);
    }

    /// Takes what came from the wire.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event that is whole; `None` if more has to come. Fails where the server broke a rule.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Finding> {
        loop {
            let Some((header, payload)) = self.frame()? else {
                return Ok(None);
            };
            if self.is_closed {
                return illegal("sent a frame after its Close (RFC 6455, 5.5.1)");
            }
            let opcode = header & 0x0f;
            let event = match opcode {
                PING => Event::Ping(payload),
                PONG => Event::Pong(payload),
                CLOSE => {
                    self.is_closed = true;
                    close(&payload)?
                }
                _ => match self.data(header, payload)? {
                    Some(message) => Event::Message(message),
                    None => continue,
                },
            };
            return Ok(Some(event));
        }
    }

    /// Joins fragments. `None` if the message is not whole.
    fn data(&mut self, header: u8, payload: Vec<u8>) -> Result<Option<Message>, Finding> {
        let opcode = header & 0x0f;
        let rsv1 = header & 0x40 != 0;
        let (mut message, compressed) = match (self.unfinished.take(), opcode) {
            (None, CONTINUATION) => {
                return illegal("sent a continuation of nothing (RFC 6455, 5.4)");
            }
            (Some(_), TEXT | BINARY) => {
                return illegal("began a message within another one (RFC 6455, 5.4)");
            }
            (Some(_), _) if rsv1 => {
                return illegal("set RSV1 on a continuation (RFC 7692, 6.1)");
            }
            (None, _) => (Message { opcode, payload }, rsv1),
            (Some((mut message, compressed)), _) => {
                message.payload.extend_from_slice(&payload);
                (message, compressed)
            }
        };
        if message.payload.len() > MESSAGE_BYTES_MAX {
            return illegal("sent more than anybody asked for");
        }
        if header & 0x80 == 0 {
            self.unfinished = Some((message, compressed));
            return Ok(None);
        }
        if compressed && self.is_verbatim {
            return Ok(Some(message));
        }
        if compressed {
            message.payload = self.inflater.message(&message.payload).map_err(|error| {
                Finding::Illegal(format!(
                    "the server sent a compressed message that cannot be inflated: {error} (RFC 7692, 7.2)"
                ))
            })?;
        }
        if message.opcode == TEXT && std::str::from_utf8(&message.payload).is_err() {
            return illegal("sent a text message that is not UTF-8 (RFC 6455, 5.6 and 8.1)");
        }
        Ok(Some(message))
    }

    /// The first byte and the payload of the next frame, if it is whole.
    fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, Finding> {
        let bytes = &self.bytes[self.taken..];
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        self.check_header(*first, *second)?;
        let (length, header) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10)
            }
            (126 | 127, _) => return Ok(None),
            (length, _) => (u64::from(length), 2),
        };
        let is_shortest = match header {
            4 => length >= 126,
            10 => length > 0xffff,
            _ => true,
        };
        if !is_shortest {
            return illegal("did not write a length in its shortest form (RFC 6455, 5.2)");
        }
        if length > MESSAGE_BYTES_MAX as u64 {
            return illegal("announced a frame longer than anything sent");
        }
        let end = header + length as usize;
        let Some(payload) = bytes.get(header..end) else {
            return Ok(None);
        };
        let frame = (*first, payload.to_vec());
        self.taken += end;
        Ok(Some(frame))
    }

    fn check_header(&self, first: u8, second: u8) -> Result<(), Finding> {
        let opcode = first & 0x0f;
        let is_control = opcode >= CLOSE;
        let rsv_allowed = if self.deflate && !is_control { 0x40 } else { 0 };
        if first & 0x70 & !rsv_allowed != 0 {
            return illegal("set a reserved bit that means nothing (RFC 6455, 5.2)");
        }
        if !matches!(opcode, CONTINUATION..=BINARY | CLOSE..=PONG) {
            return illegal("used a reserved opcode (RFC 6455, 5.2)");
        }
        if second & 0x80 != 0 {
            return illegal("masked a frame (RFC 6455, 5.1)");
        }
        if is_control && (first & 0x80 == 0 || second > 125) {
            return illegal(
                "sent a control frame in fragments, or one over 125 bytes (RFC 6455, 5.5)",
            );
        }
        Ok(())
    }
}

fn close(body: &[u8]) -> Result<Event, Finding> {
    let (code, reason) = match body {
        [] => (None, &[][..]),
        [_] => return illegal("sent a Close with half a code (RFC 6455, 5.5.1)"),
        [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
    };
    if let Some(code @ (1005 | 1006 | 1015)) = code {
        return illegal(&format!(
            "sent a Close with {code}, which never stands on the wire (RFC 6455, 7.4.1)"
        ));
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok(Event::Close(code, reason.to_owned())),
        Err(_) => illegal("sent a Close with a reason that is not UTF-8 (RFC 6455, 5.5.1)"),
    }
}

fn illegal<T>(what: &str) -> Result<T, Finding> {
    Err(Finding::Illegal(format!("the server {what}")))
}

//! A WebSocket echo that is slow and obviously right: one byte at a time, vectors throughout, written
//! from RFC 6455 and from nothing else.

use std::sync::Arc;

use super::event::{CloseSeen, Event, Message, Outcome};
use super::inflate::Inflate;

/// What the oracle is asked to assume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// The largest message accepted, in bytes.
    pub(crate) message_bytes_max: Option<u64>,
    /// permessage-deflate is agreed on.
    pub(crate) deflates: bool,
    /// The text put in front of every message, which is then answered as text.
    pub(crate) prefix: Option<Arc<str>>,
}

/// When a fault that the first bytes of a frame already show is answered. Both are right, and they
/// differ only for a stream that ends inside the faulty frame's header or control payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// At the byte that shows it.
    None,
    /// When the frame's header, or a control frame, is whole.
    WholeHeader,
}

/// What a client must see that sent `stream` after its handshake.
pub(crate) fn echo(stream: &[u8], rules: &Rules, patience: Patience) -> Outcome {
    let mut oracle = Oracle {
        rules,
        patience,
        ..Oracle::new(rules)
    };
    for &byte in stream {
        if oracle.outcome.close.is_some() {
            break;
        }
        oracle.take(byte);
    }
    oracle.finish()
}

struct Oracle<'a> {
    rules: &'a Rules,
    patience: Patience,
    header: Vec<u8>,
    /// Known once the header is whole.
    payload_bytes: Option<u64>,
    payload: Vec<u8>,
    /// The data message that is open: what came so far, unmasked.
    open: Option<Message>,
    /// What that is inflated to, if it is compressed text.
    inflate: Inflate,
    /// The bytes of a character that is not whole.
    character: Vec<u8>,
    outcome: Outcome,
}

/// What a Close says that answers another: nothing but the code.
const NO_REASON: &str = "";

const PROTOCOL_ERROR: u16 = 1002;
const INVALID_PAYLOAD: u16 = 1007;
const MESSAGE_TOO_BIG: u16 = 1009;

impl<'a> Oracle<'a> {
    fn new(rules: &'a Rules) -> Self {
        Oracle {
            rules,
            patience: Patience::None,
            header: Vec::new(),
            payload_bytes: None,
            payload: Vec::new(),
            open: None,
            inflate: Inflate::default(),
            character: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    fn take(&mut self, byte: u8) {
        if self.payload_bytes.is_none() {
            self.header.push(byte);
            self.look_at_header();
        } else {
            let key = &self.header[self.header.len() - 4..];
            let plain = byte ^ key[self.payload.len() % 4];
            self.payload.push(plain);
            self.look_at_payload(plain);
        }
        if self.payload_bytes == Some(self.payload.len() as u64) && self.outcome.close.is_none() {
            self.end_frame();
        }
    }

    /// RFC 6455, section 5.2, from the first byte on.
    fn look_at_header(&mut self) {
        let whole = self.header.len() == header_bytes(&self.header);
        let faults = self.header_faults();
        if !faults.is_empty() {
            if whole || self.patience == Patience::None {
                self.close(PROTOCOL_ERROR, &faults);
            }
            return;
        }
        if !whole {
            return;
        }
        self.payload_bytes = declared_bytes(&self.header);
        let declared = self.payload_bytes.expect("the header is whole");
        if !self.is_control() {
            let before = self
                .open
                .as_ref()
                .map_or(0, |message| message.bytes.len() as u64);
            let total = u128::from(before) + u128::from(declared);
            let (text, compressed) = (self.opcode() == 1, self.is_compressed());
            self.open.get_or_insert_with(|| Message {
                text,
                compressed,
                ..Message::default()
            });
            if !self.inflates()
                && self
                    .rules
                    .message_bytes_max
                    .is_some_and(|limit| total > u128::from(limit))
            {
                self.close(MESSAGE_TOO_BIG, &["message too big"]);
            }
        } else if self.opcode() == 8 && declared == 1 && self.patience == Patience::None {
            self.close(PROTOCOL_ERROR, &["Close of one byte"]);
        }
    }

    /// What is wrong with as much of the header as there is, each a violation of the protocol.
    fn header_faults(&self) -> Vec<&'static str> {
        let (first, opcode) = (self.header[0], self.opcode());
        let mut faults = Vec::new();
        let mut note = |wrong: bool, fault| faults.extend(wrong.then_some(fault));
        let compresses = self.is_compressed() && matches!(opcode, 1 | 2) && self.open.is_none();
        note(first & 0x70 != 0 && !compresses, "reserved bits set");
        note(!matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10), "reserved opcode");
        note(
            self.is_control() && first & 0x80 == 0,
            "fragmented control frame",
        );
        note(
            opcode == 0 && self.open.is_none(),
            "continuation without a message",
        );
        note(
            matches!(opcode, 1 | 2) && self.open.is_some(),
            "new message inside a message",
        );
        let Some(second) = self.header.get(1) else {
            return faults;
        };
        note(second & 0x80 == 0, "unmasked frame");
        note(
            self.is_control() && second & 0x7f > 125,
            "control frame over 125 bytes",
        );
        let negative = second & 0x7f == 127 && self.header.get(2).is_some_and(|byte| *byte >= 0x80);
        let declared = if negative {
            None
        } else {
            declared_bytes(&self.header)
        };
        let not_minimal = match (second & 0x7f, declared) {
            (126, Some(length)) => length < 126,
            (127, Some(length)) => length < 65_536,
            _ => false,
        };
        note(negative, "length with its highest bit set");
        note(not_minimal, "length not in its shortest form");
        faults
    }

    fn look_at_payload(&mut self, plain: u8) {
        if self.is_control() {
            return;
        }
        let message = self
            .open
            .as_mut()
            .expect("a data frame belongs to a message");
        message.bytes.push(plain);
        let text = message.text;
        if self.inflates() {
            let before = self.inflate.text.len();
            let is_right = self.inflate.push(plain);
            self.look_at_inflated(before);
            if !is_right && self.outcome.close.is_none() {
                self.close_for_deflate();
            }
        } else if text {
            self.look_at_text(plain);
        }
    }

    /// The next byte of a text.
    fn look_at_text(&mut self, byte: u8) {
        self.character.push(byte);
        match std::str::from_utf8(&self.character) {
            Ok(_) => self.character.clear(),
            Err(error) if error.error_len().is_some() => self.close_for_text(),
            Err(_) => {}
        }
    }

    /// What a compressed text has been inflated to, of which `before` bytes have been looked at.
    fn look_at_inflated(&mut self, before: usize) {
        for at in before..self.inflate.text.len() {
            if self
                .rules
                .message_bytes_max
                .is_some_and(|limit| at as u64 >= limit)
            {
                return self.close(MESSAGE_TOO_BIG, &["message too big", "text is not UTF-8"]);
            }
            self.look_at_text(self.inflate.text[at]);
            if self.outcome.close.is_some() {
                return;
            }
        }
    }

    fn end_frame(&mut self) {
        let payload = std::mem::take(&mut self.payload);
        let (opcode, fin) = (self.opcode(), self.header[0] & 0x80 != 0);
        self.header.clear();
        self.payload_bytes = None;
        match opcode {
            8 => self.end_with_close(&payload),
            9 => {
                let inside = self.open.as_ref().map(|message| message.bytes.len());
                self.outcome.events.push(Event::Pong { payload, inside });
            }
            10 => {}
            _ => self.end_data_frame(fin),
        }
    }

    fn end_data_frame(&mut self, fin: bool) {
        let message = self
            .open
            .as_mut()
            .expect("a data frame belongs to a message");
        message.frame_ends.push(message.bytes.len());
        if !fin {
            return;
        }
        if self.inflates() {
            let before = self.inflate.text.len();
            let is_right = self.inflate.end();
            self.look_at_inflated(before);
            if self.outcome.close.is_none() && !is_right {
                self.close_for_deflate();
            }
            if self.outcome.close.is_some() {
                return;
            }
            self.inflate = Inflate::default();
        }
        if !self.character.is_empty() {
            return self.close_for_text();
        }
        let message = self.open.take().expect("a data frame belongs to a message");
        let message = self.answer(message);
        self.outcome.events.push(Event::Message(message));
    }

    /// RFC 6455, sections 5.5.1 and 7.4.
    fn end_with_close(&mut self, payload: &[u8]) {
        match payload {
            [] => self.outcome.close = Some(CloseSeen::Empty),
            [_] => self.close(PROTOCOL_ERROR, &["Close of one byte"]),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    self.close(PROTOCOL_ERROR, &["invalid close code"]);
                } else if std::str::from_utf8(reason).is_err() {
                    self.close(INVALID_PAYLOAD, &["close reason is not UTF-8"]);
                } else {
                    self.close(code, &[NO_REASON]);
                }
            }
        }
    }

    /// The message as it is answered.
    fn answer(&self, message: Message) -> Message {
        let Some(prefix) = &self.rules.prefix else {
            return message;
        };
        let replaced = if message.text {
            message.bytes
        } else {
            String::from_utf8_lossy(&message.bytes)
                .into_owned()
                .into_bytes()
        };
        let bytes = [prefix.as_bytes(), &replaced].concat();
        Message {
            text: true,
            compressed: false,
            frame_ends: vec![bytes.len()],
            bytes,
        }
    }

    fn finish(mut self) -> Outcome {
        self.outcome.partial = self.open.take().map(|message| self.answer(message));
        self.outcome
    }

    fn close_for_text(&mut self) {
        self.close(INVALID_PAYLOAD, &["text is not UTF-8"]);
    }

    fn close_for_deflate(&mut self) {
        self.close(
            INVALID_PAYLOAD,
            &["compressed data is broken", "text is not UTF-8"],
        );
    }

    /// Whether the message that is open is inflated to be looked at.
    fn inflates(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|message| message.text && message.compressed)
    }

    /// Whether the header says that a compressed message begins.
    fn is_compressed(&self) -> bool {
        self.rules.deflates && self.header[0] & 0x70 == 0x40
    }

    fn close(&mut self, code: u16, reasons: &[&str]) {
        self.outcome.close = Some(CloseSeen::Code(code));
        self.outcome.reasons = reasons.iter().map(ToString::to_string).collect();
    }

    fn opcode(&self) -> u8 {
        self.header[0] & 0x0f
    }

    fn is_control(&self) -> bool {
        self.opcode() >= 8
    }
}

/// How long the header that begins like this is, masking key included; longer than what there is while
/// that cannot be known.
fn header_bytes(header: &[u8]) -> usize {
    let Some(second) = header.get(1) else {
        return 2;
    };
    let length_bytes = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let key_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    2 + length_bytes + key_bytes
}

/// The payload length that the header declares, if that much of it is there.
fn declared_bytes(header: &[u8]) -> Option<u64> {
    let bytes = match header.get(1)? & 0x7f {
        126 => header.get(2..4)?,
        127 => header.get(2..10)?,
        short => return Some(u64::from(short)),
    };
    Some(
        bytes
            .iter()
            .fold(0, |total, byte| total << 8 | u64::from(*byte)),
    )
}

//! The client's frames as they came, for who wants to see them.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde::Serialize;

use crate::protocol::frame::{self, BINARY, CLOSE, CONTINUATION, Header, PING, PONG, TEXT};

use super::trim;

/// How many frames of a message are told of.
const FRAMES_MAX: usize = 16;

/// How many bytes of a payload are shown.
const SHOWN_BYTES_MAX: u64 = 64;

/// A frame, as it is told of.
#[derive(Debug, Serialize)]
struct Seen {
    fin: bool,
    opcode: u8,
    name: &'static str,
    masked: bool,
    key: String,
    length: u64,
    /// The payload as it came, in hexadecimal, and unmasked.
    wire: String,
    payload: String,
}

/// The frames of a message, and the control frames that came between them.
#[derive(Debug, Default, Serialize)]
struct Told {
    frames: Vec<Seen>,
    /// How many more there were.
    more: u64,
}

/// Watches what a client sends.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Of a header that is not whole.
    header: Vec<u8>,
    /// The frame whose payload comes, and how much of it is missing.
    frame: Option<(Header, u64)>,
    seen: Option<Seen>,
    /// The message that is open.
    message: Option<Told>,
    /// What there is to tell of each message that came whole, as JSON.
    told: VecDeque<String>,
    /// What came is no WebSocket any more.
    is_lost: bool,
}

impl Watch {
    /// What there is to tell of the next message, as JSON.
    pub(super) fn next(&mut self) -> Option<String> {
        let told = self.told.pop_front();
        trim(&mut self.told);
        told
    }

    /// Takes in what came, before anybody unmasks it.
    pub(super) fn watch(&mut self, mut bytes: &[u8]) {
        while !self.is_lost {
            if let Some((header, missing)) = self.frame.take() {
                let here = usize::try_from(missing).map_or(bytes.len(), |it| it.min(bytes.len()));
                let (payload, rest) = bytes.split_at(here);
                self.show(&header, header.length - missing, payload);
                bytes = rest;
                let missing = missing - here as u64;
                if missing > 0 {
                    self.frame = Some((header, missing));
                    return;
                }
                self.end(&header);
            } else if let Some((byte, rest)) = bytes.split_first() {
                bytes = rest;
                self.header.push(*byte);
                self.begin();
            } else {
                return;
            }
        }
    }

    fn begin(&mut self) {
        match frame::parse(&self.header, self.message.is_some()) {
            Ok(None) => {}
            Err(_) => self.is_lost = true,
            Ok(Some(header)) => {
                self.header.clear();
                if !header.is_control() {
                    self.message.get_or_insert_default();
                }
                let room = |told: &Told| told.frames.len() < FRAMES_MAX;
                self.seen = self
                    .message
                    .as_ref()
                    .filter(|told| room(told))
                    .map(|_| Seen {
                        fin: header.fin,
                        opcode: header.opcode,
                        name: name(header.opcode),
                        masked: true,
                        key: hex(header.key),
                        length: header.length,
                        wire: String::new(),
                        payload: String::new(),
                    });
                self.frame = Some((header, header.length));
            }
        }
    }

    /// Adds to what is shown of a frame the payload that stands at `place` in it.
    fn show(&mut self, header: &Header, place: u64, payload: &[u8]) {
        let Some(seen) = &mut self.seen else { return };
        let room = SHOWN_BYTES_MAX.saturating_sub(place) as usize;
        let shown = &payload[..payload.len().min(room)];
        let plain = (place as usize..).zip(shown);
        let plain = plain.map(|(place, byte)| byte ^ header.key[place % 4]);
        seen.payload += &hex(plain);
        seen.wire += &hex(shown.iter().copied());
    }

    fn end(&mut self, header: &Header) {
        if let Some(told) = &mut self.message {
            match self.seen.take() {
                Some(seen) => told.frames.push(seen),
                None => told.more += 1,
            }
        }
        if !header.is_control() && header.fin {
            let told = self.message.take().unwrap_or_default();
            // Nothing in it can fail to be written.
            self.told
                .push_back(serde_json::to_string(&told).unwrap_or_default());
        }
    }
}

const fn name(opcode: u8) -> &'static str {
    match opcode {
        CONTINUATION => "continuation",
        TEXT => "text",
        BINARY => "binary",
        CLOSE => "close",
        PING => "ping",
        PONG => "pong",
        _ => "reserved",
    }
}

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes.into_iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

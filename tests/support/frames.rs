//! Frames as a client sends them, right and wrong (RFC 6455, section 5.2).

use std::fmt;

use super::event::excerpt;

/// How a frame's length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthForm {
    /// In the fewest bytes, as it must be.
    Minimal,
    /// In sixteen bits.
    Bits16,
    /// In sixty-four bits.
    Bits64,
    /// In sixty-four bits, with this value instead of the truth.
    Lie(u64),
}

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// The three reserved bits, as the low bits of a byte.
    pub(crate) reserved: u8,
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    pub(crate) length_form: LengthForm,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame {
            fin,
            reserved,
            opcode,
            key,
            length_form,
            payload,
        } = self;
        let payload = excerpt(payload);
        write!(
            formatter,
            "opcode {opcode} fin {fin} reserved {reserved} key {key:?} {length_form:?} {payload}"
        )
    }
}

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

impl Frame {
    /// A whole message or control frame with this opcode.
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Frame {
            fin: true,
            reserved: 0,
            opcode,
            key: Some(KEY),
            length_form: LengthForm::Minimal,
            payload: payload.into(),
        }
    }

    pub(crate) fn text(payload: &str) -> Self {
        Frame::new(TEXT, payload)
    }

    pub(crate) fn binary(payload: &[u8]) -> Self {
        Frame::new(BINARY, payload)
    }

    pub(crate) fn ping(payload: &[u8]) -> Self {
        Frame::new(PING, payload)
    }

    /// A Close with a code and a reason.
    pub(crate) fn close(code: u16, reason: &str) -> Self {
        Frame::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same frame, not the last of its message.
    pub(crate) fn unfinished(self) -> Self {
        Frame { fin: false, ..self }
    }

    /// The same frame with another masking key.
    pub(crate) fn keyed(self, key: [u8; 4]) -> Self {
        Frame {
            key: Some(key),
            ..self
        }
    }

    /// Its header as sent.
    pub(crate) fn header(&self) -> Vec<u8> {
        let length = self.payload.len() as u64;
        let (short, extended) = match self.length_form {
            LengthForm::Minimal if length < 126 => (length as u8, Vec::new()),
            LengthForm::Minimal if length < 65_536 => (126, (length as u16).to_be_bytes().to_vec()),
            LengthForm::Minimal | LengthForm::Bits64 => (127, length.to_be_bytes().to_vec()),
            LengthForm::Bits16 => (126, (length as u16).to_be_bytes().to_vec()),
            LengthForm::Lie(claim) => (127, claim.to_be_bytes().to_vec()),
        };
        let first = u8::from(self.fin) << 7 | self.reserved << 4 | self.opcode;
        let second = u8::from(self.key.is_some()) << 7 | short;
        let mut header = vec![first, second];
        header.extend(extended);
        header.extend(self.key.iter().flatten());
        header
    }

    /// The whole frame as sent.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header();
        let key = self.key.unwrap_or_default();
        bytes.extend(
            self.payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        bytes
    }
}

/// The bytes of `frames`, one after the other.
pub(crate) fn encode(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::encode).collect()
}

/// Bytes without a pattern a bug could hide behind, the same for the same `seed`.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = state.to_le_bytes();
        bytes.extend_from_slice(&word[..word.len().min(count - bytes.len())]);
    }
    bytes
}

/// Valid UTF-8 of exactly `count` bytes with characters of one to four bytes, the same for the same
/// `seed`.
pub(crate) fn prose(count: usize, seed: u64) -> Vec<u8> {
    const CHARACTERS: [&str; 8] = [
        "a",
        "ß",
        "€",
        "😀",
        "0",
        "\u{7ff}",
        "\u{ffff}",
        "\u{10ffff}",
    ];
    let mut bytes = Vec::with_capacity(count);
    for choice in noise(count, seed) {
        let character = CHARACTERS[usize::from(choice) % CHARACTERS.len()].as_bytes();
        let fits = bytes.len() + character.len() <= count;
        bytes.extend_from_slice(if fits { character } else { b"." });
        if bytes.len() >= count {
            break;
        }
    }
    bytes
}

//! Last words: a Close, or what no server should send.

use crate::protocol::CloseCode;
use crate::protocol::frame::{CLOSE, CONTROL_BYTES_MAX};

use super::Bad;
use super::framing::Item;

/// The longest reason of a Close, in bytes: its code is in front (RFC 6455, section 5.5.1).
const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// A Close.
pub(super) fn close(code: Option<CloseCode>, reason: &str) -> Item {
    let Some(code) = code else {
        return Item::frame(CLOSE, &[]);
    };
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    let payload = [&code.to_wire().to_be_bytes(), reason.as_bytes()].concat();
    Item::frame(CLOSE, &payload)
}

/// The bytes that no server should send; nothing for what is wrong with the 101.
pub(super) fn malformed(bad: Bad) -> &'static [u8] {
    match bad {
        Bad::Accept => b"",
        // RSV1, without the extension that would use it.
        Bad::Rsv => b"\xc1\x05Hello",
        Bad::Opcode => b"\x83\x05Hello",
        // A character of two bytes that is followed by none of its own.
        Bad::Utf8 => b"\x81\x05H\xc3llo",
        Bad::Length => b"\x82\x7f\x80\0\0\0\0\0\0\x05Hello",
        // The masked "Hello" of RFC 6455, section 5.7, which only a client may send.
        Bad::Mask => b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        Bad::ControlFragment => b"\x09\x05Hello",
        Bad::Unfinished => b"\x01\x03Hel\x81\x05Hello",
        // 1005, which stands for a Close without a code.
        Bad::CloseCode => b"\x88\x02\x03\xed",
        Bad::CloseReason => b"\x88\x07\x03\xe8H\xc3llo",
    }
}

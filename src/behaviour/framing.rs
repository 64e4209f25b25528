//! What waits to be sent, and how it becomes bytes: only when it is its turn, and no more at once than fits.

use crate::protocol::frame::{BINARY, CONTINUATION, FIN, ServerHeader, TEXT};

use super::Message;

/// What something counts for that waits, beside its bytes.
const ITEM_BYTES: usize = 64;

/// Something that waits to be sent.
#[derive(Debug)]
pub(super) enum Item {
    /// The answer to the request: it leaves in a write of its own.
    Opening(Vec<u8>),
    /// A message.
    Message(Message),
    /// A binary message of so many bytes, which are made as they are sent.
    Huge(u64),
    /// A control frame, or what is no frame at all.
    Bytes(Vec<u8>),
    /// FIN, for good.
    Fin,
    /// FIN, and what comes is still taken in.
    HalfClose,
    /// RST.
    Reset,
}

impl Item {
    /// A control frame, or a whole message.
    pub(super) fn frame(opcode: u8, payload: &[u8]) -> Item {
        let mut bytes = Vec::with_capacity(payload.len() + 4);
        bytes.extend_from_slice(ServerHeader::new(FIN | opcode, payload.len() as u64).as_slice());
        bytes.extend_from_slice(payload);
        Item::Bytes(bytes)
    }

    /// A text message.
    pub(super) fn text(text: String) -> Item {
        Item::Message(Message::text(text))
    }

    /// The memory that it counts for, in bytes.
    pub(super) fn cost(&self) -> usize {
        match self {
            Item::Opening(bytes) | Item::Bytes(bytes) => ITEM_BYTES + bytes.len(),
            Item::Message(message) => message.cost(),
            Item::Huge(_) | Item::Fin | Item::HalfClose | Item::Reset => ITEM_BYTES,
        }
    }
}

impl Message {
    pub(super) fn text(text: String) -> Message {
        Message {
            is_text: true,
            payload: text.into_bytes(),
        }
    }

    /// The memory that it counts for, in bytes.
    pub(super) fn cost(&self) -> usize {
        ITEM_BYTES + self.payload.len()
    }
}

/// Where a payload comes from.
#[derive(Debug)]
enum Payload {
    Held(Vec<u8>),
    /// 0, 1, 2, ... 255, and again.
    Pattern,
}

/// A message that is being written, in frames of limited size.
#[derive(Debug)]
pub(super) struct Writing {
    opcode: u8,
    payload: Payload,
    length: u64,
    written: u64,
    /// What is missing of the frame whose header is written.
    frame_rest: u64,
    /// The longest payload of a frame.
    frame_bytes_max: u64,
}

impl Writing {
    pub(super) fn message(message: Message, fragment: Option<usize>) -> Self {
        let opcode = if message.is_text { TEXT } else { BINARY };
        let length = message.payload.len() as u64;
        Writing::new(opcode, Payload::Held(message.payload), length, fragment)
    }

    pub(super) fn huge(length: u64, fragment: Option<usize>) -> Self {
        Writing::new(BINARY, Payload::Pattern, length, fragment)
    }

    fn new(opcode: u8, payload: Payload, length: u64, fragment: Option<usize>) -> Self {
        Writing {
            opcode,
            payload,
            length,
            written: 0,
            frame_rest: 0,
            frame_bytes_max: fragment.map_or(u64::MAX, |bytes| bytes.max(1) as u64),
        }
    }

    /// The memory that it counts for, in bytes.
    pub(super) fn cost(&self) -> usize {
        match &self.payload {
            Payload::Held(bytes) => bytes.len(),
            Payload::Pattern => 0,
        }
    }

    /// Whether it is made as it is sent, and may be long.
    pub(super) fn is_huge(&self) -> bool {
        matches!(self.payload, Payload::Pattern)
    }

    /// Whether a frame is open: no other can be sent.
    pub(super) fn is_amid_frame(&self) -> bool {
        self.frame_rest > 0
    }

    /// Appends to `out` the header of the next frame, or what fits of the payload of one, so that it has
    /// `bytes_max` in all; whether that was the last.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, bytes_max: usize) -> bool {
        if self.frame_rest == 0 {
            let rest = self.length - self.written;
            self.frame_rest = rest.min(self.frame_bytes_max);
            let fin = if self.frame_rest == rest { FIN } else { 0 };
            let opcode = if self.written == 0 {
                self.opcode
            } else {
                CONTINUATION
            };
            out.extend_from_slice(ServerHeader::new(fin | opcode, self.frame_rest).as_slice());
        }
        let room = bytes_max.saturating_sub(out.len());
        let count = usize::try_from(self.frame_rest).map_or(room, |rest| rest.min(room));
        let end = self.written + count as u64;
        match &self.payload {
            Payload::Held(bytes) => {
                out.extend_from_slice(&bytes[self.written as usize..end as usize]);
            }
            Payload::Pattern => out.extend((self.written..end).map(|place| place as u8)),
        }
        self.written = end;
        self.frame_rest -= count as u64;
        self.written == self.length
    }
}

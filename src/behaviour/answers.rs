//! The echo of the session, taken apart: whole messages and control frames, in the order in which they ended.
//!
//! Where the network cuts decides how a session frames a large message. Put together again it is the same one
//! however it came, so all that follows does not depend on the cuts.

use crate::protocol::frame::{CONTROL_BYTES_MAX, FIN, PING, PONG, SERVER_HEADER_BYTES_MAX, TEXT};

use super::Message;

/// What the session says.
#[derive(Debug)]
pub(super) enum Answer {
    /// A message came whole.
    Message(Message),
    /// A Ping came, and this is the payload of its answer.
    Pong(Vec<u8>),
    /// The conversation is over; this is the payload of the Close.
    Close(Vec<u8>),
}

/// A frame whose payload has not all come.
#[derive(Clone, Copy, Debug)]
struct Frame {
    first: u8,
    remaining: usize,
}

impl Frame {
    fn is_control(self) -> bool {
        self.first & 0x08 != 0
    }
}

/// Where in the session's bytes the reading is.
#[derive(Debug, Default)]
pub(super) struct Answers {
    header: Vec<u8>,
    frame: Option<Frame>,
    message: Option<Message>,
    control: Vec<u8>,
}

impl Answers {
    /// Reads more of what the session said.
    pub(super) fn read(&mut self, mut bytes: &[u8], answers: &mut Vec<Answer>) {
        loop {
            let Some(mut frame) = self.frame.take() else {
                let Some((&byte, rest)) = bytes.split_first() else {
                    return;
                };
                bytes = rest;
                self.header.push(byte);
                self.frame = read_header(&self.header);
                continue;
            };
            self.header.clear();
            let (payload, rest) = bytes.split_at(frame.remaining.min(bytes.len()));
            bytes = rest;
            frame.remaining -= payload.len();
            self.gather(frame, payload);
            if frame.remaining > 0 {
                self.frame = Some(frame);
                return;
            }
            answers.extend(self.end(frame));
        }
    }

    /// How much it keeps of a message that is not whole, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        let message = self.message.as_ref();
        message.map_or(0, |message| message.payload.len())
    }

    fn gather(&mut self, frame: Frame, payload: &[u8]) {
        if frame.is_control() {
            self.control.extend_from_slice(payload);
            return;
        }
        let message = self.message.get_or_insert_with(|| Message {
            is_text: frame.first & 0x0f == TEXT,
            payload: Vec::new(),
        });
        message.payload.extend_from_slice(payload);
    }

    fn end(&mut self, frame: Frame) -> Option<Answer> {
        if !frame.is_control() {
            let is_final = frame.first & FIN != 0;
            let message = if is_final { self.message.take() } else { None };
            return message.map(Answer::Message);
        }
        let payload = std::mem::take(&mut self.control);
        match frame.first & 0x0f {
            // The session's own: when to ask whether somebody is there is decided by who has the queue.
            PING => None,
            PONG => Some(Answer::Pong(payload)),
            _ => Some(Answer::Close(payload)),
        }
    }
}

/// The frame that a server's header begins; none while the header is not whole.
fn read_header(header: &[u8]) -> Option<Frame> {
    debug_assert!(header.len() <= SERVER_HEADER_BYTES_MAX);
    let [first, length, rest @ ..] = header else {
        return None;
    };
    let remaining = match (usize::from(*length), rest.len()) {
        (short @ 0..=CONTROL_BYTES_MAX, _) => short,
        (126, 2) | (127, 8) => rest
            .iter()
            .fold(0, |total, byte| total << 8 | usize::from(*byte)),
        _ => return None,
    };
    Some(Frame {
        first: *first,
        remaining,
    })
}

//! Where in a frame, and in a message, the peer is, and what is held of it.

use crate::memory::slab::{Slab, SlabPool};
use crate::protocol::close::Violation;
use crate::protocol::frame::{self, CLIENT_HEADER_BYTES_MAX, FIN, Header};
use crate::protocol::policy::Policy;
use crate::protocol::utf8::Validator;

use super::control::PartialControl;

/// The kind of a message: that of its first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Binary,
}

/// How the payload of a frame that straddles receives is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Not decided: no byte of the payload has come.
    Open,
    /// Held until it is whole, then one frame.
    Hold,
    /// The reply's header is out; payload follows as it comes.
    CutThrough,
    /// As fragments of the message; `begun` when one is out, of this frame or an earlier one.
    Fragments { begun: bool },
}

/// A data frame whose payload has not all come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// FIN and opcode, as the client sent them.
    pub(super) first: u8,
    pub(super) kind: Kind,
    pub(super) way: Way,
    /// The masking key, turned to where the payload stands.
    pub(super) key: [u8; 4],
    pub(super) length: u64,
    pub(super) remaining: u64,
}

impl Frame {
    /// Whether it ends its message.
    pub(super) fn is_final(&self) -> bool {
        self.first & FIN != 0
    }

    /// Counts `count` bytes of payload as taken in.
    pub(super) fn advance(&mut self, count: usize) {
        self.remaining -= count as u64;
        self.key = ringback_mask::rotate(self.key, count);
    }
}

/// The state of the stream of frames.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    pub(super) frame: Option<Frame>,
    /// Payload held until its frame, or a fragment of it, is whole.
    pub(super) held: Option<Box<Slab>>,
    /// A control frame of which a part has come.
    pub(super) control: Option<Box<PartialControl>>,
    /// The message that is open, between its first frame and the end of its last.
    message: Option<Kind>,
    /// Its payload so far, that of the current frame included, in bytes.
    message_bytes: u64,
    validator: Validator,
    header_len: u8,
    header: [u8; CLIENT_HEADER_BYTES_MAX],
}

impl Inbound {
    /// The next header, and how many of `bytes` belong to it; none if it is not whole, and all of
    /// `bytes` are kept here.
    #[inline]
    pub(super) fn header(&mut self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        if self.header_len > 0 {
            return self.rest_of_header(bytes);
        }
        match frame::parse(bytes, self.message.is_some())? {
            Some(header) => Ok(Some((header, header.size))),
            None => {
                self.header[..bytes.len()].copy_from_slice(bytes);
                self.header_len = bytes.len() as u8;
                Ok(None)
            }
        }
    }

    fn rest_of_header(&mut self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let had = usize::from(self.header_len);
        let count = bytes.len().min(CLIENT_HEADER_BYTES_MAX - had);
        self.header[had..had + count].copy_from_slice(&bytes[..count]);
        match frame::parse(&self.header[..had + count], self.message.is_some())? {
            Some(header) => {
                self.header_len = 0;
                Ok(Some((header, header.size - had)))
            }
            None => {
                self.header_len = (had + count) as u8;
                Ok(None)
            }
        }
    }

    /// Whether a reply frame is open whose header promised bytes that have not come: nothing else can be sent.
    pub(super) fn is_reply_open(&self) -> bool {
        self.frame.is_some_and(|frame| frame.way == Way::CutThrough)
    }

    /// Gives back what is held.
    pub(super) fn release(&mut self, slabs: &mut SlabPool) {
        if let Some(slab) = self.held.take() {
            slabs.give(slab);
        }
    }

    /// Whether a message is open, or a header.
    #[inline]
    pub(super) fn is_amid(&self) -> bool {
        self.message.is_some() || self.header_len > 0
    }

    /// `ends`: the message ends with this payload.
    #[inline]
    fn check_text(&mut self, payload: &[u8], ends: bool) -> Result<(), Violation> {
        self.validator.push(payload).map_err(|_| Violation::Utf8)?;
        if ends && !self.validator.is_complete() {
            return Err(Violation::Utf8);
        }
        Ok(())
    }

    /// Begins a data frame: its message and its size are checked before any payload is accepted.
    #[inline]
    pub(super) fn begin(&mut self, header: &Header, policy: &Policy) -> Result<Frame, Violation> {
        let kind = *self.message.get_or_insert(match header.opcode {
            frame::TEXT => Kind::Text,
            _ => Kind::Binary,
        });
        self.message_bytes = self.message_bytes.saturating_add(header.length);
        if policy
            .message_bytes_max
            .is_some_and(|maximum| self.message_bytes > maximum)
        {
            return Err(Violation::MessageTooBig);
        }
        Ok(Frame {
            first: header.opcode | if header.fin { FIN } else { 0 },
            kind,
            way: Way::Open,
            key: header.key,
            length: header.length,
            remaining: header.length,
        })
    }

    /// Checks unmasked payload of `frame`; `last` when the frame ends with it.
    #[inline]
    pub(super) fn check(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        last: bool,
    ) -> Result<(), Violation> {
        match frame.kind {
            Kind::Binary => Ok(()),
            Kind::Text => self.check_text(payload, last && frame.is_final()),
        }
    }

    /// Ends a data frame; whether its message ended with it.
    #[inline]
    pub(super) fn end(&mut self, frame: &Frame) -> bool {
        if frame.is_final() {
            self.message = None;
            self.message_bytes = 0;
        }
        frame.is_final()
    }
}

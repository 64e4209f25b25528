//! Where in a frame, and in a message, the peer is, and what is held of it.

use crate::memory::slab::{Slab, SlabPool};
use crate::protocol::close::Violation;
use crate::protocol::frame::{
    self, CLIENT_HEADER_BYTES_MAX, CONTINUATION, FIN, Header, OPCODE, RSV1, TEXT,
};
use crate::protocol::inflate::Inflater;
use crate::protocol::policy::{Inflate, Policy};
use crate::protocol::utf8::Validator;

use super::control::PartialControl;

/// What the payload of a message is looked at for: its first frame says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is UTF-8.
    Text,
    /// Nothing: it is binary, or compressed text that is passed on unchecked.
    Binary,
    /// It is UTF-8 once it is inflated.
    DeflatedText,
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
    /// As fragments of the message; `begun` when one is out.
    Fragments { begun: bool },
}

/// A data frame whose payload has not all come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// FIN, RSV1 and opcode, as the client sent them.
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

    /// Whether its message is text. That is not known of what continues a compressed text that is passed on unchecked,
    /// which then counts as binary.
    #[inline]
    pub(super) fn is_text(&self) -> bool {
        match self.first & OPCODE {
            CONTINUATION => self.kind != Kind::Binary,
            opcode => opcode == TEXT,
        }
    }

    /// How many bytes of payload have been taken in.
    pub(super) fn taken_in(&self) -> u64 {
        self.length - self.remaining
    }

    /// Counts `count` bytes of payload as taken in.
    pub(super) fn advance(&mut self, count: usize) {
        self.remaining -= count as u64;
        self.key = ringback_mask::rotate(self.key, count);
    }
}

/// A frame of which not all has come.
#[derive(Debug, Default)]
pub(super) enum Unfinished {
    #[default]
    None,
    Data(Frame),
    Control(Box<PartialControl>),
}

/// The state of the stream of frames.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    pub(super) unfinished: Unfinished,
    /// Payload held until its frame, or a fragment of it, is whole.
    pub(super) held: Option<Box<Slab>>,
    /// What inflates the message that is open, if it is a compressed text of which some has come. Lost where memory
    /// was short, or on the way from another owner.
    pub(super) inflater: Option<Box<Inflater>>,
    /// The payload of the message that is open so far, that of the current frame included, in bytes.
    pub(super) message_bytes: u64,
    /// The message that is open, between its first frame and the end of its last.
    pub(super) message: Option<Kind>,
    pub(super) validator: Validator,
    /// Whether permessage-deflate is agreed on.
    pub(super) deflates: bool,
    pub(super) header_len: u8,
    pub(super) header: [u8; CLIENT_HEADER_BYTES_MAX],
}

impl Inbound {
    /// A connection just upgraded. `deflates`: whether permessage-deflate is agreed on.
    pub(super) fn new(deflates: bool) -> Self {
        Inbound {
            deflates,
            ..Inbound::default()
        }
    }

    /// The next header, and how many of `bytes` belong to it; none if it is not whole, and all of
    /// `bytes` are kept here.
    #[inline(always)] // As the parser.
    pub(super) fn header(&mut self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        if self.header_len > 0 {
            return self.rest_of_header(bytes);
        }
        match frame::parse_extended(bytes, self.message.is_some(), self.deflates)? {
            Some(header) => Ok(Some((header, header.size))),
            None => {
                self.header[..bytes.len()].copy_from_slice(bytes);
                self.header_len = bytes.len() as u8;
                Ok(None)
            }
        }
    }

    #[inline(never)]
    fn rest_of_header(&mut self, bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        let had = usize::from(self.header_len);
        let count = bytes.len().min(CLIENT_HEADER_BYTES_MAX - had);
        self.header[had..had + count].copy_from_slice(&bytes[..count]);
        let seen = &self.header[..had + count];
        match frame::parse_extended(seen, self.message.is_some(), self.deflates)? {
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
        matches!(&self.unfinished, Unfinished::Data(frame) if frame.way == Way::CutThrough)
    }

    /// Gives back what is held.
    pub(super) fn release(&mut self, slabs: &mut SlabPool) {
        if let Some(slab) = self.held.take() {
            slabs.give(slab);
        }
        if let Some(mut inflater) = self.inflater.take() {
            inflater.release(slabs);
        }
    }

    /// The data frame that is not finished.
    #[inline]
    pub(super) fn take_frame(&mut self) -> Option<Frame> {
        match self.unfinished {
            Unfinished::Data(frame) => {
                self.unfinished = Unfinished::None;
                Some(frame)
            }
            Unfinished::None | Unfinished::Control(_) => None,
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
            TEXT if !header.rsv1 => Kind::Text,
            TEXT if policy.deflate != Some(Inflate::Never) => Kind::DeflatedText,
            _ => Kind::Binary,
        });
        self.message_bytes = self.message_bytes.saturating_add(header.length);
        if kind != Kind::DeflatedText {
            self.check_size(policy)?;
        }
        let fin = if header.fin { FIN } else { 0 };
        let rsv1 = if header.rsv1 { RSV1 } else { 0 };
        Ok(Frame {
            first: fin | rsv1 | header.opcode,
            kind,
            way: Way::Open,
            key: header.key,
            length: header.length,
            remaining: header.length,
        })
    }

    /// Checks the size of the open message as it comes.
    #[inline]
    pub(super) fn check_size(&self, policy: &Policy) -> Result<(), Violation> {
        match policy.message_bytes_max {
            Some(maximum) if self.message_bytes > maximum => Err(Violation::MessageTooBig),
            _ => Ok(()),
        }
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
            // What is compressed has been looked at before.
            Kind::Binary | Kind::DeflatedText => Ok(()),
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

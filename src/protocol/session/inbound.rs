//! Where in a frame, and in a message, the peer is, and what is held of it.

use crate::memory::slab::{HOLD_BYTES_MAX, SLAB_COST_MAX, Slab, SlabPool};
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::close::Violation;
use crate::protocol::frame::{self, CLIENT_HEADER_BYTES_MAX, FIN, Header};
use crate::protocol::policy::Policy;
use crate::protocol::utf8::Validator;

use super::control::PartialControl;
use super::open::Manner;
use super::prefix::fragment_len_max;

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
    /// As fragments of the message; `begun` when one is out.
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

impl Way {
    const ALL: [Way; 5] = [
        Way::Open,
        Way::Hold,
        Way::CutThrough,
        Way::Fragments { begun: false },
        Way::Fragments { begun: true },
    ];

    fn write(self, writer: &mut Writer) {
        let place = Way::ALL.iter().position(|way| *way == self);
        writer.u8(place.unwrap_or_default() as u8);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Damage> {
        let place = usize::from(reader.u8("way")?);
        Way::ALL.get(place).copied().ok_or(Damage::value("way"))
    }
}

impl Frame {
    fn write(&self, writer: &mut Writer) {
        writer.u8(self.first);
        self.way.write(writer);
        writer.array(&self.key);
        writer.u64(self.length);
        writer.u64(self.remaining);
    }

    /// Reads a frame of a message of that kind, which has `message_bytes` so far.
    fn read(reader: &mut Reader<'_>, kind: Kind, message_bytes: u64) -> Result<Self, Damage> {
        let first = reader.u8("frame")?;
        let begins = match (first & !FIN, kind) {
            (frame::CONTINUATION, _) => false,
            (frame::TEXT, Kind::Text) | (frame::BINARY, Kind::Binary) => true,
            _ => return Err(Damage::value("frame")),
        };
        let way = Way::read(reader)?;
        let key = reader.array("key")?;
        let length = reader.u64("length")?;
        let is_right = if begins {
            length == message_bytes
        } else {
            length <= message_bytes
        };
        if !is_right || length > i64::MAX as u64 {
            return Err(Damage::value("length"));
        }
        let remaining = reader.u64("remaining")?;
        if remaining == 0 || remaining > length {
            return Err(Damage::value("remaining"));
        }
        Ok(Frame {
            first,
            kind,
            way,
            key,
            length,
            remaining,
        })
    }

    /// Whether a connection of that manner can be amid this frame and hold that of it.
    fn goes_with(&self, manner: &Manner, held: &[u8]) -> bool {
        if let Manner::Prefix(prefix) = manner {
            return prefix.may_hold(self, held);
        }
        let (taken_in, held) = (self.taken_in(), held.len() as u64);
        let holds_all = taken_in > 0 && held == taken_in;
        let may_hold = held < HOLD_BYTES_MAX as u64;
        match self.way {
            Way::Open => taken_in == 0 && held == 0,
            Way::Hold => holds_all && self.length <= HOLD_BYTES_MAX as u64,
            Way::CutThrough => taken_in > 0 && held == 0 && self.kind == Kind::Binary,
            Way::Fragments { begun: false } => holds_all && may_hold && self.kind == Kind::Text,
            Way::Fragments { begun: true } => {
                held < taken_in && may_hold && self.kind == Kind::Text
            }
        }
    }

    /// How much room there was for what is held of it.
    fn hold_bytes(&self, manner: &Manner, held: &[u8]) -> usize {
        match (manner, self.way) {
            (Manner::Prefix(_), _) => fragment_len_max(held.len(), self.remaining),
            (Manner::Echo, Way::Hold) => self.length as usize,
            (Manner::Echo, _) => HOLD_BYTES_MAX,
        }
    }
}

/// Where the peer is: between frames, or in one of these.
const BETWEEN: u8 = 0;
const IN_HEADER: u8 = 1;
const IN_FRAME: u8 = 2;
const IN_CONTROL: u8 = 3;

impl Inbound {
    /// Whether no byte of a message or a frame is remembered.
    pub(super) fn is_untouched(&self) -> bool {
        !self.is_amid() && self.control.is_none()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self.message {
            None => writer.u8(0),
            Some(kind) => {
                writer.u8(1 + kind as u8);
                writer.u64(self.message_bytes);
                writer.u8(self.validator.state());
            }
        }
        if let Some(frame) = &self.frame {
            writer.u8(IN_FRAME);
            frame.write(writer);
            writer.bytes(self.held.as_ref().map_or(&[], |slab| slab.bytes()));
        } else if let Some(control) = &self.control {
            writer.u8(IN_CONTROL);
            control.write(writer);
        } else if self.header_len > 0 {
            writer.u8(IN_HEADER);
            writer.bytes(&self.header[..usize::from(self.header_len)]);
        } else {
            writer.u8(BETWEEN);
        }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        manner: &Manner,
        slabs: &mut SlabPool,
    ) -> Result<Self, Damage> {
        let mut inbound = Inbound::default();
        inbound.read_message(reader, manner)?;
        match reader.u8("place")? {
            BETWEEN => {}
            IN_HEADER => inbound.read_header(reader)?,
            IN_FRAME => inbound.read_frame(reader, manner, slabs)?,
            IN_CONTROL => inbound.control = Some(PartialControl::read(reader)?),
            _ => return Err(Damage::value("place")),
        }
        Ok(inbound)
    }

    fn read_message(&mut self, reader: &mut Reader<'_>, manner: &Manner) -> Result<(), Damage> {
        self.message = match reader.u8("message")? {
            0 => None,
            1 => Some(Kind::Text),
            2 => Some(Kind::Binary),
            _ => return Err(Damage::value("message")),
        };
        if self.message.is_some() {
            self.message_bytes = reader.u64("message bytes")?;
            let validator = Validator::resume(reader.u8("validator")?);
            self.validator = validator.ok_or(Damage::value("validator"))?;
        }
        if !self.validator.is_complete() && self.message != Some(Kind::Text) {
            return Err(Damage::value("validator"));
        }
        let is_amid_character =
            matches!(manner, Manner::Prefix(prefix) if prefix.is_amid_character());
        if is_amid_character && self.message != Some(Kind::Binary) {
            return Err(Damage::value("unfinished character"));
        }
        Ok(())
    }

    fn read_header(&mut self, reader: &mut Reader<'_>) -> Result<(), Damage> {
        let header = reader.bytes("header", CLIENT_HEADER_BYTES_MAX - 1)?;
        let is_begun =
            !header.is_empty() && frame::parse(header, self.message.is_some()) == Ok(None);
        if !is_begun {
            return Err(Damage::value("header"));
        }
        self.header[..header.len()].copy_from_slice(header);
        self.header_len = header.len() as u8;
        Ok(())
    }

    fn read_frame(
        &mut self,
        reader: &mut Reader<'_>,
        manner: &Manner,
        slabs: &mut SlabPool,
    ) -> Result<(), Damage> {
        let kind = self.message.ok_or(Damage::value("message"))?;
        let frame = Frame::read(reader, kind, self.message_bytes)?;
        let held = reader.bytes("held", SLAB_COST_MAX)?;
        if !frame.goes_with(manner, held) {
            return Err(Damage::value("held"));
        }
        if !held.is_empty() {
            let slab = slabs.hold_again(held, frame.hold_bytes(manner, held));
            self.held = Some(slab.ok_or(Damage::value("held"))?);
        }
        self.frame = Some(frame);
        Ok(())
    }
}

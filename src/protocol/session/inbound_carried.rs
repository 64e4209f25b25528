//! Where in a frame and a message the peer is, written down and read back.

use crate::memory::slab::{HOLD_BYTES_MAX, SLAB_COST_MAX, SlabPool};
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::frame::{
    self, CLIENT_HEADER_BYTES_MAX, COMPRESSED_BINARY, COMPRESSED_TEXT, FIN,
};
use crate::protocol::utf8::Validator;

use super::control::PartialControl;
use super::inbound::{Frame, Inbound, Kind, Unfinished, Way};
use super::open::Manner;
use super::prefix::fragment_len_max;

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

    /// Reads a frame of the message that is open.
    fn read(reader: &mut Reader<'_>, kind: Kind, inbound: &Inbound) -> Result<Self, Damage> {
        let message_bytes = inbound.message_bytes;
        let first = reader.u8("frame")?;
        let begins = match (first & !FIN, kind) {
            (frame::CONTINUATION, _) => false,
            (frame::TEXT, Kind::Text) | (frame::BINARY, Kind::Binary) => true,
            (COMPRESSED_TEXT, Kind::DeflatedText | Kind::Binary)
            | (COMPRESSED_BINARY, Kind::Binary)
                if inbound.deflates =>
            {
                true
            }
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

    /// Whether a connection of that manner can be amid this frame and hold that of it. `deflates`: whether
    /// permessage-deflate is agreed on.
    fn goes_with(&self, manner: &Manner, deflates: bool, held: &[u8]) -> bool {
        if let Manner::Prefix(prefix) = manner {
            return prefix.may_hold(self, held);
        }
        let (taken_in, held) = (self.taken_in(), held.len() as u64);
        let holds_all = taken_in > 0 && held == taken_in;
        let may_hold = held < HOLD_BYTES_MAX as u64;
        // What is not looked at any more may have been begun as text.
        let is_text = self.kind != Kind::Binary || deflates;
        match self.way {
            Way::Open => taken_in == 0 && held == 0,
            Way::Hold => holds_all && self.length <= HOLD_BYTES_MAX as u64,
            Way::CutThrough => taken_in > 0 && held == 0 && self.kind == Kind::Binary,
            Way::Fragments { begun: false } => holds_all && may_hold && is_text,
            Way::Fragments { begun: true } => held < taken_in && may_hold && is_text,
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
        !self.is_amid() && matches!(self.unfinished, Unfinished::None)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.flag(self.deflates);
        match self.message {
            None => writer.u8(0),
            Some(kind) => {
                writer.u8(1 + kind as u8);
                writer.u64(self.message_bytes);
                // What an inflater remembers cannot be carried, so neither need be what came out of it.
                let validator = match kind {
                    Kind::DeflatedText => Validator::default(),
                    Kind::Text | Kind::Binary => self.validator,
                };
                writer.u8(validator.state());
            }
        }
        match &self.unfinished {
            Unfinished::Data(frame) => {
                writer.u8(IN_FRAME);
                frame.write(writer);
                writer.bytes(self.held.as_ref().map_or(&[], |slab| slab.bytes()));
            }
            Unfinished::Control(control) => {
                writer.u8(IN_CONTROL);
                control.write(writer);
            }
            Unfinished::None if self.header_len > 0 => {
                writer.u8(IN_HEADER);
                writer.bytes(&self.header[..usize::from(self.header_len)]);
            }
            Unfinished::None => writer.u8(BETWEEN),
        }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        manner: &Manner,
        slabs: &mut SlabPool,
    ) -> Result<Self, Damage> {
        let mut inbound = Inbound::new(reader.flag("deflates")?);
        if inbound.deflates && matches!(manner, Manner::Prefix(_)) {
            return Err(Damage::value("deflates"));
        }
        inbound.read_message(reader, manner)?;
        match reader.u8("place")? {
            BETWEEN => {}
            IN_HEADER => inbound.read_header(reader)?,
            IN_FRAME => inbound.read_frame(reader, manner, slabs)?,
            IN_CONTROL => inbound.unfinished = Unfinished::Control(PartialControl::read(reader)?),
            _ => return Err(Damage::value("place")),
        }
        Ok(inbound)
    }

    fn read_message(&mut self, reader: &mut Reader<'_>, manner: &Manner) -> Result<(), Damage> {
        self.message = match reader.u8("message")? {
            0 => None,
            1 => Some(Kind::Text),
            2 => Some(Kind::Binary),
            3 if self.deflates => Some(Kind::DeflatedText),
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
        let is_begun = !header.is_empty()
            && frame::parse_extended(header, self.message.is_some(), self.deflates) == Ok(None);
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
        let frame = Frame::read(reader, kind, self)?;
        let held = reader.bytes("held", SLAB_COST_MAX)?;
        if !frame.goes_with(manner, self.deflates, held) {
            return Err(Damage::value("held"));
        }
        if !held.is_empty() {
            let slab = slabs.hold_again(held, frame.hold_bytes(manner, held));
            self.held = Some(slab.ok_or(Damage::value("held"))?);
        }
        self.unfinished = Unfinished::Data(frame);
        Ok(())
    }
}

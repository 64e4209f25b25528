//! Control frames: at most 125 bytes, answered whole, never cut (RFC 6455, section 5.5).

use crate::memory::slab::SlabPool;
use crate::protocol::carried::{Damage, Reader, Writer};
use crate::protocol::close::{CloseCode, Ending, Violation};
use crate::protocol::frame::{
    CLOSE, CONTROL_BYTES_MAX, FIN, Header, PING, PONG, SHORT_HEADER_BYTES, ServerHeader,
};
use crate::protocol::reply::{Piece, Reply};
use crate::protocol::tally::{Opcode, Tally};
use crate::protocol::utf8;

use super::Turn;
use super::inbound::{Inbound, Unfinished};
use super::open::Flow;
use super::window::Window;

/// What a code takes of a Close's payload.
const CODE_BYTES: usize = 2;

/// A control frame of which a part has come.
///
/// A box of its own, since a connection that cuts its control frames is rare and all others should not
/// carry 125 bytes for it.
#[derive(Debug)]
pub(super) struct PartialControl {
    header: Header,
    len: usize,
    payload: [u8; CONTROL_BYTES_MAX],
}

impl PartialControl {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.u8(self.header.opcode);
        writer.array(&self.header.key);
        writer.u8(self.header.length as u8);
        writer.bytes(&self.payload[..self.len]);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Box<Self>, Damage> {
        let opcode = reader.u8("control opcode")?;
        if !matches!(opcode, CLOSE | PING | PONG) {
            return Err(Damage::value("control opcode"));
        }
        let key = reader.array("control key")?;
        let length = reader.u8("control length")?;
        if !(1..=CONTROL_BYTES_MAX).contains(&usize::from(length)) {
            return Err(Damage::value("control length"));
        }
        let come = reader.bytes("control payload", usize::from(length) - 1)?;
        let mut payload = [0; CONTROL_BYTES_MAX];
        payload[..come.len()].copy_from_slice(come);
        Ok(Box::new(PartialControl {
            header: Header {
                fin: true,
                rsv1: false,
                opcode,
                key,
                length: u64::from(length),
                size: SHORT_HEADER_BYTES,
            },
            len: come.len(),
            payload,
        }))
    }

    fn missing(&self) -> usize {
        self.header.length as usize - self.len
    }
}

impl Inbound {
    /// Takes in a control frame whose header has just been read.
    pub(super) fn begin_control(
        &mut self,
        turn: &mut Turn<'_>,
        header: Header,
        window: &mut Window<'_>,
        reply: &mut Reply,
    ) -> Result<Option<Flow>, Violation> {
        let length = header.length as usize;
        if window.unread_len() < length {
            let control = PartialControl {
                header,
                len: 0,
                payload: [0; CONTROL_BYTES_MAX],
            };
            self.unfinished = Unfinished::Control(Box::new(control));
            return self.continue_control(turn, window, reply);
        }
        let payload = window.take(length, header.key);
        answer(header.opcode, payload, reply, turn)
    }

    /// Takes in more of a control frame.
    pub(super) fn continue_control(
        &mut self,
        turn: &mut Turn<'_>,
        window: &mut Window<'_>,
        reply: &mut Reply,
    ) -> Result<Option<Flow>, Violation> {
        let Unfinished::Control(control) = &mut self.unfinished else {
            return Ok(None);
        };
        let count = window.unread_len().min(control.missing());
        let key = ringback_mask::rotate(control.header.key, control.len);
        control.payload[control.len..][..count].copy_from_slice(window.take(count, key));
        control.len += count;
        if control.missing() > 0 {
            return Ok(None);
        }
        let opcode = control.header.opcode;
        let payload = &control.payload[..control.len];
        let answered = answer(opcode, payload, reply, turn);
        self.unfinished = Unfinished::None;
        answered
    }
}

/// Appends the Close that tells `ending`. One for silence or a drain stays inline; the reasons of
/// violations are longer and take a slab.
pub(super) fn append_close(ending: Ending, after: &mut Piece, turn: &mut Turn<'_>) {
    let reason = if turn.policy.close_reasons {
        ending.reason().as_bytes()
    } else {
        &[]
    };
    let mut frame = [0; 2 + CONTROL_BYTES_MAX];
    let code_frame = ending.code().frame();
    let (head, room) = frame.split_at_mut(code_frame.len());
    head.copy_from_slice(&code_frame);
    head[1] += reason.len() as u8;
    room[..reason.len()].copy_from_slice(reason);
    after.append(&frame[..code_frame.len() + reason.len()], turn.slabs);
    turn.tally.closes.server.at(Some(ending.code())).add(1);
    count_sent(turn.tally, Opcode::Close, CODE_BYTES + reason.len());
}

/// Counts a control frame that has come, and its answer, of which only a Close's may be shorter.
pub(super) fn count_control(tally: &Tally, opcode: u8, payload_bytes: usize) {
    let (received, answer) = match opcode {
        PING => (Opcode::Ping, Some((Opcode::Pong, payload_bytes))),
        CLOSE => {
            let code_bytes = payload_bytes.min(CODE_BYTES);
            (Opcode::Close, Some((Opcode::Close, code_bytes)))
        }
        _ => (Opcode::Pong, None),
    };
    tally.messages.received_alone(received).add(1);
    let bytes = tally.payload_bytes.received_alone(received);
    bytes.add(payload_bytes as u64);
    if let Some((opcode, bytes)) = answer {
        count_sent(tally, opcode, bytes);
    }
}

/// Counts a frame that is sent and is no echo.
pub(super) fn count_sent(tally: &Tally, opcode: Opcode, payload_bytes: usize) {
    tally.messages.sent_alone(opcode).add(1);
    let bytes = tally.payload_bytes.sent_alone(opcode);
    bytes.add(payload_bytes as u64);
}

/// Answers a whole control frame outside of the window.
fn answer(
    opcode: u8,
    payload: &[u8],
    reply: &mut Reply,
    turn: &mut Turn<'_>,
) -> Result<Option<Flow>, Violation> {
    match opcode {
        PING => {
            let header = ServerHeader::new(FIN | PONG, payload.len() as u64);
            let mut slab = turn.slabs.take(header.as_slice().len() + payload.len());
            slab.append(header.as_slice());
            slab.append(payload);
            reply.before.append_slab(slab, turn.slabs);
        }
        CLOSE => {
            let code = answer_close(payload, &mut reply.after, turn.slabs)?;
            turn.tally.closes.peer.at(code).add(1);
            if let Some(visit) = turn.visit() {
                visit.note_close(code);
            }
            count_control(turn.tally, opcode, payload.len());
            return Ok(Some(Flow::Closed));
        }
        _ => {}
    }
    count_control(turn.tally, opcode, payload.len());
    Ok(None)
}

/// Checks a Close and answers it with its code alone (section 5.5.1), which is returned.
fn answer_close(
    payload: &[u8],
    after: &mut Piece,
    slabs: &mut SlabPool,
) -> Result<Option<CloseCode>, Violation> {
    match payload {
        [] => {
            after.append(&[FIN | CLOSE, 0], slabs);
            Ok(None)
        }
        [_] => Err(Violation::ShortClose),
        [high, low, reason @ ..] => {
            let code = CloseCode::from_wire(u16::from_be_bytes([*high, *low]))
                .ok_or(Violation::CloseCode)?;
            if !utf8::is_valid(reason) {
                return Err(Violation::CloseReason);
            }
            after.append(&code.frame(), slabs);
            Ok(Some(code))
        }
    }
}

//! What a client reads: server frames, strictly (RFC 6455, sections 5.1 to 5.5), fragment boundaries
//! kept.

use super::event::{CloseSeen, Event, Message, Outcome};

/// Server bytes, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replies {
    /// What was seen.
    pub(crate) outcome: Outcome,
    /// Whether the bytes end inside a frame.
    pub(crate) truncated: bool,
}

/// Reads `bytes`, everything a server sent after its 101.
///
/// # Errors
/// What a strict client would fail the connection for.
pub(crate) fn read(bytes: &[u8]) -> Result<Replies, String> {
    read_extended(bytes, false)
}

/// The same where permessage-deflate is agreed on, if `deflates` says so. Compressed messages are left as they are.
pub(crate) fn read_extended(mut bytes: &[u8], deflates: bool) -> Result<Replies, String> {
    let mut replies = Replies::default();
    let mut open: Option<Message> = None;
    while !bytes.is_empty() {
        if replies.outcome.close.is_some() {
            return Err(format!("{} bytes after the Close", bytes.len()));
        }
        let Some((header, rest)) = read_header(bytes, deflates)? else {
            replies.truncated = true;
            break;
        };
        let there = rest
            .len()
            .min(usize::try_from(header.length).unwrap_or(usize::MAX));
        let (payload, after) = rest.split_at(there);
        let whole = there as u64 == header.length;
        replies.truncated = !whole;
        bytes = after;
        match header.opcode {
            0..=2 => take_data(&mut replies.outcome, &mut open, &header, payload, whole)?,
            _ if whole => take_control(&mut replies.outcome, &open, header.opcode, payload)?,
            _ => {}
        }
    }
    replies.outcome.partial = open;
    Ok(replies)
}

struct Header {
    fin: bool,
    compressed: bool,
    opcode: u8,
    length: u64,
}

/// The header at the start of `bytes` and what follows it; none if it is not whole.
fn read_header(bytes: &[u8], deflates: bool) -> Result<Option<(Header, &[u8])>, String> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    let compressed = deflates && first & 0x70 == 0x40 && matches!(opcode, 1 | 2);
    if first & 0x70 != 0 && !compressed {
        return Err("a reserved bit is set".into());
    }
    if second & 0x80 != 0 {
        return Err("a server's frame is masked".into());
    }
    let (length, least, rest) = match second & 0x7f {
        126 if rest.len() >= 2 => (be(&rest[..2]), 126, &rest[2..]),
        127 if rest.len() >= 8 => (be(&rest[..8]), 65_536, &rest[8..]),
        126 | 127 => return Ok(None),
        short => (u64::from(short), 0, rest),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(format!(
            "length {length} is not written in the fewest bytes"
        ));
    }
    match opcode {
        0..=2 => {}
        8..=10 if !fin => return Err("a fragmented control frame".into()),
        8..=10 if length > 125 => return Err("a control frame over 125 bytes".into()),
        8..=10 => {}
        _ => return Err(format!("opcode {opcode}")),
    }
    Ok(Some((
        Header {
            fin,
            compressed,
            opcode,
            length,
        },
        rest,
    )))
}

fn be(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |total, byte| total << 8 | u64::from(*byte))
}

fn take_data(
    outcome: &mut Outcome,
    open: &mut Option<Message>,
    header: &Header,
    payload: &[u8],
    whole: bool,
) -> Result<(), String> {
    match (header.opcode, open.is_some()) {
        (0, false) => return Err("a continuation of nothing".into()),
        (1 | 2, true) => return Err("a new message inside a message".into()),
        _ => {}
    }
    let text = header.opcode == 1;
    let message = open.get_or_insert_with(|| Message {
        text,
        compressed: header.compressed,
        ..Message::default()
    });
    message.bytes.extend_from_slice(payload);
    if whole {
        message.frame_ends.push(message.bytes.len());
    }
    if whole && header.fin {
        let message = open.take().expect("a message is open");
        if message.text && !message.compressed && std::str::from_utf8(&message.bytes).is_err() {
            return Err("a text message that is not UTF-8".into());
        }
        outcome.events.push(Event::Message(message));
    }
    Ok(())
}

fn take_control(
    outcome: &mut Outcome,
    open: &Option<Message>,
    opcode: u8,
    payload: &[u8],
) -> Result<(), String> {
    match (opcode, payload) {
        (8, []) => outcome.close = Some(CloseSeen::Empty),
        (8, [high, low, reason @ ..]) => {
            let reason = std::str::from_utf8(reason).map_err(|error| error.to_string())?;
            outcome.close = Some(CloseSeen::Code(u16::from_be_bytes([*high, *low])));
            outcome.reasons = vec![reason.to_owned()];
        }
        (8, [_]) => return Err("a Close of one byte".to_owned()),
        (9, _) => outcome.events.push(Event::Ping(payload.to_vec())),
        _ => {
            let inside = open.as_ref().map(|message| message.bytes.len());
            outcome.events.push(Event::Pong {
                payload: payload.to_vec(),
                inside,
            });
        }
    }
    Ok(())
}

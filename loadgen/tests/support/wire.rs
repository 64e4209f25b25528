//! Frames as a server reads and writes them (RFC 6455 section 5.2).

use std::io::{self, Read};

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
const MASK: u8 = 0x80;

/// Most bytes of a message that the fake takes.
const MESSAGE_BYTES_MAX: u64 = 1 << 30;

/// One frame of a client, unmasked.
pub(crate) struct Frame {
    /// FIN, RSV bits and opcode.
    pub(crate) first: u8,
    pub(crate) key: [u8; 4],
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    pub(crate) fn is_last(&self) -> bool {
        self.first & FIN != 0
    }
}

/// The head of a request, or all that came if its end did not.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The value of a header, wherever in `head` and however written.
pub(crate) fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One client frame. What is against RFC 6455 is an error that says so.
pub(crate) fn read_frame(stream: &mut impl Read) -> io::Result<Frame> {
    let mut start = [0; 2];
    stream.read_exact(&mut start)?;
    if start[1] & MASK == 0 {
        return Err(io::Error::other("a client's frame is not masked"));
    }
    let (length, least) = match start[1] & 0x7f {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            (u64::from(u16::from_be_bytes(length)), 126)
        }
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length)?;
            (u64::from_be_bytes(length), 0x1_0000)
        }
        short => (u64::from(short), 0),
    };
    if length < least {
        return Err(io::Error::other("a length is not in its minimal form"));
    }
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::other("a frame is beyond all reason"));
    }
    let mut key = [0; 4];
    stream.read_exact(&mut key)?;
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload)?;
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[index % 4];
    }
    Ok(Frame {
        first: start[0],
        key,
        payload,
    })
}

/// A server's frame.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// The same frame as a client would send it, masked with a key of zeros.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = frame(first, payload);
    let header_bytes = out.len() - payload.len();
    out[1] |= MASK;
    out.splice(header_bytes..header_bytes, [0; 4]);
    out
}

/// The same frame with its length in eight bytes, however short.
pub(crate) fn long_length(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first, 127];
    out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A message in three fragments with `between` behind each of the first two.
pub(crate) fn three_fragments(opcode: u8, parts: [&[u8]; 3], between: &[u8]) -> Vec<u8> {
    [
        &frame(opcode, parts[0])[..],
        between,
        &frame(CONTINUATION, parts[1]),
        between,
        &frame(FIN | CONTINUATION, parts[2]),
    ]
    .concat()
}

/// Cuts into three nearly equal parts.
pub(crate) fn thirds(payload: &[u8]) -> [&[u8]; 3] {
    let (first, rest) = payload.split_at(payload.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    [first, second, third]
}

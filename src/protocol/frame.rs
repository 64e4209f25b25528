//! Frame headers (RFC 6455, section 5.2): parsed as a client sends them, written as a server does.
//!
//! ```text
//! client  | FIN RSV opcode | 1 length7 | length 0, 2 or 8 bytes | masking key 4 bytes | payload
//! server  | FIN RSV opcode | 0 length7 | length 0, 2 or 8 bytes | payload
//! ```

use super::close::Violation;

/// The final fragment of a message.
pub const FIN: u8 = 0x80;
/// Continuation of a message.
pub const CONTINUATION: u8 = 0x0;
/// First or only frame of a text message.
pub const TEXT: u8 = 0x1;
/// First or only frame of a binary message.
pub const BINARY: u8 = 0x2;
/// Close.
pub const CLOSE: u8 = 0x8;
/// Ping.
pub const PING: u8 = 0x9;
/// Pong.
pub const PONG: u8 = 0xA;

/// A compressed message, in its first frame, where permessage-deflate is agreed on (RFC 7692, section 6).
pub const RSV1: u8 = 0x40;

/// The longest header a client sends, in bytes.
pub const CLIENT_HEADER_BYTES_MAX: usize = 14;
/// The longest header a server sends, in bytes.
pub const SERVER_HEADER_BYTES_MAX: usize = 10;
/// The longest payload of a control frame, in bytes (section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

pub(super) const COMPRESSED_TEXT: u8 = RSV1 | TEXT;
pub(super) const COMPRESSED_BINARY: u8 = RSV1 | BINARY;

/// The bits of a frame's first byte that are its opcode.
pub(super) const OPCODE: u8 = 0x0F;

const RESERVED_BITS: u8 = 0x70;
const CONTROL_BIT: u8 = 0x08;
const MASKED: u8 = 0x80;
const LENGTH_IN_TWO_BYTES: u8 = 126;
const LENGTH_IN_EIGHT_BYTES: u8 = 127;

/// The header of a frame from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it is the last frame of its message.
    pub fin: bool,
    /// Whether it begins a compressed message.
    pub rsv1: bool,
    /// One of this module's opcodes.
    pub opcode: u8,
    /// The masking key.
    pub key: [u8; 4],
    /// The length of the payload, in bytes.
    pub length: u64,
    /// The length of the header itself, in bytes.
    pub size: usize,
}

impl Header {
    /// Whether it is a Close, a Ping or a Pong.
    pub const fn is_control(&self) -> bool {
        self.opcode & CONTROL_BIT != 0
    }
}

/// Parses the header at the start of `bytes`; none if it is not whole yet.
///
/// `in_message` says whether a fragmented message is open. Each rule is checked as soon as the byte it
/// looks at is there, in the order of the bytes, so where the network cuts makes no difference.
///
/// # Errors
/// The first rule of section 5 that the bytes break.
#[inline]
pub fn parse(bytes: &[u8], in_message: bool) -> Result<Option<Header>, Violation> {
    parse_extended(bytes, in_message, false)
}

/// The same where permessage-deflate is agreed on, if `deflates` says so.
#[inline(always)] // A call would cost more than a tenth of what a Ping takes.
pub(super) fn parse_extended(
    bytes: &[u8],
    in_message: bool,
    deflates: bool,
) -> Result<Option<Header>, Violation> {
    let [first, rest @ ..] = bytes else {
        return Ok(None);
    };
    let fin = first & FIN != 0;
    let opcode = first & OPCODE;
    check_first(*first, in_message, deflates)?;
    let [second, rest @ ..] = rest else {
        return Ok(None);
    };
    if second & MASKED == 0 {
        return Err(Violation::Unmasked);
    }
    let length7 = second & !MASKED;
    if opcode & CONTROL_BIT != 0 && usize::from(length7) > CONTROL_BYTES_MAX {
        return Err(Violation::LongControl);
    }
    let (length, extended_bytes) = match length7 {
        LENGTH_IN_TWO_BYTES => {
            let Some((length, _)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from(u16::from_be_bytes(*length)), 2)
        }
        LENGTH_IN_EIGHT_BYTES => {
            if rest.first().is_some_and(|highest| highest & 0x80 != 0) {
                return Err(Violation::NegativeLength);
            }
            let Some((length, _)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(*length), 8)
        }
        short => (u64::from(short), 0),
    };
    if (extended_bytes == 2 && length < 126) || (extended_bytes == 8 && length < 1 << 16) {
        return Err(Violation::NonMinimalLength);
    }
    let Some((key, _)) = rest[extended_bytes..].split_first_chunk() else {
        return Ok(None);
    };
    Ok(Some(Header {
        fin,
        rsv1: first & RSV1 != 0,
        opcode,
        key: *key,
        length,
        size: 2 + extended_bytes + 4,
    }))
}

/// A whole message of up to 125 bytes in one frame that is not inflated: nearly all that most peers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShortMessage {
    /// FIN, RSV1 and the opcode.
    pub(super) first: u8,
    pub(super) key: [u8; 4],
    pub(super) length: u8,
}

/// The size of a client's header in front of a payload of up to 125 bytes.
pub(super) const SHORT_HEADER_BYTES: usize = 6;

/// The short message at the start of `bytes`, if there is one and all of it is there. Where this is none,
/// [`parse_extended`] says what there is. `deflates`: whether permessage-deflate is agreed on.
#[inline]
pub(super) fn parse_short_message(bytes: &[u8], deflates: bool) -> Option<ShortMessage> {
    const FINAL_TEXT: u8 = FIN | TEXT;
    const FINAL_BINARY: u8 = FIN | BINARY;
    const FINAL_COMPRESSED_BINARY: u8 = FIN | COMPRESSED_BINARY;
    let (&[first, second, a, b, c, d], rest) = bytes.split_first_chunk()?;
    match first {
        FINAL_TEXT | FINAL_BINARY => {}
        FINAL_COMPRESSED_BINARY if deflates => {}
        _ => return None,
    }
    let length = second ^ MASKED;
    let whole = usize::from(length) <= CONTROL_BYTES_MAX && usize::from(length) <= rest.len();
    whole.then_some(ShortMessage {
        first,
        key: [a, b, c, d],
        length,
    })
}

/// The rules on a header's first byte.
#[inline]
fn check_first(first: u8, in_message: bool, deflates: bool) -> Result<(), Violation> {
    if first & RESERVED_BITS != 0 && !(deflates && begins_compressed(first, in_message)) {
        return Err(Violation::ReservedBits);
    }
    match first & OPCODE {
        CONTINUATION if !in_message => Err(Violation::UnexpectedContinuation),
        TEXT | BINARY if in_message => Err(Violation::ExpectedContinuation),
        CONTINUATION | TEXT | BINARY => Ok(()),
        CLOSE | PING | PONG if first & FIN == 0 => Err(Violation::FragmentedControl),
        CLOSE | PING | PONG => Ok(()),
        _ => Err(Violation::ReservedOpcode),
    }
}

/// Whether a header that begins with `first` is that of a compressed message's first frame.
#[inline(never)] // Few headers have the bit set, and all others should not be held up.
fn begins_compressed(first: u8, in_message: bool) -> bool {
    matches!(first & !FIN, COMPRESSED_TEXT | COMPRESSED_BINARY) && !in_message
}

/// The header of a frame from a server.
#[derive(Clone, Copy, Debug)]
pub struct ServerHeader {
    size: u8,
    bytes: [u8; SERVER_HEADER_BYTES_MAX],
}

impl ServerHeader {
    /// The header of a frame whose first byte (FIN, RSV1 and opcode) is `first` and whose payload has
    /// `length` bytes.
    #[inline]
    pub fn new(first: u8, length: u64) -> Self {
        let mut bytes = [0; SERVER_HEADER_BYTES_MAX];
        bytes[0] = first;
        let size = if length < 126 {
            bytes[1] = length as u8;
            2
        } else if length < 1 << 16 {
            bytes[1] = LENGTH_IN_TWO_BYTES;
            bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        } else {
            bytes[1] = LENGTH_IN_EIGHT_BYTES;
            bytes[2..10].copy_from_slice(&length.to_be_bytes());
            10
        };
        ServerHeader { size, bytes }
    }

    /// The bytes to send.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.size)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(bytes: &[u8], in_message: bool) -> Option<Violation> {
        parse(bytes, in_message).err()
    }

    #[test]
    fn lengths_are_read_in_all_three_forms() {
        let short = parse(&[0x82, 0x85, 1, 2, 3, 4], false).unwrap().unwrap();
        assert_eq!((short.length, short.size, short.key), (5, 6, [1, 2, 3, 4]));
        let medium = parse(&[0x82, 0xFE, 0x01, 0x00, 1, 2, 3, 4], false)
            .unwrap()
            .unwrap();
        assert_eq!((medium.length, medium.size), (256, 8));
        let long = [0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 9, 8, 7, 6];
        let long = parse(&long, false).unwrap().unwrap();
        assert_eq!(
            (long.length, long.size, long.key),
            (65536, 14, [9, 8, 7, 6])
        );
    }

    #[test]
    fn every_proper_prefix_of_a_header_is_incomplete() {
        let header = [0x02, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 9, 8, 7, 6];
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end], false), Ok(None), "{end} bytes");
        }
    }

    #[test]
    fn each_rule_is_told_by_name_and_as_soon_as_its_byte_is_there() {
        assert_eq!(violation(&[0xC1], false), Some(Violation::ReservedBits));
        assert_eq!(violation(&[0x83], false), Some(Violation::ReservedOpcode));
        assert_eq!(violation(&[0x8B], false), Some(Violation::ReservedOpcode));
        assert_eq!(
            violation(&[0x09], false),
            Some(Violation::FragmentedControl)
        );
        assert_eq!(
            violation(&[0x80], false),
            Some(Violation::UnexpectedContinuation)
        );
        assert_eq!(
            violation(&[0x81], true),
            Some(Violation::ExpectedContinuation)
        );
        assert_eq!(violation(&[0x81, 0x01], false), Some(Violation::Unmasked));
        assert_eq!(
            violation(&[0x89, 0xFE], false),
            Some(Violation::LongControl)
        );
        assert_eq!(
            violation(&[0x82, 0xFE, 0, 125], false),
            Some(Violation::NonMinimalLength)
        );
        assert_eq!(
            violation(&[0x82, 0xFF, 0x80], false),
            Some(Violation::NegativeLength)
        );
        let long_form = [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];
        assert_eq!(
            violation(&long_form, false),
            Some(Violation::NonMinimalLength)
        );
    }

    #[test]
    fn a_server_header_uses_the_shortest_form() {
        for (length, size) in [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)] {
            let header = ServerHeader::new(FIN | BINARY, length);
            assert_eq!(header.as_slice().len(), size, "{length}");
            assert_eq!(header.as_slice()[0], 0x82);
        }
    }
}

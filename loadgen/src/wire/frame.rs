//! RFC 6455 section 5.2: opcodes, and frames as a client writes them (masked).

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// A further fragment.
    Continuation = 0x0,
    /// First frame of a text message.
    Text = 0x1,
    /// First frame of a binary message.
    Binary = 0x2,
    /// Close.
    Close = 0x8,
    /// Ping.
    Ping = 0x9,
    /// Pong.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode of a header's low four bits, unless reserved.
    pub(crate) fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return None,
        })
    }

    /// The four bits on the wire.
    pub(crate) fn bits(self) -> u8 {
        self as u8
    }

    /// Whether it may come between the fragments of a message.
    pub(crate) fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// Longest payload of a control frame (RFC 6455 section 5.5).
pub(crate) const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;

/// Bytes masked at a time: small enough that the second touch finds them in first-level cache.
const MASK_BLOCK_BYTES: usize = 4096;

/// First byte of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    /// Whether it is its message's last.
    pub(crate) fin: bool,
    /// RSV1: the message is compressed (RFC 7692 section 6); on its first frame only.
    pub(crate) compressed: bool,
    /// What it is.
    pub(crate) opcode: Opcode,
}

impl Head {
    /// A frame that is a whole message, or a control frame.
    pub(crate) fn whole(opcode: Opcode) -> Head {
        Head {
            fin: true,
            compressed: false,
            opcode,
        }
    }

    fn bits(self) -> u8 {
        let flags = (u8::from(self.fin) * FIN) | (u8::from(self.compressed) * RSV1);
        flags | self.opcode.bits()
    }
}

/// Appends one masked frame to `out`.
///
/// ```text
/// | FIN RSV1 0 0 opcode | 1 length | [16 or 64 bits of length] | key (4) | payload XOR key |
/// ```
pub(crate) fn append_frame(out: &mut Vec<u8>, head: Head, payload: &[u8], key: [u8; 4]) {
    out.push(head.bits());
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    // A block is a multiple of four bytes, so that each starts at the key's first byte.
    for block in payload.chunks(MASK_BLOCK_BYTES) {
        let start = out.len();
        out.extend_from_slice(block);
        mask(&mut out[start..], key);
    }
}

/// XORs `bytes` with the repeated `key`. Written in words so that the compiler vectorises it.
fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let key_twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key_twice).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Undoes a client frame the slow way: opcode, payload, and what follows.
    fn read_client_frame(bytes: &[u8]) -> (u8, Vec<u8>, &[u8]) {
        assert_eq!(bytes[0] & 0xf0, 0x80, "FIN set, RSV clear");
        assert_eq!(bytes[1] & 0x80, 0x80, "masked");
        let (length, at) = match bytes[1] & 0x7f {
            126 => (u16::from_be_bytes([bytes[2], bytes[3]]) as usize, 4),
            127 => (
                u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize,
                10,
            ),
            short => (short as usize, 2),
        };
        let key = &bytes[at..at + 4];
        let payload = bytes[at + 4..at + 4 + length]
            .iter()
            .enumerate()
            .map(|(index, byte)| byte ^ key[index % 4])
            .collect();
        (bytes[0] & 0x0f, payload, &bytes[at + 4 + length..])
    }

    #[test]
    fn frames_unmask_to_their_payload_at_every_length_form() {
        for length in [
            0, 1, 3, 4, 7, 8, 9, 125, 126, 127, 4095, 4096, 4097, 65_535, 65_536, 70_001,
        ] {
            let payload: Vec<u8> = (0..length).map(|index| (index * 31 % 251) as u8).collect();
            let mut out = b"before".to_vec();
            append_frame(
                &mut out,
                Head::whole(Opcode::Binary),
                &payload,
                [1, 2, 3, 0xff],
            );
            let (opcode, read, rest) = read_client_frame(&out[6..]);
            assert_eq!(opcode, 2);
            assert!(read == payload, "length {length}");
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn opcodes_round_trip() {
        let known: Vec<u8> = (0..16)
            .filter(|&bits| Opcode::from_bits(bits).is_some())
            .collect();
        assert_eq!(known, [0, 1, 2, 8, 9, 10]);
        for bits in known {
            assert_eq!(Opcode::from_bits(bits).unwrap().bits(), bits);
        }
    }
}

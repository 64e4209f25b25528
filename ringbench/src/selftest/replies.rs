//! Client frames become server frames, in place: bytes in, bytes out, no socket.
//!
//! ```text
//! masked:   | FIN, opcode | 1, length | key (4) | payload, masked |
//! reply:    | FIN, opcode | 0, length | payload |
//! ```
//!
//! A reply is four bytes shorter than what it answers, so replies always fit in front of what has not
//! been looked at yet.

const FIN_AND_RSV: u8 = 0xf0;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// Longest frame that is answered: more than any self-test sends.
pub(super) const FRAME_BYTES_MAX: usize = 1 << 20;

/// What became of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turned {
    /// Bytes of replies, at its front.
    pub(super) replies: usize,
    /// Where what was not yet looked at begins: the first bytes of a further frame.
    pub(super) rest: usize,
    /// Bytes of that frame in all, if its header is there; else 0.
    pub(super) needed: usize,
    /// A Close was among them. Nothing follows it.
    pub(super) is_closed: bool,
}

/// Turns every whole frame in `bytes` into its reply. `None` if they are no client's.
pub(super) fn turn(bytes: &mut [u8]) -> Option<Turned> {
    let mut turned = Turned::default();
    while let Some(head) = head(&bytes[turned.rest..])? {
        let frame_bytes = head.bytes + head.payload;
        if frame_bytes > FRAME_BYTES_MAX {
            return None;
        }
        if bytes.len() - turned.rest < frame_bytes {
            turned.needed = frame_bytes;
            return Some(turned);
        }
        let opcode = bytes[turned.rest] & OPCODE;
        reply(bytes, turned, head);
        turned.replies += frame_bytes - 4;
        turned.rest += frame_bytes;
        if opcode == CLOSE {
            turned.is_closed = true;
            return Some(turned);
        }
    }
    Some(turned)
}

/// Header of a client frame.
#[derive(Clone, Copy)]
struct Head {
    /// Its own length, key included.
    bytes: usize,
    payload: usize,
}

/// `None` if it is no client's, `Some(None)` if bytes are missing.
fn head(bytes: &[u8]) -> Option<Option<Head>> {
    let &[_, second, ..] = bytes else {
        return Some(None);
    };
    if second & MASKED == 0 {
        return None;
    }
    let (extended, payload) = match second & LENGTH {
        126 => (2, bytes.get(2..4).map(number)),
        127 => (8, bytes.get(2..10).map(number)),
        short => (0, Some(u64::from(short))),
    };
    let bytes_in_head = 2 + extended + 4;
    let Some(payload) = payload.filter(|_| bytes.len() >= bytes_in_head) else {
        return Some(None);
    };
    let payload = usize::try_from(payload)
        .ok()
        .filter(|payload| *payload <= FRAME_BYTES_MAX)?;
    Some(Some(Head {
        bytes: bytes_in_head,
        payload,
    }))
}

fn number(big_endian: &[u8]) -> u64 {
    big_endian
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Writes the reply to the frame at `turned.rest` behind the replies so far.
fn reply(bytes: &mut [u8], turned: Turned, head: Head) {
    let (from, to) = (turned.rest, turned.replies);
    let key_at = from + head.bytes - 4;
    let key = [
        bytes[key_at],
        bytes[key_at + 1],
        bytes[key_at + 2],
        bytes[key_at + 3],
    ];
    let first = bytes[from];
    let opcode = if first & OPCODE == PING {
        PONG
    } else {
        first & OPCODE
    };
    bytes.copy_within(from..key_at, to);
    bytes[to] = first & FIN_AND_RSV | opcode;
    bytes[to + 1] &= LENGTH;
    let payload_to = to + head.bytes - 4;
    bytes.copy_within(key_at + 4..key_at + 4 + head.payload, payload_to);
    unmask(&mut bytes[payload_to..payload_to + head.payload], key);
}

fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(eight) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: u8 = 0x1;
    const BINARY: u8 = 0x2;

    /// A whole frame in the slow and obvious way; with a key, a client's.
    fn frame(opcode: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            short @ 0..=125 => frame.push(short as u8),
            medium @ 126..=0xffff => {
                frame.push(126);
                frame.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                frame.push(127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        if let Some(key) = key {
            frame[1] |= MASKED;
            frame.extend_from_slice(&key);
        }
        let key = key.unwrap_or_default();
        frame.extend(
            payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        frame
    }

    fn request(opcode: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        frame(opcode, payload, Some(key))
    }

    /// What answers it.
    fn expected(opcode: u8, payload: &[u8]) -> Vec<u8> {
        frame(if opcode == PING { PONG } else { opcode }, payload, None)
    }

    proptest! {
        #[test]
        fn replies_are_the_same_however_the_stream_is_cut(
            frames in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..300), any::<[u8; 4]>(), any::<bool>()), 1..8),
            cuts in prop::collection::vec(1_usize..200, 1..60),
        ) {
            let mut stream = Vec::new();
            let mut replies = Vec::new();
            for (payload, key, is_ping) in &frames {
                let is_ping = *is_ping && payload.len() <= 125;
                let opcode = if is_ping { PING } else { BINARY };
                stream.extend(request(opcode, payload, *key));
                replies.extend(expected(opcode, payload));
            }
            let (mut buffer, mut seen) = (Vec::new(), Vec::new());
            let mut cuts = cuts.iter().cycle();
            while !stream.is_empty() {
                let cut = stream.len().min(*cuts.next().unwrap());
                buffer.extend(stream.drain(..cut));
                let turned = turn(&mut buffer).unwrap();
                seen.extend_from_slice(&buffer[..turned.replies]);
                buffer.drain(..turned.rest);
            }
            prop_assert_eq!(seen, replies);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_are_too_odd(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let length = bytes.len();
            if let Some(turned) = turn(&mut bytes) {
                prop_assert!(turned.replies <= turned.rest && turned.rest <= length);
            }
        }
    }

    #[test]
    fn long_frames_are_turned_and_announced() {
        for size in [125, 126, 65_535, 65_536, 300_000] {
            let payload: Vec<u8> = (0..size).map(|index| index as u8).collect();
            let whole = request(BINARY, &payload, [1, 2, 3, 4]);
            let turned = turn(&mut whole[..20].to_vec()).unwrap();
            assert_eq!((turned.rest, turned.needed), (0, whole.len()));
            let mut bytes = whole;
            let turned = turn(&mut bytes).unwrap();
            assert_eq!(turned.rest, bytes.len());
            assert!(bytes[..turned.replies] == expected(BINARY, &payload)[..]);
        }
    }

    #[test]
    fn a_close_is_the_last_reply() {
        let mut bytes = request(CLOSE, &[3, 232], [9; 4]);
        bytes.extend(request(TEXT, b"more", [1; 4]));
        let turned = turn(&mut bytes).unwrap();
        assert!(turned.is_closed);
        assert_eq!(bytes[..turned.replies], [0x88, 2, 3, 232]);
    }

    #[test]
    fn what_is_no_clients_frame_is_refused() {
        // Unmasked, and far too long.
        assert_eq!(turn(&mut [0x82, 2, 1, 1]), None);
        let mut long = [0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        assert_eq!(turn(&mut long), None);
        assert_eq!(turn(&mut []), Some(Turned::default()));
    }
}

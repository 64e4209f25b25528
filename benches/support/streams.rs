//! What clients send, and the only right answer to it.

use flate2::{Compress, Compression, FlushCompress};

use super::shown;

/// First byte of an unfragmented text frame.
const TEXT: u8 = 0x81;
/// First byte of an unfragmented binary frame.
const BINARY: u8 = 0x82;

/// Added to either: the message is compressed.
const COMPRESSED: u8 = 0x40;

/// A multiple of no power of two, so that neighbouring keys and payloads share nothing.
const STRIDE: u32 = 0x9E37_79B1;

/// Frames as they come in one receive.
#[derive(Debug)]
pub(crate) struct Stream {
    /// How it is called in a report.
    pub(crate) name: String,
    /// The masked frames.
    pub(crate) bytes: Vec<u8>,
    /// The frames that answer them.
    pub(crate) replies: Vec<u8>,
    /// How many frames there are.
    pub(crate) frames: usize,
}

impl Stream {
    /// `frames` binary frames with `payload_bytes` each.
    pub(crate) fn binary(frames: usize, payload_bytes: usize) -> &'static Stream {
        let name = format!("binary {frames} x {}", shown(payload_bytes));
        Stream::of(name, BINARY, frames, &noise(payload_bytes))
    }

    /// `frames` text frames, each `text`, which is called `kind`.
    pub(crate) fn text(kind: &str, frames: usize, text: &str) -> &'static Stream {
        let name = format!("text {kind} {frames} x {}", shown(text.len()));
        Stream::of(name, TEXT, frames, text.as_bytes())
    }

    /// One compressed text frame (RFC 7692): `text`.
    pub(crate) fn deflated_text(text: &str) -> &'static Stream {
        let mut compress = Compress::new(Compression::default(), false);
        let mut payload = Vec::with_capacity(2 * text.len() + 64);
        let flushed = compress.compress_vec(text.as_bytes(), &mut payload, FlushCompress::Sync);
        flushed.expect("there is room");
        payload.truncate(payload.len() - 4);
        let name = format!("deflated text 1 x {}", shown(text.len()));
        Stream::of(name, TEXT | COMPRESSED, 1, &payload)
    }

    /// The same as [`Stream::binary`], called compressed.
    pub(crate) fn deflated_binary(frames: usize, payload_bytes: usize) -> &'static Stream {
        let name = format!("deflated binary {frames} x {}", shown(payload_bytes));
        Stream::of(name, BINARY | COMPRESSED, frames, &noise(payload_bytes))
    }

    /// It lives as long as the process, as a socket's peer does for all that a server can tell.
    fn of(name: String, first: u8, frames: usize, payload: &[u8]) -> &'static Stream {
        let (mut bytes, mut replies) = (Vec::new(), Vec::new());
        for index in 0..frames {
            let key = (index as u32 + 1).wrapping_mul(STRIDE).to_be_bytes();
            bytes.extend(header(first, payload.len(), Some(key)));
            let masked = payload.iter().zip(key.iter().cycle());
            bytes.extend(masked.map(|(byte, key)| byte ^ key));
            replies.extend(header(first, payload.len(), None));
            replies.extend(payload);
        }
        Box::leak(Box::new(Stream {
            name,
            bytes,
            replies,
            frames,
        }))
    }
}

/// The header of a frame (RFC 6455, section 5.2), as a client sends it if there is a masking key.
pub(crate) fn header(first: u8, length: usize, key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut header = vec![first];
    match length {
        0..126 => header.push(masked | length as u8),
        126..65536 => {
            header.push(masked | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend((length as u64).to_be_bytes());
        }
    }
    header.extend(key.into_iter().flatten());
    header
}

/// Bytes without a pattern, the same in every run.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = STRIDE;
    let mut step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| step()).collect()
}

/// Records in JSON, as much as goes into `bytes`, the rest spaces: they compress about as usual messages do.
pub(crate) fn records(bytes: usize) -> String {
    let mut records = String::new();
    for (number, chunk) in noise(bytes).chunks_exact(4).enumerate() {
        let value = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        records += &format!(
            "{{\"id\":{number},\"price\":{},\"side\":\"buy\"}},",
            value % 100_000
        );
    }
    records.truncate(bytes);
    records
}

/// Prose by the kind of its characters, without the lengths: each is one text to repeat.
pub(crate) const PROSE: [(&str, &str); 4] = [
    ("ASCII", "The quick brown fox jumps over the lazy dog. "),
    ("Cyrillic", "Съешь же ещё этих мягких французских булок. "),
    (
        "Chinese",
        "天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏",
    ),
    ("emoji", "😀😃😄😁😆😅🤣😂🙂🙃😉😊😇🥰😍🤩"),
];

/// The most whole characters of `prose`, over and over, that fit into `bytes`; the rest is spaces.
pub(crate) fn text(prose: &str, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    for character in prose.chars().cycle() {
        if text.len() + character.len_utf8() > bytes {
            break;
        }
        text.push(character);
    }
    text.extend(std::iter::repeat_n(' ', bytes - text.len()));
    text
}

//! Compressed messages as clients send them, right and wrong (RFC 7692, section 7.2).

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::frames::{self, Frame};
use super::streams::{self, Stream, fragment};

/// RSV1, as a frame has it.
const COMPRESSED: u8 = 4;

/// How a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With an empty block, of which the last four bytes are left out (section 7.2.1).
    Flushed,
    /// The same, left standing.
    Whole,
    /// With a last block and a byte that makes what is added to it another (section 7.2.3.4).
    Last,
    /// With a last block.
    LastAlone,
}

const ENDS: [End; 4] = [End::Flushed, End::Whole, End::Last, End::LastAlone];

/// How a message is compressed.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    pub(crate) level: u32,
    pub(crate) window_bits: u8,
    pub(crate) end: End,
    /// The text is flushed behind so many bytes, over and over.
    pub(crate) flushed_each: usize,
}

impl Style {
    pub(crate) fn plain() -> Self {
        Style {
            level: 6,
            window_bits: 15,
            end: End::Flushed,
            flushed_each: usize::MAX,
        }
    }
}

pub(crate) fn style() -> impl Strategy<Value = Style> {
    let each = select(vec![usize::MAX, usize::MAX, 1, 7, 100, 5000]);
    (select(vec![0, 1, 6, 9]), select(ENDS.to_vec()), each).prop_map(
        |(level, end, flushed_each)| {
            let plain = Style::plain();
            Style {
                level,
                end,
                flushed_each,
                ..plain
            }
        },
    )
}

/// `bytes` as the payload of a message.
pub(crate) fn deflate(bytes: &[u8], style: &Style) -> Vec<u8> {
    let level = Compression::new(style.level);
    let mut compress = Compress::new_with_window_bits(level, false, style.window_bits);
    let mut out = Vec::new();
    let mut put = |bytes: &[u8], flush| {
        let mut rest = bytes;
        loop {
            out.reserve(1024);
            let before = compress.total_in();
            compress.compress_vec(rest, &mut out, flush).expect("room");
            rest = &rest[(compress.total_in() - before) as usize..];
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
    };
    let each = style.flushed_each.min(bytes.len().max(1));
    let pieces = bytes.chunks(each);
    let last = pieces.len().saturating_sub(1);
    for (number, piece) in pieces.enumerate() {
        let is_last = number == last && matches!(style.end, End::Last | End::LastAlone);
        put(
            piece,
            if is_last {
                FlushCompress::Finish
            } else {
                FlushCompress::Sync
            },
        );
    }
    if bytes.is_empty() {
        out = match style.end {
            End::Flushed | End::Whole => vec![0, 0, 0, 0xff, 0xff],
            End::Last | End::LastAlone => vec![3, 0],
        };
    }
    match style.end {
        End::Flushed => out.truncate(out.len() - 4),
        End::Last => out.push(0),
        End::Whole | End::LastAlone => {}
    }
    out
}

/// A whole compressed message.
pub(crate) fn frame(opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
    Frame {
        reserved: COMPRESSED,
        ..Frame::new(opcode, payload)
    }
}

/// A compressed text.
pub(crate) fn text(text: &[u8]) -> Frame {
    frame(frames::TEXT, deflate(text, &Style::plain()))
}

/// Text of so many mebibytes in about as many kibibytes.
pub(crate) fn bomb(mebibytes: usize) -> Frame {
    let style = Style {
        level: 9,
        ..Style::plain()
    };
    let part = deflate(&vec![b'0'; 1 << 20], &style);
    let whole = [&part[..], b"\x00\x00\xff\xff"].concat();
    let payload = [whole.repeat(mebibytes - 1), part].concat();
    frame(frames::TEXT, payload)
}

/// About so many bytes of blocks that have a code each and no text: the slowest that there is to inflate.
pub(crate) fn codes(bytes: usize) -> Frame {
    // A code whose only symbol is the end of the block, and the end; four of them end with a byte.
    const BLOCKS: &[u8] = b"\x04\xc0\x81\x00\x00\x00\x00\x00\x90\xff\x6b\x10\x00\x07\x02\x00\x00\x00\x00\x40\xfe\xaf\
        \x41\x00\x1c\x08\x00\x00\x00\x00\x00\xf9\xbf\x06\x01\x70\x20\x00\x00\x00\x00\x00\xe4\xff\x1a";
    let blocks = BLOCKS.repeat(bytes / BLOCKS.len());
    frame(frames::TEXT, [&blocks[..], b"\x00"].concat())
}

/// `payload` as a compressed message whose fragments end at `ends`.
pub(crate) fn fragments(opcode: u8, payload: &[u8], ends: &[usize]) -> Vec<Frame> {
    let mut message = fragment(opcode, payload, ends);
    message[0].reserved = COMPRESSED;
    message
}

/// What a compressed message holds before it is compressed, and whether it is text that is right.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![4 => 0..60_usize, 3 => 0..3000_usize, 1 => 0..60_000_usize];
    let prose = (size, any::<u64>()).prop_map(|(size, seed)| frames::prose(size, seed));
    let monotone = (0..200_000_usize).prop_map(|size| vec![b'a'; size]);
    prop_oneof![4 => prose, 1 => monotone]
}

fn splits() -> impl Strategy<Value = Vec<Index>> {
    prop_oneof![2 => Just(Vec::new()), 1 => vec(any::<Index>(), 1..6)]
}

fn message_of(opcode: u8, payload: &[u8], splits: &[Index], key: [u8; 4]) -> Vec<Frame> {
    let ends: Vec<_> = splits
        .iter()
        .map(|split| split.index(payload.len() + 1))
        .collect();
    let message = fragments(opcode, payload, &ends).into_iter();
    message.map(|frame| frame.keyed(key)).collect()
}

/// A compressed message that is right.
fn valid_message() -> impl Strategy<Value = Vec<Frame>> {
    let opcode = select(vec![frames::TEXT, frames::TEXT, frames::BINARY]);
    (opcode, plain(), style(), splits(), any::<[u8; 4]>()).prop_map(
        |(opcode, plain, style, splits, key)| {
            message_of(opcode, &deflate(&plain, &style), &splits, key)
        },
    )
}

/// A compressed message, or the misuse of one, that ends the connection, or would if it were not binary.
fn fault() -> impl Strategy<Value = Vec<Frame>> {
    let tail = 0..2000_usize;
    let bad_text = (
        select(streams::NOT_UTF8.to_vec()),
        0..3000_usize,
        tail,
        style(),
    )
        .prop_map(|((bad, _), lead, tail, style)| {
            let plain = [&frames::prose(lead, 3), bad, &frames::prose(tail, 4)].concat();
            deflate(&plain, &style)
        });
    let cut = (plain(), style(), any::<Index>()).prop_map(|(plain, style, at)| {
        let mut payload = deflate(&plain, &style);
        payload.truncate(at.index(payload.len()));
        payload
    });
    let broken = select(vec![
        vec![0x07],
        vec![0x06],
        vec![0x00, 0x05, 0x00, 0xfa, 0xfe],
        vec![0x00, 0x05, 0x00, 0xfa, 0xff, b'h'],
        vec![0x00, 0x01, 0x00, 0xfe, 0xff, b'h'],
        b"\x4b\x04\x05\x00".to_vec(),
        b"\x4b\x04\x82\x00".to_vec(),
    ]);
    let payload = prop_oneof![bad_text, cut, broken];
    let opcode = select(vec![
        frames::TEXT,
        frames::TEXT,
        frames::TEXT,
        frames::BINARY,
    ]);
    let bad = (opcode, payload, splits(), any::<[u8; 4]>())
        .prop_map(|(opcode, payload, splits, key)| message_of(opcode, &payload, &splits, key));
    let misused = (any::<bool>(), any::<bool>()).prop_map(|(on_control, compressed)| {
        if on_control {
            return vec![frame(frames::PING, "hello")];
        }
        let mut message = fragments(frames::TEXT, &deflate(b"hello", &Style::plain()), &[3]);
        message[1].reserved = COMPRESSED;
        message[0].reserved = if compressed { COMPRESSED } else { 0 };
        message
    });
    prop_oneof![4 => bad, 1 => misused]
}

/// Compressed messages and others.
pub(crate) fn valid() -> impl Strategy<Value = Vec<Frame>> {
    let part = prop_oneof![3 => valid_message(), 1 => streams::valid()];
    vec(part, 0..5).prop_map(|parts| {
        let mut frames = parts.concat();
        // What follows a Close is not looked at.
        let close = frames
            .iter()
            .position(|frame| frame.opcode == frames::CLOSE);
        frames.truncate(close.unwrap_or(frames.len()));
        frames
    })
}

/// The bytes of a stream with compressed messages that may contain a fault anywhere, and may end anywhere.
pub(crate) fn any_stream() -> impl Strategy<Value = Stream> {
    streams::perhaps_wrong(valid(), fault())
}

/// A stream short enough to be cut at every place.
pub(crate) fn short_stream() -> impl Strategy<Value = Stream> {
    let part = prop_oneof![3 => valid_message(), 1 => fault()];
    let is_short = |frames: &Vec<Frame>| {
        frames
            .iter()
            .map(|frame| frame.payload.len())
            .sum::<usize>()
            < 150
    };
    let part = part.prop_filter("short", is_short);
    vec(part, 1..4).prop_map(|parts| Stream::from(&frames::encode(&parts.concat())[..]))
}

//! Strategies: what clients send, right and wrong, and how a network cuts it.

use std::fmt;
use std::ops::{Deref, Range};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::frames::{self, Frame, LengthForm};

/// Sizes where a header or a buffer changes: RFC 6455, section 5.2, and the 16 KiB a server holds.
pub(crate) const EDGES: [usize; 16] = [
    0, 1, 124, 125, 126, 127, 128, 4096, 16_383, 16_384, 16_385, 16_386, 32_768, 65_535, 65_536,
    70_000,
];

/// Byte sequences no UTF-8 contains, each bad from the byte that the number counts.
pub(crate) const NOT_UTF8: [(&[u8], usize); 12] = [
    (b"\x80", 1),
    (b"\xbf", 1),
    (b"\xc0\xaf", 1),
    (b"\xc1\xbf", 1),
    (b"\xc3(", 2),
    (b"\xe0\x80\xaf", 2),
    (b"\xe2\x82(", 3),
    (b"\xed\xa0\x80", 2),
    (b"\xf0\x80\x80\xaf", 2),
    (b"\xf0\x9f\x98(", 4),
    (b"\xf4\x90\x80\x80", 2),
    (b"\xff", 1),
];

/// Codes that must not stand in a Close frame (RFC 6455, section 7.4).
pub(crate) const BAD_CODES: [u16; 12] = [
    0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
];

/// Codes that may.
pub(crate) const GOOD_CODES: [u16; 16] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
];

/// Bytes of a stream so long are not shown in full.
const SHOWN_BYTES_MAX: usize = 600;

/// What a client sends. Its `Debug` is one line of hexadecimal, so that a failure can be read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stream(Vec<u8>);

impl From<&[u8]> for Stream {
    fn from(bytes: &[u8]) -> Self {
        Stream(bytes.to_vec())
    }
}

impl Deref for Stream {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(SHOWN_BYTES_MAX) {
            write!(formatter, "{byte:02x}")?;
        }
        let more = self.0.len().saturating_sub(SHOWN_BYTES_MAX);
        if more > 0 {
            write!(formatter, " and {more} bytes more")
        } else {
            Ok(())
        }
    }
}

/// How a stream of bytes is cut.
#[derive(Clone, Debug)]
pub(crate) enum Cuts {
    /// Not at all.
    Whole,
    /// Into pieces of this many bytes.
    Each(usize),
    /// Into pieces of these lengths, over and over.
    Lengths(Vec<usize>),
}

impl Cuts {
    /// The pieces of a stream of `count` bytes.
    pub(crate) fn pieces(&self, count: usize) -> Vec<Range<usize>> {
        let lengths = match self {
            Cuts::Whole => vec![count.max(1)],
            Cuts::Each(length) => vec![*length],
            Cuts::Lengths(lengths) => lengths.clone(),
        };
        let mut start = 0;
        let mut pieces = Vec::new();
        for length in lengths.into_iter().cycle() {
            if start == count {
                break;
            }
            let end = count.min(start + length);
            pieces.push(start..end);
            start = end;
        }
        pieces
    }
}

pub(crate) fn cuts() -> impl Strategy<Value = Cuts> {
    let length = prop_oneof![3 => 1..20_usize, 2 => 1..2000_usize, 1 => 1..40_000_usize];
    prop_oneof![
        2 => Just(Cuts::Whole),
        2 => Just(Cuts::Each(1)),
        1 => select(vec![2, 3, 7, 1400, 16_384, 16_388, 32_768]).prop_map(Cuts::Each),
        5 => vec(length, 1..30).prop_map(Cuts::Lengths),
    ]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..40_usize, 3 => select(EDGES.to_vec()), 1 => 0..70_000_usize]
}

fn control() -> impl Strategy<Value = Frame> {
    let payload = prop_oneof![vec(any::<u8>(), 0..10), vec(any::<u8>(), 120..=125)];
    (any::<bool>(), payload, any::<[u8; 4]>()).prop_map(|(ping, payload, key)| {
        Frame::new(if ping { frames::PING } else { frames::PONG }, payload).keyed(key)
    })
}

/// A message in one or more frames with control frames between them.
fn message() -> impl Strategy<Value = Vec<Frame>> {
    let splits = prop_oneof![2 => Just(Vec::new()), 1 => vec(any::<Index>(), 1..5)];
    let controls = vec((any::<Index>(), control()), 0..3);
    (
        any::<bool>(),
        size(),
        any::<u64>(),
        any::<[u8; 4]>(),
        splits,
        controls,
    )
        .prop_map(|(text, size, seed, key, splits, controls)| {
            let bytes = if text {
                frames::prose(size, seed)
            } else {
                frames::noise(size, seed)
            };
            let opcode = if text { frames::TEXT } else { frames::BINARY };
            let ends: Vec<_> = splits.iter().map(|split| split.index(size + 1)).collect();
            let mut message = fragment(opcode, &bytes, &ends);
            message = message.into_iter().map(|frame| frame.keyed(key)).collect();
            for (place, control) in controls {
                message.insert(place.index(message.len() + 1), control);
            }
            message
        })
}

/// `bytes` as a message whose fragments end at `ends`, in any order, and at its end.
pub(crate) fn fragment(opcode: u8, bytes: &[u8], ends: &[usize]) -> Vec<Frame> {
    let mut ends = ends.to_vec();
    ends.push(bytes.len());
    ends.sort_unstable();
    let last = ends.len() - 1;
    let mut start = 0;
    let mut message = Vec::new();
    for (number, end) in ends.into_iter().enumerate() {
        let opcode = if number == 0 {
            opcode
        } else {
            frames::CONTINUATION
        };
        let frame = Frame::new(opcode, &bytes[start..end]);
        message.push(if number == last {
            frame
        } else {
            frame.unfinished()
        });
        start = end;
    }
    message
}

fn good_close() -> impl Strategy<Value = Frame> {
    prop_oneof![
        Just(Frame::new(frames::CLOSE, [])),
        (select(GOOD_CODES.to_vec()), 0..=123_usize, any::<u64>()).prop_map(
            |(code, count, seed)| {
                let reason = String::from_utf8(frames::prose(count, seed)).expect("prose is UTF-8");
                Frame::close(code, &reason)
            }
        ),
    ]
}

/// Frames of which one breaks RFC 6455, one kind of fault each.
pub(crate) fn violation() -> BoxedStrategy<Vec<Frame>> {
    let hello = || Frame::text("hello");
    let one = |frame: Frame| vec![frame];
    let opcodes = vec![3_u8, 4, 5, 6, 7, 11, 12, 13, 14, 15];
    let reserved = (1..8_u8, any::<bool>()).prop_map(move |(reserved, control)| {
        let frame = if control {
            Frame::ping(b"hello")
        } else {
            hello()
        };
        one(Frame { reserved, ..frame })
    });
    let opcode = (select(opcodes), any::<bool>()).prop_map(move |(opcode, fin)| {
        one(Frame {
            fin,
            ..Frame::new(opcode, "hello")
        })
    });
    let unmasked = select(vec![1_u8, 2, 8, 9, 10]).prop_map(move |opcode| {
        one(Frame {
            key: None,
            ..Frame::new(opcode, b"\x03\xe8".to_vec())
        })
    });
    let fragmented = select(vec![8_u8, 9, 10])
        .prop_map(move |opcode| one(Frame::new(opcode, b"\x03\xe8".to_vec()).unfinished()));
    let long = (select(vec![8_u8, 9, 10]), 126..400_usize)
        .prop_map(move |(opcode, count)| one(Frame::new(opcode, frames::prose(count, 1))));
    let continuation = any::<bool>().prop_map(move |fin| {
        one(Frame {
            fin,
            ..Frame::new(frames::CONTINUATION, "hello")
        })
    });
    let interrupted = (select(vec![1_u8, 2]), any::<bool>()).prop_map(move |(opcode, fin)| {
        vec![
            hello().unfinished(),
            Frame {
                fin,
                ..Frame::new(opcode, "again")
            },
        ]
    });
    let wide = prop_oneof![
        (0..126_usize).prop_map(|count| (LengthForm::Bits16, count)),
        (0..126_usize).prop_map(|count| (LengthForm::Bits64, count)),
        select(vec![126, 1000, 65_535]).prop_map(|count| (LengthForm::Bits64, count)),
    ];
    let not_minimal = wide.prop_map(move |(length_form, count)| {
        one(Frame {
            length_form,
            ..Frame::new(frames::BINARY, frames::noise(count, 2))
        })
    });
    let negative = select(vec![1_u64 << 63, u64::MAX, (1 << 63) + 5]).prop_map(move |claim| {
        one(Frame {
            length_form: LengthForm::Lie(claim),
            ..hello()
        })
    });
    let short_close = any::<u8>().prop_map(move |byte| one(Frame::new(frames::CLOSE, [byte])));
    let bad_code = select(BAD_CODES.to_vec()).prop_map(move |code| one(Frame::close(code, "why")));
    let bad_reason = select(NOT_UTF8.to_vec()).prop_map(move |(bytes, _)| {
        one(Frame::new(
            frames::CLOSE,
            [b"\x03\xe8ab".as_slice(), bytes].concat(),
        ))
    });
    prop_oneof![
        reserved,
        opcode,
        unmasked,
        fragmented,
        long,
        continuation,
        interrupted,
        not_minimal,
        negative,
        short_close,
        bad_code,
        bad_reason,
        bad_text(),
    ]
    .boxed()
}

/// A text message that is not UTF-8, in any number of fragments, or that ends inside a character.
fn bad_text() -> impl Strategy<Value = Vec<Frame>> {
    let cut_short = select(vec!["ß", "€", "😀"]).prop_flat_map(|character| {
        (1..character.len()).prop_map(move |count| character.as_bytes()[..count].to_vec())
    });
    let bad = prop_oneof![
        2 => select(NOT_UTF8.to_vec()).prop_map(|(bytes, _)| (bytes.to_vec(), true)),
        1 => cut_short.prop_map(|bytes| (bytes, false)),
    ];
    let lead = prop_oneof![3 => 0..60_usize, 1 => select(EDGES.to_vec())];
    (bad, lead, 0..40_usize, vec(any::<Index>(), 0..4)).prop_map(
        |((bad, goes_on), lead, tail, splits)| {
            let tail = if goes_on { tail } else { 0 };
            let bytes = [frames::prose(lead, 3), bad, frames::prose(tail, 4)].concat();
            let ends: Vec<_> = splits
                .iter()
                .map(|split| split.index(bytes.len() + 1))
                .collect();
            fragment(frames::TEXT, &bytes, &ends)
        },
    )
}

/// A valid stream: messages, control frames between and inside them, sometimes a Close.
pub(crate) fn valid() -> impl Strategy<Value = Vec<Frame>> {
    let part = prop_oneof![4 => message(), 1 => control().prop_map(|frame| vec![frame])];
    (vec(part, 0..6), option::weighted(0.3, good_close())).prop_map(|(parts, close)| {
        let mut frames: Vec<_> = parts.into_iter().flatten().collect();
        frames.extend(close);
        frames
    })
}

/// The bytes of a stream that may be valid, may contain a fault anywhere, may end anywhere.
pub(crate) fn any_stream() -> impl Strategy<Value = Stream> {
    perhaps_wrong(valid(), violation())
}

/// The bytes of frames that are `valid`, among which there may be a `fault` anywhere, and which may end anywhere.
pub(crate) fn perhaps_wrong(
    valid: impl Strategy<Value = Vec<Frame>>,
    fault: impl Strategy<Value = Vec<Frame>>,
) -> impl Strategy<Value = Stream> {
    let fault = option::weighted(0.6, (any::<Index>(), fault));
    let tail = option::weighted(0.2, any::<Index>());
    (valid, fault, tail).prop_map(|(mut frames, fault, tail)| {
        if let Some((place, faulty)) = fault {
            let place = place.index(frames.len() + 1);
            frames.splice(place..place, faulty);
        }
        let mut bytes = frames::encode(&frames);
        if let Some(tail) = tail {
            bytes.truncate(tail.index(bytes.len() + 1));
        }
        Stream(bytes)
    })
}

/// A stream short enough to be cut at every place.
pub(crate) fn short_stream() -> impl Strategy<Value = Stream> {
    let key = any::<[u8; 4]>();
    let text = (0..14_usize, any::<u64>(), vec(any::<Index>(), 0..3), key).prop_map(
        |(size, seed, splits, key)| {
            let bytes = frames::prose(size, seed);
            let ends: Vec<_> = splits.iter().map(|split| split.index(size + 1)).collect();
            let message = fragment(frames::TEXT, &bytes, &ends);
            message.into_iter().map(|frame| frame.keyed(key)).collect()
        },
    );
    let binary = (select(vec![0, 1, 5, 125, 126]), any::<u64>())
        .prop_map(|(size, seed)| vec![Frame::binary(&frames::noise(size, seed))]);
    let short_violation = violation().prop_filter("short", |frames| {
        frames
            .iter()
            .map(|frame| frame.payload.len())
            .sum::<usize>()
            < 200
    });
    let part = prop_oneof![
        4 => text,
        2 => binary,
        2 => control().prop_map(|frame| vec![frame]),
        1 => short_violation,
        1 => good_close().prop_map(|frame| vec![frame]),
    ];
    vec(part, 1..5).prop_map(|parts| Stream(frames::encode(&parts.concat())))
}

//! What becomes of a compressed message: what is right comes back as it came, what is wrong is told.

use ringback::protocol::policy::{Inflate, Policy};
use ringback::protocol::session::INFLATION_BYTES_MAX;

use crate::support::deflated::{self, Style};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::pretend::{Pretend, State};
use crate::support::replies::{self, Replies};
use crate::support::request;

/// A connection on which compressed messages are agreed to.
pub(super) fn deflating(policy: &Policy) -> Pretend<'_> {
    let mut pretend = Pretend::open(policy);
    pretend.feed(&request::with_header(
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    ));
    let response = request::read(&pretend.sent).expect("a response");
    response.assert_switched_with(Some("permessage-deflate; client_no_context_takeover"));
    pretend.sent.clear();
    pretend
}

/// What comes back for `frames`, sent in pieces of `piece_bytes`.
fn replies_to(policy: &Policy, frames: &[Frame], piece_bytes: usize) -> Replies {
    let mut pretend = deflating(policy);
    for piece in frames::encode(frames).chunks(piece_bytes) {
        pretend.feed(piece);
    }
    pretend.peer_finishes();
    replies::read_extended(&pretend.release(), true).expect("strict frames")
}

const PIECES: [usize; 4] = [1, 2, 7, usize::MAX];

#[track_caller]
fn assert_echoed(frames: &[Frame]) {
    for piece_bytes in PIECES {
        let seen = replies_to(&Policy::default(), frames, piece_bytes).outcome;
        assert_eq!(seen.close, None, "{frames:?}");
        let payload: Vec<_> = frames
            .iter()
            .flat_map(|frame| frame.payload.clone())
            .collect();
        let echoed: Vec<_> = seen
            .messages()
            .flat_map(|message| message.bytes.clone())
            .collect();
        assert_eq!(echoed, payload, "{frames:?}");
        let compressed: Vec<_> = seen.messages().map(|message| message.compressed).collect();
        let begun = frames
            .iter()
            .filter(|frame| frame.opcode != frames::CONTINUATION);
        assert_eq!(
            compressed,
            begun.map(|frame| frame.reserved == 4).collect::<Vec<_>>()
        );
    }
}

#[track_caller]
fn assert_closed(policy: &Policy, frames: &[Frame], code: u16, reason: &str) {
    for piece_bytes in PIECES {
        let seen = replies_to(policy, frames, piece_bytes).outcome;
        assert_eq!(seen.close, Some(CloseSeen::Code(code)), "{frames:?}");
        assert_eq!(seen.reasons, [reason], "{frames:?}");
        assert_eq!(seen.messages().count(), 0, "{frames:?}");
    }
}

/// RFC 7692, section 7.2.3.
#[test]
fn the_examples_of_the_rfc_come_back() {
    let hello: &[&[u8]] = &[
        // One block; two messages, of which the second does not need the first here.
        b"\xf2\x48\xcd\xc9\xc9\x07\x00",
        // No compression.
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        // BFINAL, and the byte that makes what is added another block.
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        // Two blocks.
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ];
    for payload in hello {
        assert_echoed(&[deflated::frame(frames::TEXT, *payload)]);
        for cut in 0..=payload.len() {
            assert_echoed(&deflated::fragments(frames::TEXT, payload, &[cut]));
        }
    }
}

#[test]
fn what_is_unusual_and_right_comes_back() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let whole = [&hello[..], b"\x00\x00\xff\xff"].concat();
    let flushed_often = [&whole[..], b"\x00\x00\x00\xff\xff", b"\x00"].concat();
    let texts: &[&[u8]] = &[
        b"",
        b"\x00",
        b"\x02\x00",
        b"\x03\x00",
        b"\x03\x00\x00",
        b"\x01\x00\x00\xff\xff",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
        // Two streams in a message.
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00",
        &whole,
        &flushed_often,
    ];
    for payload in texts {
        let compressed = deflated::frame(frames::TEXT, *payload);
        assert_echoed(&[compressed.clone(), Frame::text("plain"), compressed]);
        for cut in 0..=payload.len() {
            assert_echoed(&deflated::fragments(frames::TEXT, payload, &[cut, cut]));
        }
    }
}

#[test]
fn what_is_no_deflate_data_is_told() {
    let broken = "compressed data is broken";
    let payloads: &[&[u8]] = &[
        b"\x07",                                     // a kind of block that there is not
        b"\x00\x05\x00\xfa\xfe\x48",                 // lengths that do not agree
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f", // nothing behind a whole block
        b"\xf2\x48\xcd",                             // within a block
        b"\xf2\x48\xcd\xc9\xc9\x07", // behind a block, but not where what is added can follow
        b"\x4b\x04\x05\x00",         // from before the beginning
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x07", // a stream, and then none
        b"\x00\x00\xff\xff",
        &[0xff; 2000],
    ];
    for payload in payloads {
        let frames = [
            deflated::frame(frames::TEXT, *payload),
            Frame::text("too late"),
        ];
        assert_closed(&Policy::default(), &frames, 1007, broken);
        let frames = deflated::fragments(frames::TEXT, payload, &[1, payload.len()]);
        for piece_bytes in PIECES {
            let seen = replies_to(&Policy::default(), &frames, piece_bytes).outcome;
            assert_eq!(seen.close, Some(CloseSeen::Code(1007)), "{payload:?}");
        }
        // Nobody looks at what is binary.
        assert_echoed(&[deflated::frame(frames::BINARY, *payload)]);
    }
}

#[test]
fn the_bit_stands_in_the_first_frame_of_a_message_and_nowhere_else() {
    let payload = deflated::deflate(b"hello", &Style::plain());
    let mut on_continuation = deflated::fragments(frames::TEXT, &payload, &[3]);
    on_continuation[1].reserved = 4;
    let mut only_there = vec![
        Frame::text("hel").unfinished(),
        Frame::new(frames::CONTINUATION, "lo"),
    ];
    only_there[1].reserved = 4;
    let other_bit = |reserved| {
        vec![Frame {
            reserved,
            ..Frame::text("hello")
        }]
    };
    for frames in [
        on_continuation,
        only_there,
        vec![deflated::frame(frames::PING, "hello")],
        vec![deflated::frame(frames::CLOSE, b"\x03\xe8".to_vec())],
        vec![deflated::frame(frames::CONTINUATION, "hello")],
        other_bit(1),
        other_bit(2),
        other_bit(5),
        other_bit(7),
    ] {
        assert_closed(&Policy::default(), &frames, 1002, "reserved bits set");
    }
    let policy = Policy::default();
    let mut without = Pretend::open(&policy);
    without.feed(&request::upgrade());
    without.sent.clear();
    without.feed(&deflated::text(b"hello").encode());
    assert_eq!(&without.release()[..4], b"\x88\x13\x03\xea");
}

/// At the byte that shows it, not where the message ends.
#[test]
fn text_that_is_not_utf8_is_refused_as_soon_as_it_is_inflated() {
    let style = Style {
        level: 0,
        ..Style::plain()
    };
    for lead in [0, 1, 100, 511, 512, 513, 20_000, 60_000] {
        let plain = [frames::prose(lead, 5), b"\xff".to_vec(), vec![b'.'; 9000]].concat();
        let frame = deflated::frame(frames::TEXT, deflated::deflate(&plain, &style));
        let stream = frame.encode();
        let policy = Policy::default();
        let bad_at = deflated_place(&frame.payload, lead) + frame.header().len();
        let mut pretend = deflating(&policy);
        pretend.feed(&stream[..bad_at]);
        assert_eq!(pretend.state, State::Open, "behind {lead} bytes");
        pretend.feed(&stream[bad_at..=bad_at]);
        assert_eq!(pretend.state, State::HalfClosed, "behind {lead} bytes");
        let seen = replies::read_extended(&pretend.release(), true).expect("strict frames");
        assert_eq!(seen.outcome.close, Some(CloseSeen::Code(1007)));
        assert_eq!(seen.outcome.reasons, ["text is not UTF-8"]);
    }
}

/// Where the byte `place` of a text stands in stored blocks.
fn deflated_place(payload: &[u8], mut place: usize) -> usize {
    let mut at = 0;
    loop {
        let length = usize::from(u16::from_le_bytes([payload[at + 1], payload[at + 2]]));
        if place < length {
            return at + 5 + place;
        }
        place -= length;
        at += 5 + length;
    }
}

#[test]
fn a_text_is_measured_as_it_is_inflated_and_binary_as_it_comes() {
    let policy = Policy {
        message_bytes_max: Some(1000),
        ..Policy::default()
    };
    let text = |count| deflated::text(&vec![b'x'; count]);
    let binary = |count| deflated::frame(frames::BINARY, frames::noise(count, 3));
    for frame in [text(1000), binary(1000)] {
        let seen = replies_to(&policy, &[frame], 5).outcome;
        assert_eq!((seen.messages().count(), seen.close), (1, None));
    }
    for frame in [text(1001), text(1 << 30 >> 6), binary(1001)] {
        assert_closed(&policy, &[frame], 1009, "message too big");
    }
    // What does not shrink may come in a few bytes more.
    let style = Style {
        level: 0,
        ..Style::plain()
    };
    let stored = deflated::deflate(&[b'x'; 1000], &style);
    assert!(stored.len() > 1000);
    let seen = replies_to(&policy, &[deflated::frame(frames::TEXT, stored)], 5).outcome;
    assert_eq!((seen.messages().count(), seen.close), (1, None));
}

#[test]
fn nothing_is_inflated_where_nothing_is_to_be_checked() {
    let policy = Policy {
        deflate: Some(Inflate::Never),
        message_bytes_max: Some(1000),
        ..Policy::default()
    };
    let mut pretend = deflating(&policy);
    let stream = [
        deflated::frame(frames::TEXT, frames::noise(1000, 4)).encode(),
        deflated::text(&[b'x'; 100_000]).encode(),
    ];
    pretend.feed(&stream.concat());
    let tally = &pretend.tally;
    let counts = [&tally.inflated, &tally.inflated_bytes, &tally.unchecked];
    assert_eq!(counts.map(|counter| counter.get()), [0, 0, 0]);
    assert_eq!(tally.data_messages(), 2);
    assert_eq!(pretend.state, State::Open);
    pretend.feed(&Frame::new(frames::TEXT, b"\xff".to_vec()).encode());
    assert_eq!(
        pretend.state,
        State::HalfClosed,
        "what is not compressed is looked at"
    );
    pretend.release();
}

#[test]
fn what_is_inflated_is_counted() {
    let policy = Policy::default();
    let mut pretend = deflating(&policy);
    for frame in [
        deflated::text(b"hello"),
        deflated::frame(frames::BINARY, b"\x00".to_vec()),
        Frame::text("hi"),
    ] {
        pretend.feed(&frame.encode());
    }
    let tally = &pretend.tally;
    let counts = [
        &tally.deflating,
        &tally.inflated,
        &tally.inflated_bytes,
        &tally.unchecked,
    ];
    assert_eq!(counts.map(|counter| counter.get()), [1, 1, 5, 0]);
    assert_eq!(tally.data_messages(), 3);
    pretend.release();
}

/// However little a turn may inflate, all of it is done in the end.
#[test]
fn a_message_may_take_many_turns() {
    let policy = Policy::default();
    for (size, piece_bytes) in [(10_000, usize::MAX), (300_000, 1400), (300_000, usize::MAX)] {
        let frame = deflated::text(&frames::prose(size, 6));
        let expect = |inflation| {
            let mut pretend = deflating(&policy);
            pretend.inflation = inflation;
            frame
                .encode()
                .chunks(piece_bytes)
                .for_each(|piece| pretend.feed(piece));
            replies::read_extended(&pretend.release(), true)
                .expect("strict frames")
                .outcome
        };
        for inflation in [1, 700, INFLATION_BYTES_MAX] {
            let seen = expect(inflation);
            let echoed: Vec<_> = seen.messages().map(|message| &message.bytes).collect();
            assert_eq!(
                echoed,
                [&frame.payload],
                "{size} bytes, {inflation} at a time"
            );
        }
    }
}

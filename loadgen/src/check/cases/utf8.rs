//! Text is UTF-8: every class of right and wrong sequences, whole, in frames, and in segments.

use super::Table;
use crate::check::case::Case;
use crate::check::exchange::{echoes, fails};
use crate::check::wire::{Cut, Frame, Length, binary, continuation, filler, ping, text};

/// What the cases rest on.
#[rustfmt::skip]
mod rule {
    use crate::check::case::{Rule, must, should};

    pub(super) const VALID: Rule = must("RFC 6455, 5.6 and 8.1", "text is UTF-8, and every character may stand in it");
    pub(super) const INVALID: Rule = must("RFC 6455, 8.1", "bytes that are not UTF-8, where text is to be, fail the connection");
    pub(super) const FAST: Rule = should("RFC 6455, 8.1", "that text is not UTF-8 is known, and told, when the wrong byte comes");
    pub(super) const ONLY_TEXT: Rule = must("RFC 6455, 5.6", "binary data may be any bytes");
}

/// Right sequences.
const RIGHT: [(&str, &[u8]); 14] = [
    ("nul", b"\0"),
    ("ascii", b"\x01 ~\x7f"),
    ("2-bytes-first", b"\xc2\x80"),
    ("2-bytes-last", b"\xdf\xbf"),
    ("3-bytes-first", b"\xe0\xa0\x80"),
    ("3-bytes-last", b"\xef\xbf\xbf"),
    ("4-bytes-first", b"\xf0\x90\x80\x80"),
    ("4-bytes-last", b"\xf4\x8f\xbf\xbf"),
    ("below-surrogates", b"\xed\x9f\xbf"),
    ("above-surrogates", b"\xee\x80\x80"),
    ("byte-order-mark", b"\xef\xbb\xbfHello"),
    ("noncharacter", b"\xef\xb7\x90 \xf0\x9f\xbf\xbe"),
    ("replacement-character", b"\xef\xbf\xbd"),
    ("mixture", "κόσμε – 𝄞 – häß – 日本".as_bytes()),
];

/// Wrong sequences. Each is wrong whatever follows, or stands at the end.
const WRONG: [(&str, &[u8]); 26] = [
    ("continuation-first", b"\x80"),
    ("continuation-last", b"\xbf"),
    ("two-continuations", b"\x80\xbf"),
    ("continuation-behind-character", b"\xc3\xa9\x80"),
    ("2-bytes-cut", b"\xc3"),
    ("3-bytes-cut-at-1", b"\xe2"),
    ("3-bytes-cut-at-2", b"\xe2\x82"),
    ("4-bytes-cut-at-1", b"\xf0"),
    ("4-bytes-cut-at-3", b"\xf0\x9f\x98"),
    ("2-bytes-then-ascii", b"\xc3A"),
    ("3-bytes-then-ascii", b"\xe2\x82A"),
    ("4-bytes-then-ascii", b"\xf0\x9f\x98A"),
    ("start-behind-start", b"\xc3\xc3\xa9"),
    ("overlong-2-of-nul", b"\xc0\x80"),
    ("overlong-2-of-slash", b"\xc0\xaf"),
    ("overlong-2-last", b"\xc1\xbf"),
    ("overlong-3-first", b"\xe0\x80\x80"),
    ("overlong-3-last", b"\xe0\x9f\xbf"),
    ("overlong-4-first", b"\xf0\x80\x80\x80"),
    ("overlong-4-last", b"\xf0\x8f\xbf\xbf"),
    ("surrogate-first", b"\xed\xa0\x80"),
    ("surrogate-last", b"\xed\xbf\xbf"),
    ("surrogate-pair", b"\xed\xa0\x81\xed\xb0\x80"),
    ("above-10ffff", b"\xf4\x90\x80\x80"),
    ("5-bytes", b"\xf8\x88\x80\x80\x80"),
    ("fe-ff", b"\xfe\xff"),
];

/// The cases.
#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("utf8");
    for (name, bytes) in RIGHT {
        table.exchange(format!("right-{name}"), rule::VALID, echoes([text(bytes)]));
    }
    let all: Vec<u8> = RIGHT.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    table.exchange("right-all-in-frames", rule::VALID, echoes(byte_frames(&all)));
    let in_segments = echoes([text(&all)]).cut(Cut::Every(1));
    table.exchange("right-all-in-segments", rule::VALID, in_segments);
    // The longer the frame, the likelier it is looked at in blocks.
    for shift in 0..4 {
        let payload = [&filler(60 + shift)[..], "😀".repeat(200).as_bytes()].concat();
        let name = format!("right-4-bytes-shifted-by-{shift}");
        table.exchange(name, rule::VALID, echoes([text(payload)]));
    }
    for (name, bytes) in WRONG {
        let payload = [b"Hello ", bytes].concat();
        let frames = byte_frames(&payload);
        table.exchange(name, rule::INVALID, fails(&[1007], [text(&payload)]));
        table.exchange(format!("{name}-in-frames"), rule::INVALID, fails(&[1007], frames));
        let in_segments = fails(&[1007], [text(&payload)]).cut(Cut::Every(1));
        table.exchange(format!("{name}-in-segments"), rule::INVALID, in_segments);
    }
    for (name, at, length) in [
        ("begin", 0, 4096),
        ("middle", 2048, 4096),
        ("end", 4095, 4096),
        ("end-of-64-kib", 65535, 65536),
    ] {
        let mut payload = filler(length);
        payload[at] = 0xff;
        let exchange = fails(&[1007], [text(payload)]);
        table.exchange(format!("wrong-at-{name}"), rule::INVALID, exchange);
    }
    let second = fails(&[1007], [text(b"\xff")]).after([text("Hello")]);
    table.exchange("wrong-behind-right", rule::INVALID, second);
    let cut_by_the_next = [text(b"\xe2\x82").more(), continuation("")];
    table.exchange(
        "cut-by-an-empty-fragment",
        rule::INVALID,
        fails(&[1007], cut_by_the_next),
    );

    let first = [text(b"Hello \xff").more()];
    table.exchange("fast-in-the-first-fragment", rule::FAST, fails(&[1007], first));
    let second = [text("Hello ").more(), continuation(b"\xff").more()];
    table.exchange("fast-in-the-second-fragment", rule::FAST, fails(&[1007], second));
    let unfinished = text(b"Hello \xff").length(Length::Claimed(70000));
    table.exchange("fast-within-a-frame", rule::FAST, fails(&[1007], [unfinished]));

    let any: Vec<u8> = (0..=255).collect();
    table.exchange("binary-of-all-bytes", rule::ONLY_TEXT, echoes([binary(&any)]));
    table.exchange("binary-in-frames", rule::ONLY_TEXT, echoes(binary_frames(&any)));
    let amid = [text("Hel").more(), ping(b"\xff\xfe"), continuation("lo")];
    table.exchange("ping-of-no-text-within-text", rule::ONLY_TEXT, echoes(amid));
    table.cases
}

/// A text message with each byte in a frame of its own.
fn byte_frames(bytes: &[u8]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = bytes
        .chunks(1)
        .map(|byte| continuation(byte).more())
        .collect();
    if let Some(first) = frames.first_mut() {
        first.opcode = text("").opcode;
    }
    if let Some(last) = frames.last_mut() {
        last.fin = true;
    }
    frames
}

fn binary_frames(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = byte_frames(bytes);
    frames[0].opcode = binary("").opcode;
    frames
}

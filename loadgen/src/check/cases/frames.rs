//! Frames: masks, reserved bits, opcodes, lengths, control frames, segments.

use super::Table;
use crate::check::case::Case;
use crate::check::exchange::{echoes, fails};
use crate::check::peer::Peer;
use crate::check::wire::{
    CLOSE, Cut, Frame, Length, PING, PONG, TEXT, binary, close, continuation, filler, frame, ping,
    pong, text,
};

/// What the cases rest on.
#[rustfmt::skip]
mod rule {
    use crate::check::case::{Rule, must, should};

    pub(super) const UNMASKED: Rule = must("RFC 6455, 5.1", "a server closes the connection upon a frame that is not masked");
    pub(super) const UNMASKING: Rule = must("RFC 6455, 5.3", "the payload is what the key unmasks, whatever the key");
    pub(super) const RSV: Rule = must("RFC 6455, 5.2", "a reserved bit that no extension gives a meaning to fails the connection");
    pub(super) const OPCODE: Rule = must("RFC 6455, 5.2", "an unknown opcode fails the connection");
    pub(super) const LENGTH: Rule = must("RFC 6455, 5.2", "a length is written in 7, 16 or 64 bits, and all are read");
    pub(super) const SHORTEST: Rule = should("RFC 6455, 5.2 and 10.7", "a length is written in its shortest form; a connection that breaks this may be ended");
    pub(super) const HIGHEST_BIT: Rule = should("RFC 6455, 5.2 and 10.7", "the highest bit of a 64-bit length is 0; nobody can send so much");
    pub(super) const SURVIVE: Rule = should("RFC 6455, 10.4", "a frame that announces more than anybody can keep harms no other connection");
    pub(super) const PONGS: Rule = must("RFC 6455, 5.5.2", "a ping is answered by a pong with the same payload");
    pub(super) const UNASKED: Rule = should("RFC 6455, 5.5.3", "a pong that nobody asked for is not answered");
    pub(super) const CONTROL_LENGTH: Rule = should("RFC 6455, 5.5 and 10.7", "a control frame has at most 125 bytes; a longer one is a violation");
    pub(super) const CONTROL_FRAGMENT: Rule = should("RFC 6455, 5.5 and 10.7", "a control frame is never fragmented; one that is, is a violation");
    pub(super) const EARLY: Rule = should("RFC 6455, 7.1.7", "a header that fails the connection does so before its payload has come");
    pub(super) const STREAM: Rule = must("RFC 6455, 5.2", "frames are a stream of bytes, however TCP cuts it");
}

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("frames");
    masks(&mut table);
    reserved(&mut table);
    lengths(&mut table);
    control(&mut table);
    segments(&mut table);
    table.cases
}

#[rustfmt::skip]
fn masks(table: &mut Table) {
    for (name, frame) in [
        ("text", text("Hello")),
        ("empty-text", text("")),
        ("binary", binary("Hello")),
        ("ping", ping("Hello")),
        ("pong", pong("Hello")),
        ("close", close(1000, "")),
        ("first-fragment", text("Hel").more()),
        ("64-kib", binary(filler(65536))),
    ] {
        let exchange = fails(&[1002], [frame.unmasked()]);
        table.exchange(format!("unmasked-{name}"), rule::UNMASKED, exchange);
    }
    let behind_a_right_one = fails(&[1002], [text("two").unmasked()]).after([text("one")]);
    table.exchange("unmasked-behind-masked", rule::UNMASKED, behind_a_right_one);
    for (name, key) in [
        ("zero", [0; 4]),
        ("ones", [0xff; 4]),
        ("newlines", *b"\r\n\r\n"),
    ] {
        let exchange = echoes([text("Hello").key(key), binary(filler(1003)).key(key)]);
        table.exchange(format!("key-of-{name}"), rule::UNMASKING, exchange);
    }
    let keys = (0..8u8).map(|n| text(filler(n as usize * 3)).key([n, n * 7, 0xff - n, n * 31]));
    table.exchange("key-changes", rule::UNMASKING, echoes(keys.collect::<Vec<_>>()));
    let header_alone = vec![0x81, 0x7f, 0, 0, 0, 0, 0, 0x10, 0, 0];
    table.exchange(
        "unmasked-header-alone",
        rule::EARLY,
        fails(&[1002], []).behind(header_alone),
    );
}

#[rustfmt::skip]
fn reserved(table: &mut Table) {
    for (name, frame) in [
        ("rsv1-text", text("Hello").rsv(4)),
        ("rsv2-text", text("Hello").rsv(2)),
        ("rsv3-text", text("Hello").rsv(1)),
        ("rsv-all-text", text("Hello").rsv(7)),
        ("rsv1-binary", binary("Hello").rsv(4)),
        ("rsv1-empty-text", text("").rsv(4)),
        ("rsv1-ping", ping("Hello").rsv(4)),
        ("rsv2-pong", pong("Hello").rsv(2)),
        ("rsv3-close", close(1000, "").rsv(1)),
    ] {
        table.exchange(name, rule::RSV, fails(&[1002], [frame]));
    }
    let continued = [text("Hel").more(), continuation("lo").rsv(4)];
    table.exchange("rsv1-continuation", rule::RSV, fails(&[1002], continued));
    let late = fails(&[1002], [text("two").rsv(2)]).after([text("one")]);
    table.exchange("rsv2-behind-right", rule::RSV, late);
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        let exchange = fails(&[1002], [frame(opcode, "Hello")]);
        table.exchange(format!("opcode-{opcode:x}"), rule::OPCODE, exchange);
    }
    table.exchange("opcode-3-empty", rule::OPCODE, fails(&[1002], [frame(3, "")]));
    table.exchange("opcode-b-empty", rule::OPCODE, fails(&[1002], [frame(0xb, "")]));
    let amid = [text("Hel").more(), frame(5, "amid")];
    table.exchange("opcode-5-amid-fragments", rule::OPCODE, fails(&[1002], amid));
    let header_alone = vec![0x83, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4];
    table.exchange(
        "opcode-3-header-alone",
        rule::EARLY,
        fails(&[1002], []).behind(header_alone),
    );
}

#[rustfmt::skip]
fn lengths(table: &mut Table) {
    for length in [0, 1, 125, 126, 127, 128, 65535, 65536] {
        let payload = filler(length);
        let exchange = echoes([text(&payload), text("after")]);
        table.exchange(format!("text-of-{length}"), rule::LENGTH, exchange);
        let exchange = echoes([binary(&payload), text("after")]);
        table.exchange(format!("binary-of-{length}"), rule::LENGTH, exchange);
    }
    let large = echoes([binary(filler(1 << 20)), text("after")]).or_fails(&[1009]);
    table.exchange("binary-of-1-mib", rule::LENGTH, large);
    for (name, length, sizes) in [
        ("16", Length::Two, &[0, 1, 125][..]),
        ("64", Length::Eight, &[0, 125, 126, 65535]),
    ] {
        for size in sizes {
            let exchange = fails(&[1002], [binary(filler(*size)).length(length)]);
            table.exchange(format!("length-{size}-in-{name}-bits"), rule::SHORTEST, exchange);
        }
    }
    let ping = fails(&[1002], [ping("Hello").length(Length::Two)]);
    table.exchange("ping-length-in-16-bits", rule::SHORTEST, ping);
    for (name, length) in [("2-to-63", 1 << 63), ("2-to-64-less-1", u64::MAX)] {
        let frame = binary("Hello").length(Length::Claimed(length));
        let exchange = fails(&[1002, 1009], [frame]);
        table.exchange(format!("length-{name}"), rule::HIGHEST_BIT, exchange);
    }
    for (name, length) in [("2-to-40", 1 << 40), ("2-to-63-less-1", i64::MAX as u64)] {
        table.special(
            format!("length-{name}"),
            rule::SURVIVE,
            "whatever becomes of this connection, another one is served",
            move |peer| {
                peer.upgrade()?;
                let frame = text(filler(100)).length(Length::Claimed(length));
                peer.send(&frame.bytes());
                let mut other = Peer::connect(peer.ground())?;
                other.upgrade()?;
                echoes([text("Hello")]).play(&mut other)
            },
        );
    }
}

#[rustfmt::skip]
fn control(table: &mut Table) {
    for length in [0, 1, 4, 124, 125] {
        let exchange = echoes([ping(filler(length)), text("after")]);
        table.exchange(format!("ping-of-{length}"), rule::PONGS, exchange);
    }
    let not_text: Vec<u8> = (0x80..=0xff).step_by(3).collect();
    table.exchange("ping-not-utf8", rule::PONGS, echoes([ping(not_text)]));
    let ten: Vec<Frame> = (0..10).map(|n| ping([n])).collect();
    table.exchange("ping-ten-at-once", rule::PONGS, echoes(ten));
    let alternating = [
        text("one"),
        ping("a"),
        text("two"),
        ping("b"),
        text("three"),
    ];
    table.exchange("ping-between-messages", rule::PONGS, echoes(alternating));
    for (name, payload) in [
        ("empty", &b""[..]),
        ("small", b"Hello"),
        ("longest", &[b'x'; 125]),
    ] {
        let exchange = echoes([pong(payload), text("after")]);
        table.exchange(format!("pong-unasked-{name}"), rule::UNASKED, exchange);
    }
    for (name, opcode) in [("ping", PING), ("pong", PONG), ("close", CLOSE)] {
        let mut payload = 1000u16.to_be_bytes().to_vec();
        payload.extend_from_slice(&filler(124));
        let long = fails(&[1002], [frame(opcode, &payload)]);
        table.exchange(format!("{name}-of-126"), rule::CONTROL_LENGTH, long);
        let fragment = fails(&[1002], [frame(opcode, &payload[..2]).more()]);
        table.exchange(format!("{name}-fragmented"), rule::CONTROL_FRAGMENT, fragment);
    }
    let huge = fails(&[1002], [ping(filler(65536))]);
    table.exchange("ping-of-65536", rule::CONTROL_LENGTH, huge);
    let continued = [ping("Hel").more(), continuation("lo")];
    let exchange = fails(&[1002], continued);
    table.exchange("ping-continued", rule::CONTROL_FRAGMENT, exchange);
}

#[rustfmt::skip]
fn segments(table: &mut Table) {
    for (name, frames, cut) in [
        ("byte-by-byte", vec![text(filler(60)), ping("Hello")], Cut::Every(1)),
        ("16-bit-length-cut", vec![text(filler(300))], Cut::After(3)),
        ("64-bit-length-cut", vec![binary(filler(70000))], Cut::After(6)),
        ("key-cut", vec![text("Hello")], Cut::After(4)),
        ("header-then-payload", vec![text(filler(5000))], Cut::After(8)),
        ("65536-in-pieces-of-1021", vec![binary(filler(65536))], Cut::Every(1021)),
        ("two-in-two-halves", vec![text(filler(50)), text(filler(90))], Cut::After(70)),
    ] {
        table.exchange(format!("cut-{name}"), rule::STREAM, echoes(frames).cut(cut));
    }
    let many: Vec<Frame> = (0..200).map(|n| frame(TEXT, n.to_string())).collect();
    table.exchange("200-in-one-segment", rule::STREAM, echoes(many));
}

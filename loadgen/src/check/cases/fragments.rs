//! Fragmented messages. A server may send fragments back as they come, or the message when it is whole.

use super::Table;
use crate::check::case::Case;
use crate::check::exchange::{closes, echoes, fails};
use crate::check::wire::{Cut, Frame, binary, close, continuation, filler, ping, pong, text};

/// What the cases rest on.
#[rustfmt::skip]
mod rule {
    use crate::check::case::{Rule, must, should};

    pub(super) const JOINED: Rule = must("RFC 6455, 5.4", "a fragmented message is the payloads of its frames, one behind the other");
    pub(super) const BETWEEN: Rule = must("RFC 6455, 5.4", "control frames come between fragments, and are handled there");
    pub(super) const ORDER: Rule = should("RFC 6455, 5.4 and 10.7", "a continuation continues something, and no message begins within another; else it is a violation");
    pub(super) const UNMASKED: Rule = must("RFC 6455, 5.1", "a server closes the connection upon a frame that is not masked");
    pub(super) const CLOSING: Rule = must("RFC 6455, 5.5.1", "a Close is answered by a Close, also within a message");
}

/// The cases.
#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("fragments");
    for (name, first, rest) in [
        ("text-in-2", text("Hel"), &["lo"][..]),
        ("binary-in-2", binary("Hel"), &["lo"]),
        ("text-in-5", text("H"), &["e", "l", "l", "o"]),
        ("first-empty", text(""), &["Hello"]),
        ("middle-empty", text("Hel"), &["", "lo"]),
        ("last-empty", text("Hello"), &[""]),
        ("all-empty", binary(""), &["", "", ""]),
    ] {
        table.exchange(name, rule::JOINED, echoes(message(first, rest)));
    }
    let hundred = vec!["fragment "; 99];
    table.exchange("text-in-100", rule::JOINED, echoes(message(text("a "), &hundred)));
    let frames = message(text("Hel"), &["lo ", "world"]);
    let slowly = echoes(frames.clone()).cut(Cut::Every(1));
    table.exchange("byte-by-byte", rule::JOINED, slowly);
    let large = [binary(filler(65536)).more(), continuation(filler(65536))];
    table.exchange("two-of-64-kib", rule::JOINED, echoes(large));
    let one_after_the_other = [frames.clone(), vec![text("whole")], frames].concat();
    table.exchange(
        "whole-between-fragmented",
        rule::JOINED,
        echoes(one_after_the_other),
    );
    // U+20AC is e2 82 ac.
    let inside = [
        text(b"\xe2").more(),
        continuation(b"\x82").more(),
        continuation(b"\xac"),
    ];
    table.exchange("cut-inside-a-character", rule::JOINED, echoes(inside));

    for (name, between) in [
        ("ping", vec![ping("amid")]),
        ("two-pings", vec![ping("one"), ping("two")]),
        ("pong", vec![pong("amid")]),
        ("longest-ping", vec![ping(filler(125))]),
    ] {
        let frames = [vec![text("Hel").more()], between, vec![continuation("lo")]].concat();
        let exchange = echoes(frames.clone());
        table.exchange(format!("{name}-between"), rule::BETWEEN, exchange);
        let slowly = echoes(frames).cut(Cut::Every(7));
        table.exchange(format!("{name}-between-in-segments"), rule::BETWEEN, slowly);
    }
    let inside = [
        text(b"\xe2\x82").more(),
        ping("amid"),
        continuation(b"\xac"),
    ];
    table.exchange("ping-inside-a-character", rule::BETWEEN, echoes(inside));

    for (name, right, wrong) in [
        ("continuation-first", vec![], vec![continuation("Hello")]),
        ("continuation-first-not-last", vec![], vec![continuation("Hel").more()]),
        ("continuation-empty", vec![], vec![continuation("")]),
        ("continuation-behind-whole", vec![text("one")], vec![continuation("two")]),
        ("continuation-behind-fragmented", message(text("o"), &["ne"]), vec![continuation("two")]),
        ("text-within-text", vec![], vec![text("Hel").more(), text("lo")]),
        ("binary-within-text", vec![], vec![text("Hel").more(), binary("lo")]),
        ("text-within-binary", vec![], vec![binary("Hel").more(), text("lo")]),
        ("first-twice", vec![], vec![text("Hel").more(), text("lo").more()]),
        ("text-within-text-behind-ping", vec![], vec![text("Hel").more(), pong(""), text("lo")]),
    ] {
        table.exchange(name, rule::ORDER, fails(&[1002], wrong).after(right));
    }
    let unmasked = [text("Hel").more(), continuation("lo").unmasked()];
    table.exchange("continuation-unmasked", rule::UNMASKED, fails(&[1002], unmasked));
    let closing = closes(1000, [close(1000, "")]).after([text("Hel").more()]);
    table.exchange("close-between", rule::CLOSING, closing);
    table.cases
}

fn message(first: Frame, rest: &[&str]) -> Vec<Frame> {
    let mut frames = vec![first.more()];
    frames.extend(rest.iter().map(|payload| continuation(payload).more()));
    if let Some(last) = frames.last_mut() {
        last.fin = true;
    }
    frames
}

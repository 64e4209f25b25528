//! Frames: masks, reserved bits, opcodes, lengths, control frames.

use crate::check::case::{Case, Rule, must, should};
use crate::check::exchange::{echoes, fails};
use crate::check::wire::{
    BINARY, CLOSE, CONTINUATION, Cut, Length, PING, PONG, TEXT, binary, close, continuation,
    filler, frame, ping, pong, text,
};

const UNMASKED: Rule = must(
    "RFC 6455, 5.1",
    "a server closes the connection upon a frame that is not masked",
);

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
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
        let id = format!("frames/unmasked-{name}");
        cases.push(fails(&[1002], [frame.unmasked()]).case(id, UNMASKED));
    }
    cases
}

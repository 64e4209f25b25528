//! Compressed messages.

use super::Table;
use crate::check::case::{Case, Rule, must, should};
use crate::check::exchange::{Finish, Replies, echoes, fails};
use crate::check::inflate::{deflated, deflated_with_tail};
use crate::check::peer::Peer;
use crate::check::verdict::Finding;
use crate::check::wire::{Cut, Frame, binary, close, continuation, filler, ping, pong, text};

const OFFER: &str = "permessage-deflate";

const INFLATE: Rule = must(
    "RFC 7692, 6.2 and 7.2.2",
    "a message with RSV1 on its first frame is what its frames, put together, inflate to",
);
const BLOCKS: Rule = must(
    "RFC 7692, 7.2.1 and 7.2.2",
    "a message may have several blocks, of any type, with BFINAL or without",
);
const PLAIN: Rule = must(
    "RFC 7692, 6.2",
    "a message without RSV1 is taken as it is, also where compression is agreed on",
);
const RSV1: Rule = must(
    "RFC 7692, 6.1",
    "RSV1 on a control frame, or on any but the first frame of a message, fails the connection",
);
const RSV: Rule = must(
    "RFC 6455, 5.2",
    "a reserved bit that nothing agreed on gives a meaning to fails the connection",
);
const TAKEOVER: Rule = must(
    "RFC 7692, 7.2.2",
    "without client_no_context_takeover in the answer, a message may refer to the one before it",
);
const NO_TAKEOVER: Rule = must(
    "RFC 7692, 7.2.1",
    "with server_no_context_takeover, each message of the server begins with an empty window",
);
const UTF8: Rule = must(
    "RFC 6455, 8.1",
    "text that is not UTF-8 once it is inflated fails the connection",
);
const BROKEN: Rule = should(
    "RFC 7692, 7.2.2; RFC 6455, 7.1.7",
    "what cannot be inflated is no message: a server fails the connection",
);

/// What a server may close with upon data that cannot be inflated; no document names one.
const BROKEN_CODES: &[u16] = &[1002, 1003, 1007, 1008, 1011];

/// "Hello" in one block (RFC 7692, section 7.2.3.1).
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// The same in a block with BFINAL, but for the empty block behind it (section 7.2.3.4).
const FINAL_HELLO: &[u8] = &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("deflate");
    messages(&mut table);
    blocks(&mut table);
    fragments(&mut table);
    windows(&mut table);
    bits(&mut table);
    invalid(&mut table);
    broken(&mut table);
    table.cases
}

/// A compressed text message, or its first frame.
fn packed_text(payload: impl AsRef<[u8]>) -> Frame {
    text(payload).rsv(4)
}

/// A compressed binary message, or its first frame.
fn packed_binary(payload: impl AsRef<[u8]>) -> Frame {
    binary(payload).rsv(4)
}

/// Bytes that no compression makes fewer.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(next).collect()
}

fn messages(table: &mut Table) {
    for (name, frame) in [
        ("text", packed_text(HELLO)),
        ("binary", packed_binary(HELLO)),
        ("empty-text", packed_text([0x00])),
        ("empty-binary", packed_binary([0x00])),
        ("empty-as-fixed-block", packed_text([0x02, 0x00])),
        ("one-byte", packed_binary(deflated([0xff]))),
        (
            "all-planes-of-utf-8",
            packed_text(deflated("a\u{e9}\u{20ac}\u{1f600}\0")),
        ),
        ("64-kib", packed_text(deflated(filler(65536)))),
        ("1-mib", packed_text(deflated(filler(1 << 20)))),
        (
            "1-mib-of-one-byte",
            packed_binary(deflated(vec![7; 1 << 20])),
        ),
        ("1-mib-of-noise", packed_binary(deflated(noise(1 << 20)))),
    ] {
        table.exchange(name, INFLATE, echoes([frame]).offering(OFFER));
    }
    let mixed = [
        text("plain"),
        packed_text(HELLO),
        binary("plain"),
        packed_binary(HELLO),
        text(""),
    ];
    table.exchange("amid-uncompressed", PLAIN, echoes(mixed).offering(OFFER));
    let plain = echoes([text("Hello"), binary(filler(70_000))]).offering(OFFER);
    table.exchange("none-although-agreed", PLAIN, plain);
    let slowly = echoes([packed_text(HELLO), packed_binary(deflated(filler(300)))]);
    let slowly = slowly.cut(Cut::Every(1)).offering(OFFER);
    table.exchange("byte-by-byte", INFLATE, slowly);
    let many: Vec<Frame> = (0..200).map(|n| packed_text(deflated(filler(n)))).collect();
    table.exchange("two-hundred-at-once", INFLATE, echoes(many).offering(OFFER));
}

fn blocks(table: &mut Table) {
    let stored: &[u8] = b"\x00\x05\x00\xfa\xffHello\x00";
    let two: &[u8] = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    let with_final = |count: usize| [FINAL_HELLO.repeat(count), vec![0x00]].concat();
    for (name, payload) in [
        ("stored-block", stored.to_vec()),
        ("two-blocks", two.to_vec()),
        ("stored-then-fixed", [&stored[..10], HELLO].concat()),
        ("final-block", with_final(1)),
        ("two-final-blocks", with_final(2)),
        ("final-then-ordinary", [FINAL_HELLO, HELLO].concat()),
        (
            "many-blocks",
            [deflated_with_tail(b"Hello").repeat(100), HELLO.to_vec()].concat(),
        ),
    ] {
        let exchange = echoes([packed_text(&payload)]).offering(OFFER);
        table.exchange(name, BLOCKS, exchange);
    }
    let after_final = [packed_text(with_final(1)), packed_text(HELLO)];
    table.exchange(
        "behind-final-block",
        BLOCKS,
        echoes(after_final).offering(OFFER),
    );
    let tail = should(
        "RFC 7692, 7.2.1",
        "a sender takes the last four bytes off; where they were left in, a server can do either",
    );
    for (name, payload) in [
        ("tail-left-in", deflated_with_tail(b"Hello")),
        ("no-payload-at-all", Vec::new()),
    ] {
        let exchange = echoes([packed_text(payload)]).offering(OFFER);
        table.exchange(name, tail, exchange.or_fails(BROKEN_CODES));
    }
}

/// Cuts the payload of a message into frames of as many bytes.
fn cut_up(first: fn(&[u8]) -> Frame, payload: &[u8], size: usize) -> Vec<Frame> {
    let count = payload.chunks(size).count();
    let frame = |(at, piece): (usize, &[u8])| {
        let frame = if at == 0 {
            first(piece)
        } else {
            continuation(piece)
        };
        if at + 1 == count { frame } else { frame.more() }
    };
    payload.chunks(size).enumerate().map(frame).collect()
}

fn fragments(table: &mut Table) {
    let text_of = |payload: &[u8]| packed_text(payload);
    let binary_of = |payload: &[u8]| packed_binary(payload);
    let split = "\u{1f600}".repeat(50);
    let large = deflated(noise(200_000));
    for (name, frames) in [
        ("in-frames-of-one-byte", cut_up(text_of, HELLO, 1)),
        ("in-two-frames", cut_up(binary_of, HELLO, 4)),
        ("in-large-frames", cut_up(binary_of, &large, 40_000)),
        ("within-characters", cut_up(text_of, &deflated(&split), 3)),
        (
            "in-empty-frames",
            vec![
                packed_text("").more(),
                continuation("").more(),
                continuation(HELLO).more(),
                continuation(""),
            ],
        ),
        (
            "sync-flush-across-frames",
            cut_up(
                text_of,
                b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
                6,
            ),
        ),
    ] {
        table.exchange(name, INFLATE, echoes(frames).offering(OFFER));
    }
    let mut pinged = Vec::new();
    for (at, frame) in cut_up(text_of, HELLO, 2).into_iter().enumerate() {
        pinged.extend([frame, ping([at as u8])]);
    }
    table.exchange(
        "pings-between-fragments",
        INFLATE,
        echoes(pinged).offering(OFFER),
    );
}

fn windows(table: &mut Table) {
    table.special(
        "window-taken-over",
        TAKEOVER,
        "both messages come back; or client_no_context_takeover is in the answer",
        |peer| {
            let terms = peer.upgrade_with(OFFER)?;
            if terms.client_no_context_takeover {
                let what = "the server takes over no window of the client's";
                return Err(Finding::Inapplicable(what.to_owned()));
            }
            // The second is all of the first, five bytes back (RFC 7692, section 7.2.3.2).
            peer.send(&packed_text(HELLO).bytes());
            peer.send(&packed_text([0xf2, 0x00, 0x11, 0x00, 0x00]).bytes());
            Replies::to(&[text("Hello"), text("Hello")]).judge(peer, Finish::Echo)
        },
    );
    let rows = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(30);
    let again = vec![packed_text(deflated(&rows)); 3];
    let exchange = echoes(again).offering("permessage-deflate; server_no_context_takeover");
    table.exchange("server-without-takeover", NO_TAKEOVER, exchange);
}

fn bits(table: &mut Table) {
    for (name, frames) in [
        (
            "rsv1-on-continuation",
            vec![
                packed_text(&HELLO[..4]).more(),
                continuation(&HELLO[4..]).rsv(4),
            ],
        ),
        (
            "rsv1-on-continuation-of-plain",
            vec![text("Hel").more(), continuation("lo").rsv(4)],
        ),
        (
            "rsv1-on-middle-fragment",
            vec![
                packed_binary(&HELLO[..2]).more(),
                continuation(&HELLO[2..4]).rsv(4).more(),
                continuation(&HELLO[4..]),
            ],
        ),
        ("rsv1-on-ping", vec![ping("Hello").rsv(4)]),
        ("rsv1-on-pong", vec![pong("Hello").rsv(4)]),
        ("rsv1-on-close", vec![close(1000, "").rsv(4)]),
        (
            "rsv1-on-ping-amid-fragments",
            vec![packed_text(&HELLO[..4]).more(), ping("").rsv(4)],
        ),
    ] {
        table.exchange(name, RSV1, fails(&[1002], frames).offering(OFFER));
    }
    for (name, bits) in [("rsv2", 2), ("rsv3", 1), ("rsv1-and-rsv2", 6)] {
        let wrong = fails(&[1002], [text(HELLO).rsv(bits)]);
        table.exchange(name, RSV, wrong.offering(OFFER));
    }
    table.special(
        "rsv1-without-agreement",
        RSV,
        "a server that can compress, and was not asked to, closes with 1002",
        |peer| {
            peer.require_deflate()?;
            peer.upgrade()?;
            fails(&[1002], [packed_text(HELLO)]).play(peer)
        },
    );
}

fn invalid(table: &mut Table) {
    let bad = deflated(b"Hello \xff\xfe");
    for (name, frames) in [
        ("invalid-utf-8", vec![packed_text(&bad)]),
        (
            "invalid-utf-8-in-fragments",
            cut_up(|piece| packed_text(piece), &bad, 3),
        ),
        ("surrogate", vec![packed_text(deflated(b"\xed\xa0\x80"))]),
        ("overlong", vec![packed_text(deflated(b"\xc0\xaf"))]),
        (
            "cut-character",
            vec![packed_text(deflated(b"Hello\xe2\x82"))],
        ),
        (
            "invalid-utf-8-behind-64-kib",
            vec![packed_text(deflated(
                [&filler(65536)[..], b"\xff"].concat(),
            ))],
        ),
    ] {
        table.exchange(name, UTF8, fails(&[1007], frames).offering(OFFER));
    }
    let right = [packed_binary(deflated(b"\xff\xfe\xed\xa0\x80"))];
    table.exchange(
        "any-bytes-in-binary",
        INFLATE,
        echoes(right).offering(OFFER),
    );
}

fn broken(table: &mut Table) {
    // The byte before, three times.
    let far = [0x02, 0x02, 0x00, 0x00];
    for (name, payload) in [
        ("garbage", b"\xff\xff\xff\xff\xff\xff".to_vec()),
        ("reserved-block-type", b"\x06\x80".to_vec()),
        (
            "stored-length-wrong",
            b"\x00\x05\x00\x05\x00Hello\x00".to_vec(),
        ),
        ("cut-off", HELLO[..3].to_vec()),
        (
            "stored-block-cut-off",
            b"\x00\x50\x00\xaf\xffHello".to_vec(),
        ),
        ("reaching-back-before-the-begin", far.to_vec()),
        (
            "impossible-code-lengths",
            b"\x04\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
    ] {
        let exchange = fails(BROKEN_CODES, [packed_text(&payload)]);
        table.exchange(format!("{name}-as-text"), BROKEN, exchange.offering(OFFER));
        table.special(
            format!("{name}-as-binary"),
            BROKEN,
            "Close 1002, 1003, 1007, 1008 or 1011; or just these bytes come back",
            move |peer| same_or_closed(peer, &packed_binary(&payload)),
        );
    }
}

/// A server that passes on compressed bytes as they are is right, too.
fn same_or_closed(peer: &mut Peer<'_>, frame: &Frame) -> Result<String, Finding> {
    peer.upgrade_with(OFFER)?;
    peer.reader.is_verbatim = true;
    peer.send(&frame.bytes());
    let as_it_is = frame.clone().rsv(0);
    Replies::to(&[as_it_is]).judge(peer, Finish::EchoOrFail(BROKEN_CODES))
}

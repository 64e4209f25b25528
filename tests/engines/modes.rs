//! The tutorial's server, and the echo without WebSocket.

use std::net::Shutdown;

use crate::kernel;
use crate::server::Server;
use crate::support::frames::{self, Frame};
use crate::support::replies;
use crate::wire::Wire;

fn messages(seen: &replies::Replies) -> Vec<(bool, Vec<u8>)> {
    seen.outcome
        .messages()
        .map(|message| (message.text, message.bytes.clone()))
        .collect()
}

fn texts(expected: &[&str]) -> Vec<(bool, Vec<u8>)> {
    expected
        .iter()
        .map(|text| (true, text.as_bytes().to_vec()))
        .collect()
}

pub(crate) fn the_tutorial_is_served(engine: &'static str) {
    let server = Server::start(engine, &["--tutorial"]);
    let mut wire = Wire::upgrade(&server);
    wire.read_until(|seen| messages(seen) == texts(&["Hi there"]));
    wire.send(&frames::encode(&[
        Frame::text("hello"),
        Frame::text(""),
        Frame::binary("€uro".as_bytes()),
        Frame::binary(b"bad \xff\xf0\x9f bytes"),
        Frame::text("in ").unfinished(),
        Frame::ping(b"?"),
        Frame::new(frames::CONTINUATION, "two"),
        Frame::close(1000, ""),
    ]));
    let expected = texts(&[
        "Hi there",
        "Received: hello",
        "Received: ",
        "Received: €uro",
        "Received: bad \u{fffd}\u{fffd} bytes",
        "Received: in two",
    ]);
    assert_eq!(messages(&wire.replies_to_end()), expected);
}

pub(crate) fn a_greeting_comes_when_asked(engine: &'static str) {
    for after in ["101", "turn", "0s", "20ms", "200ms"] {
        let server = Server::start(
            engine,
            &["--greeting", "Welcome", "--greeting-after", after],
        );
        let mut silent = Wire::upgrade(&server);
        silent.read_until(|seen| messages(seen) == texts(&["Welcome"]));
        let mut hasty = Wire::upgrade(&server);
        hasty.send(&frames::encode(&[
            Frame::text("first"),
            Frame::close(1000, ""),
        ]));
        assert_eq!(
            messages(&hasty.replies_to_end()),
            texts(&["Welcome", "first"]),
            "{after}"
        );
    }
}

pub(crate) fn large_messages_are_prefixed(engine: &'static str) {
    const BYTES: usize = 3_000_000;
    let server = Server::start(engine, &["--prefix", "> "]);
    for (opcode, payload) in [
        (frames::TEXT, frames::prose(BYTES, 13)),
        (frames::BINARY, frames::prose(BYTES, 14)),
        (frames::BINARY, frames::noise(BYTES, 15)),
    ] {
        let wire = Wire::upgrade(&server);
        let expected = ["> ", &String::from_utf8_lossy(&payload)].concat();
        let message = Frame::new(opcode, payload);
        let sending = wire.send_aside(frames::encode(&[message, Frame::close(1000, "")]));
        let answers = messages(&wire.replies_to_end());
        assert!(
            answers == texts(&[&expected]),
            "opcode {opcode}: another answer"
        );
        sending.join().expect("all is sent");
    }
}

/// An invalid byte is answered with three. So these answers are about as long as what may be held, with
/// the prefix or without; and they come in pieces that end at that limit, or inside a character.
pub(crate) fn invalid_bytes_around_the_limit_are_prefixed(engine: &'static str) {
    const HELD_BYTES_MAX: usize = 16 * 1024;
    let server = Server::start(engine, &["--prefix", "Received: "]);
    let mut wire = Wire::upgrade(&server);
    let third = HELD_BYTES_MAX / 3;
    let lengths = (third - 20..=third + 4).chain(HELD_BYTES_MAX - 4..=HELD_BYTES_MAX + 4);
    let mut expected = Vec::new();
    for invalid in lengths {
        let begun = b"\xf0\x9f\x98";
        let payload = [begun, vec![0xff; invalid].as_slice(), &[b'a'; 100], b"END"].concat();
        expected.push(["Received: ", &String::from_utf8_lossy(&payload)].concat());
        let message = Frame::binary(&payload);
        let (bytes, header) = (message.encode(), message.header().len());
        let cuts = [
            0,
            header + begun.len(),
            header + begun.len() + invalid,
            bytes.len(),
        ];
        for cut in cuts.windows(2) {
            wire.send(&bytes[cut[0]..cut[1]]);
            kernel::wait_until_read(&server, 1);
        }
    }
    wire.send(&Frame::close(1000, "").encode());
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    assert!(
        messages(&wire.replies_to_end()) == texts(&expected),
        "other answers"
    );
}

pub(crate) fn tcp_comes_back_as_it_went(engine: &'static str) {
    let server = Server::start(engine, &["--protocol", "tcp"]);
    let mut wire = Wire::connect(&server);
    for size in [1, 2, 1000, 65_536, 1 << 20] {
        let bytes = frames::noise(size, 16);
        let sending = wire.send_aside(bytes.clone());
        assert!(wire.read_exact(size) == bytes, "{size} bytes come back");
        sending.join().expect("all is sent");
    }
    let bytes = frames::noise(1 << 20, 17);
    let sending = wire.send_aside(bytes.clone());
    let finisher = wire.stream.try_clone().expect("a descriptor");
    let finishing = std::thread::spawn(move || {
        sending.join().expect("all is sent");
        finisher.shutdown(Shutdown::Write).expect("a connection");
    });
    assert!(wire.read_to_end() == bytes, "everything, then the FIN");
    finishing.join().expect("the FIN is sent");
}

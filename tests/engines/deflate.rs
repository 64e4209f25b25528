//! Compressed messages (RFC 7692) over sockets.

use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use crate::quiet::Quiet;
use crate::server::Server;
use crate::support::deflated::{self, Style};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::{replies, request};
use crate::wire::{Wire, echo_of};

pub(crate) fn compressed_messages_come_back_as_they_came(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let wire = Wire::upgrade_deflating(&server);
    let stored = Style {
        level: 0,
        ..Style::plain()
    };
    let long = deflated::deflate(&frames::prose(500_000, 1), &Style::plain());
    let stream: Vec<_> = [
        vec![deflated::text(b"hello")],
        vec![deflated::frame(frames::BINARY, frames::noise(100, 2))],
        vec![Frame::text("not compressed")],
        vec![deflated::frame(
            frames::TEXT,
            deflated::deflate(&[b'x'; 100_000], &stored),
        )],
        vec![deflated::frame(frames::TEXT, &long[..])],
        deflated::fragments(frames::TEXT, &long, &[0, 1, 5000, 70_000]),
        vec![deflated::frame(frames::BINARY, frames::noise(1 << 20, 3))],
        deflated::fragments(frames::BINARY, &frames::noise(1000, 4), &[1, 999]),
    ]
    .concat();
    let sending =
        wire.send_aside([frames::encode(&stream), Frame::close(1000, "").encode()].concat());
    let seen = replies::read_extended(&wire.read_to_end(), true)
        .expect("strict frames")
        .outcome;
    sending.join().expect("all is sent");
    assert_eq!(seen.close, Some(CloseSeen::Code(1000)));
    let mut sent: Vec<(bool, Vec<u8>)> = Vec::new();
    for frame in stream {
        match sent.last_mut() {
            Some((_, payload)) if frame.opcode == frames::CONTINUATION => {
                payload.extend(frame.payload);
            }
            _ => sent.push((frame.reserved != 0, frame.payload)),
        }
    }
    let echoed: Vec<_> = seen
        .messages()
        .map(|message| (message.compressed, message.bytes.clone()))
        .collect();
    assert!(echoed == sent, "another echo");
}

pub(crate) fn what_is_no_deflate_data_is_told(engine: &'static str) {
    let server = Server::start(engine, &[]);
    for (frame, code) in [
        (deflated::frame(frames::TEXT, [0xff; 100]), 1007),
        (deflated::text(b"\xff"), 1007),
        (deflated::frame(frames::PING, "hello"), 1002),
    ] {
        let mut wire = Wire::upgrade_deflating(&server);
        wire.send(&frame.encode());
        let seen = wire.replies_to_end().outcome;
        assert_eq!(seen.close, Some(CloseSeen::Code(code)));
    }
}

/// A gibibyte of text in a mebibyte is inflated in turns, between which others have theirs.
pub(crate) fn a_bomb_silences_no_one(engine: &'static str) {
    let server = Server::start(engine, &["--workers", "1"]);
    let mut quiet = Quiet::gather(&server, 8);
    let wire = Wire::upgrade_deflating(&server);
    let bomb = deflated::bomb(1024);
    let sending = wire.send_aside([bomb.encode(), Frame::close(1000, "").encode()].concat());
    let reading = thread::spawn(|| (wire.read_to_end(), Instant::now()));
    quiet.talk(10);
    let talked = Instant::now();
    sending.join().expect("all is sent");
    let (seen, exploded) = reading.join().expect("an echo");
    assert!(
        talked < exploded,
        "the quiet peers had to wait for the bomb"
    );
    let seen = replies::read_extended(&seen, true)
        .expect("strict frames")
        .outcome;
    assert!(
        seen.messages()
            .map(|message| &message.bytes)
            .eq([&bomb.payload])
    );
    drop(quiet);
    server.assert_idle("after the bomb");
}

/// Whoever is gone has nothing inflated any more, and a drain need not wait for it.
pub(crate) fn a_connection_may_end_amid_a_bomb(engine: &'static str) {
    let server = Server::start(engine, &["--workers", "1", "--drain-timeout", "1s"]);
    for _ in 0..4 {
        let mut wire = Wire::upgrade_deflating(&server);
        wire.send(&deflated::bomb(64).encode());
        wire.reset();
    }
    let mut wire = Wire::upgrade_deflating(&server);
    wire.send(&deflated::bomb(4096).encode()[..60_000]);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

pub(crate) fn deflate_can_be_off(engine: &'static str) {
    let server = Server::start(engine, &["--deflate", "off"]);
    let mut wire = Wire::connect(&server);
    wire.send(&request::with_header(
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
    ));
    wire.read_response().assert_switched();
    let frame = Frame::text("as it is");
    wire.send(&frame.encode());
    assert_eq!(wire.read_exact(10), echo_of(&frame));
    drop(wire);
    let server = Server::start(engine, &["--deflate-validate", "never"]);
    let mut wire = Wire::upgrade_deflating(&server);
    let frame = deflated::frame(frames::TEXT, [0xff; 100]);
    wire.send(&frame.encode());
    assert_eq!(wire.read_exact(102), echo_of(&frame));
}

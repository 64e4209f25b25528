//! How it ends, the end of the server included.

use std::io::{ErrorKind, Read};

use rustix::process::Signal;

use crate::server::{Server, until, usable_engines};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::replies;
use crate::wire::Wire;
use crate::{asking, kernel, on_every_engine, open, texts};

/// A drain that lasts its whole timeout is a failure.
const PATIENT: [&str; 2] = ["--drain-timeout", "10m"];

#[test]
fn it_closes_as_was_asked() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/close/4321?after=2&reason=bye%20bye");
        wire.send(&frames::encode(&["a", "b", "c"].map(Frame::text)));
        let seen = wire.replies_to_end();
        assert_eq!(texts(&seen), ["a", "b"]);
        assert_eq!(seen.outcome.close, Some(CloseSeen::Code(4321)));
        assert_eq!(seen.outcome.reasons, ["bye bye"]);
        let seen = open(server, "/x/close/none").replies_to_end();
        assert_eq!(seen.outcome.close, Some(CloseSeen::Empty));
    });
}

#[test]
fn it_is_reset_as_was_asked() {
    on_every_engine(&[], |server| {
        for (path, echoes) in [("/x/reset?after=2", 2), ("/x/reset?after=50ms", 0)] {
            let mut wire = open(server, path);
            for _ in 0..echoes {
                wire.send(&Frame::text("a").encode());
                assert_eq!(wire.read_exact(3), b"\x81\x01a");
            }
            let end = wire.stream.read(&mut [0; 64]);
            let is_reset = matches!(&end, Err(error) if error.kind() == ErrorKind::ConnectionReset);
            assert!(is_reset, "{path}: {end:?}");
        }
    });
}

/// FIN without a Close, and what is sent then is still taken in.
#[test]
fn half_of_it_is_closed_as_was_asked() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/half-close?after=1");
        wire.assert_echoes("the last");
        assert_eq!(wire.stream.read(&mut [0; 64]).expect("a FIN"), 0);
        for _ in 0..20 {
            wire.send(&Frame::binary(&[0; 65_536]).encode());
        }
        until("it is read", || {
            (kernel::socket(server, &wire).unread_bytes == 0).then_some(())
        });
        wire.send(&Frame::close(1000, "").encode());
        wire.finish();
        until("it is over", || {
            kernel::sockets(server).is_empty().then_some(())
        });
    });
}

#[test]
fn what_no_server_should_send_is_sent() {
    on_every_engine(&[], |server| {
        for (mistake, bytes) in [
            ("rsv", &b"\xc1\x05Hello"[..]),
            ("opcode", b"\x83\x05Hello"),
            ("utf8", b"\x81\x05H\xc3llo"),
            ("length", b"\x82\x7f\x80"),
            ("mask", b"\x81\x85"),
            ("control-fragment", b"\x09"),
            ("unfinished", b"\x01\x03Hel\x81"),
            ("close-code", b"\x88\x02\x03\xed"),
            ("close-reason", b"\x88\x07\x03\xe8H\xc3llo"),
        ] {
            let mut wire = open(server, &format!("/x/bad/{mistake}"));
            assert_eq!(wire.read_exact(bytes.len()), bytes, "{mistake}");
            // What a client does then is its own affair; the server reads on until it has done it.
            wire.send(&Frame::close(1002, "").encode());
            wire.finish();
            wire.read_to_end();
        }
        let mut wire = Wire::connect(server);
        wire.send(&asking("/x/bad/accept"));
        let answer = wire.read_response();
        assert_eq!(answer.status, 101);
        let accept = answer.header("sec-websocket-accept").expect("one");
        assert_ne!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    });
}

/// Whatever it was doing it says goodbye, with all that it kept back, and the process ends before its time.
#[test]
fn a_drain_says_goodbye() {
    for engine in usable_engines() {
        let server = Server::start(engine, &PATIENT);
        let paths = [
            "/x/echo",
            "/x/delay/60s",
            "/x/ping?every=60s",
            "/x/drip?bytes=1&every=60s",
        ];
        let mut wires = paths.map(|path| open(&server, path));
        for wire in &mut wires {
            wire.send(&Frame::text("kept").encode());
        }
        let silent = open(&server, "/x/silent");
        let mut events = Wire::connect(&server);
        events.send(b"GET /sse?every=60s&n=1000 HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = events.read_response();
        assert_eq!(response.header("content-type"), Some("text/event-stream"));
        kernel::wait_until_read(&server, paths.len() + 2);
        server.signal(Signal::TERM);
        for (wire, path) in wires.into_iter().zip(paths) {
            let seen = wire.replies_to_end();
            assert_eq!(texts(&seen), ["kept"], "{path}");
            assert_eq!(seen.outcome.close, Some(CloseSeen::Code(1001)), "{path}");
        }
        assert!(silent.read_to_end().is_empty());
        // The end of a chunked body, which is not just cut short.
        assert!(events.read_to_end().ends_with(b"0\r\n\r\n"));
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn a_long_message_does_not_prolong_a_drain() {
    for engine in usable_engines() {
        let server = Server::start(engine, &PATIENT);
        let mut wire = open(&server, "/x/huge/16GiB?fragment=1KiB");
        let mut begin = wire.read_exact(1 << 20);
        server.signal(Signal::TERM);
        begin.extend(wire.read_to_end());
        let seen = replies::read(&begin).expect("strict frames").outcome;
        assert!(
            seen.close
                .is_none_or(|close| close == CloseSeen::Code(1001))
        );
        assert_eq!(server.wait().code(), Some(0));
    }
}

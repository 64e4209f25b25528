//! Whoever sends faster than it may is read from more slowly, and loses nothing.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::server::Server;
use crate::support::frames::Frame;
use crate::wire::{Wire, echo_of};

/// Sends all of `frames` and reads their echoes. How long it took.
fn echo_all(server: &Server, frames: &[Frame]) -> Duration {
    let mut wire = Wire::upgrade(server);
    let mut sending = wire.stream.try_clone().expect("a descriptor");
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    let began = Instant::now();
    let sender = thread::spawn(move || std::io::Write::write_all(&mut sending, &bytes));
    let expected: Vec<u8> = frames.iter().flat_map(echo_of).collect();
    assert!(
        wire.read_exact(expected.len()) == expected,
        "every byte, in order"
    );
    sender
        .join()
        .expect("no panic")
        .expect("the server takes it");
    wire.assert_echoes("and it goes on");
    began.elapsed()
}

pub(crate) fn messages_have_a_rate(engine: &'static str) {
    let options = ["--max-message-rate", "200/s", "--idle-timeout", "700ms"];
    let server = Server::start(engine, &options);
    let frames = vec![Frame::text("ring"); 800];
    let took = echo_all(&server, &frames);
    assert!(
        took > Duration::from_millis(2800),
        "{took:?} for 600 after 200"
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    let few = echo_all(&server, &frames[..100]);
    assert!(few < Duration::from_millis(500), "{few:?}");
}

pub(crate) fn bytes_have_a_rate(engine: &'static str) {
    let options = ["--max-bandwidth", "128KiB/s", "--idle-timeout", "700ms"];
    let server = Server::start(engine, &options);
    let took = echo_all(&server, &[Frame::binary(&[7; 512 * 1024])]);
    assert!(
        took > Duration::from_millis(2800),
        "{took:?} for 384 KiB after 128"
    );
    assert!(took < Duration::from_secs(10), "{took:?}");
    let few = echo_all(&server, &[Frame::binary(&[7; 64 * 1024])]);
    assert!(few < Duration::from_millis(500), "{few:?}");
}

pub(crate) fn a_drain_waits_for_no_rate(engine: &'static str) {
    let server = Server::start(
        engine,
        &["--max-message-rate", "1/h", "--drain-timeout", "5m"],
    );
    let mut wire = Wire::upgrade(&server);
    let frame = Frame::text("ring");
    for _ in 0..3 {
        wire.send(&frame.encode());
    }
    let echo = echo_of(&frame);
    assert_eq!(wire.read_exact(echo.len()), echo);
    thread::sleep(Duration::from_millis(300));
    server.signal(Signal::TERM);
    let seen = wire.replies_to_end().outcome;
    assert_eq!(
        seen.messages().count(),
        2,
        "what had come is answered: {seen:?}"
    );
    assert_eq!(server.wait().code(), Some(0));
}

//! Whoever sends faster than it may is read from more slowly, and loses nothing.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::server::{Server, until};
use crate::support::frames::Frame;
use crate::support::replies::Replies;
use crate::wire::{Wire, echo_of};
use crate::{sessions, upgrade};

/// Where messages are echoed, each by other hands: by a worker, by a behaviour, by Engine.IO as its packets.
const TARGETS: [&str; 3] = ["/", "/x/echo", "/engine.io/?EIO=4&transport=websocket"];

/// Sends all of `frames` and reads their echoes. How long it took.
fn echo_all(server: &Server, target: &str, frames: &[Frame]) -> Duration {
    let mut wire = Wire::connect(server);
    wire.send(upgrade(target, "").as_bytes());
    wire.read_response().assert_switched();
    if target == TARGETS[2] {
        // What it says first: that the session is open, and a ping.
        let has_both = |replies: &Replies| replies.outcome.messages().count() == 2;
        let first = wire.read_until(has_both).outcome;
        let frames = first
            .messages()
            .map(|message| echo_of(&Frame::new(1, message.bytes.clone())));
        wire.read_exact(frames.map(|frame| frame.len()).sum());
    }
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
    wire.assert_echoes("4 and it goes on");
    began.elapsed()
}

/// The seconds that `many` take, of which `few` may come at once, are between those, for whoever echoes.
fn assert_paced(engine: &'static str, options: &[&str], many: &[Frame], few: &[Frame]) {
    let server = Server::start(engine, options);
    for target in TARGETS {
        let took = echo_all(&server, target, many);
        assert!(
            took > Duration::from_millis(1800),
            "{target}: {took:?} for what takes 2 s"
        );
        assert!(took < Duration::from_secs(10), "{target}: {took:?}");
        let took = echo_all(&server, target, few);
        assert!(took < Duration::from_millis(1500), "{target}: {took:?}");
    }
}

pub(crate) fn messages_have_a_rate(engine: &'static str) {
    let options = ["--max-message-rate", "200/s", "--idle-timeout", "700ms"];
    let frames = vec![Frame::text("4ring"); 600];
    assert_paced(engine, &options, &frames, &frames[..100]);
}

pub(crate) fn bytes_have_a_rate(engine: &'static str) {
    let options = ["--max-bandwidth", "128KiB/s", "--idle-timeout", "700ms"];
    let frames = vec![Frame::text(&format!("4{}", "7".repeat(16 * 1024))); 24];
    assert_paced(engine, &options, &frames, &frames[..4]);
}

pub(crate) fn packets_of_polling_have_a_rate(engine: &'static str) {
    let server = Server::start(engine, &["--max-message-rate", "200/s"]);
    let mut wire = Wire::connect(&server);
    let path = "/engine.io/?EIO=4&transport=polling";
    let sid = sessions::open(&mut wire, path, "").expect("a session");
    let began = Instant::now();
    let packets = vec!["4ring"; 400].join("\u{1e}");
    assert_eq!(sessions::post(&mut wire, path, &sid, &packets).status, 200);
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(800),
        "{took:?} for what takes a second, but its end"
    );
}

pub(crate) fn whoever_goes_while_it_rests_is_let_go(engine: &'static str) {
    let options = [
        "--max-message-rate",
        "10/s",
        "--max-connections-per-source",
        "1",
    ];
    let server = Server::start(engine, &options);
    let frame = Frame::text("");
    for (target, resets) in [("/", false), ("/", true), ("/x/echo", true)] {
        // What it sends is answered at once, and then it has to wait for ten seconds and more.
        let mut wire = until("a place is free", || open(&server, target));
        wire.send(&frame.encode().repeat(120));
        wire.read_exact(120 * echo_of(&frame).len());
        let began = Instant::now();
        if resets {
            wire.reset();
        } else {
            wire.send(&Frame::close(1000, "").encode());
            drop(wire);
        }
        drop(until("its place is free", || open(&server, target)));
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{target}: {took:?}");
    }
}

fn open(server: &Server, target: &str) -> Option<Wire> {
    let mut wire = Wire::connect(server);
    wire.send(upgrade(target, "").as_bytes());
    let mut answered = [0; 12];
    let is_answered = wire.stream.read_exact(&mut answered).is_ok();
    (is_answered && answered == *b"HTTP/1.1 101").then_some(wire)
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

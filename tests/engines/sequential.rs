//! Clients that write everything before they read anything, as blocking code does.

use std::thread;
use std::time::Duration;

use crate::flood::{Flood, Reading};
use crate::server::Server;
use crate::support::event::Event;
use crate::support::frames::{self, Frame};
use crate::wire::{Wire, echo_of};

/// What is written before the first read, in bytes.
const WRITTEN_BYTES: usize = 32 << 20;

/// The same where the answers are longer than the messages.
const PREFIXED_BYTES: usize = 16 << 20;

/// Different messages of a stream, which then begins again.
const VARIETY: usize = 251;

/// Messages, repeated to so many bytes of payload, and the answers to them, made by `answer`.
fn stream(
    total_bytes: usize,
    message_bytes: usize,
    message: impl Fn(usize) -> Frame,
    answer: impl Fn(&Frame) -> Vec<u8>,
) -> (Vec<u8>, Vec<u8>) {
    let messages: Vec<_> = (0..VARIETY).map(message).collect();
    let encoded: Vec<_> = messages.iter().map(Frame::encode).collect();
    let answers: Vec<_> = messages.iter().map(answer).collect();
    let count = total_bytes / message_bytes;
    let repeat = |pieces: &[Vec<u8>]| {
        let pieces = pieces.iter().cycle().take(count);
        pieces.flatten().copied().collect::<Vec<_>>()
    };
    (repeat(&encoded), repeat(&answers))
}

/// Writes all of `stream`, and then reads `answers`; another is served meanwhile.
fn write_then_read(engine: &str, options: &[&str], stream: &[u8], answers: &[u8]) {
    let server = Server::start(engine, options);
    let mut witness = Wire::connect(&server);
    witness.handshake();
    let mut wire = Wire::upgrade(&server);
    wire.send(stream);
    for number in 0..20_u8 {
        witness.send(&Frame::ping(&[number]).encode());
        let pong =
            |event: &Event| matches!(event, Event::Pong { payload, .. } if *payload == [number]);
        witness.read_until(|seen| seen.outcome.events.iter().any(pong));
    }
    for (number, expected) in answers.chunks(1 << 20).enumerate() {
        assert!(
            wire.read_exact(expected.len()) == expected,
            "another answer in mebibyte {number}"
        );
    }
}

fn binary(message_bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let message = |seed| Frame::binary(&frames::noise(message_bytes, seed as u64));
    stream(WRITTEN_BYTES, message_bytes, message, echo_of)
}

pub(crate) fn one_message_may_be_written_first(engine: &'static str) {
    let message = Frame::binary(&frames::noise(WRITTEN_BYTES, 51));
    write_then_read(engine, &[], &message.encode(), &echo_of(&message));
}

pub(crate) fn small_messages_may_be_written_first(engine: &'static str) {
    let (stream, answers) = binary(64);
    write_then_read(engine, &[], &stream, &answers);
}

pub(crate) fn large_messages_may_be_written_first(engine: &'static str) {
    let (stream, answers) = binary(16 * 1024);
    write_then_read(engine, &[], &stream, &answers);
}

fn prefixed(engine: &str, options: &[&str], prefix: &str, greeting: &[u8]) {
    for message_bytes in [500, 10_000] {
        let message = |seed| Frame::new(frames::TEXT, frames::prose(message_bytes, seed as u64));
        let answer = |message: &Frame| {
            let payload = [prefix.as_bytes(), &message.payload].concat();
            echo_of(&Frame::new(frames::TEXT, payload))
        };
        let (stream, answers) = stream(PREFIXED_BYTES, message_bytes, message, answer);
        write_then_read(engine, options, &stream, &[greeting, &answers].concat());
    }
}

pub(crate) fn prefixed_messages_may_be_written_first(engine: &'static str) {
    prefixed(engine, &["--prefix", "Received: "], "Received: ", b"");
}

pub(crate) fn the_tutorial_may_be_written_first(engine: &'static str) {
    let greeting = echo_of(&Frame::text("Hi there"));
    let options = ["--tutorial", "--greeting-after", "101"];
    prefixed(engine, &options, "Received: ", &greeting);
}

/// Those who never read take no more than the budget, and nothing from those who do.
pub(crate) fn peers_that_never_read_take_nothing_from_others(engine: &'static str) {
    const HOSTILE: usize = 200;
    const HONEST: usize = 20;
    const BUDGET_BYTES: u64 = 32 << 20;
    const MORE_BYTES_MAX: u64 = 64 << 20;
    let options = ["--buffer-memory", "32MiB"];
    let server = Server::start(engine, &options);
    let mut honest: Vec<_> = (0..HONEST).map(|_| Wire::upgrade(&server)).collect();
    let hostile = (0..HOSTILE).map(|_| {
        let mut wire = Wire::connect_narrow(&server, 16 * 1024);
        wire.handshake();
        wire
    });
    let flood = Flood::of(hostile.collect(), 64 * 1024, Reading::Nothing);
    let round = |honest: &mut Vec<Wire>, round: u64| {
        let message = Frame::binary(&frames::noise(200_000, round));
        let echo = echo_of(&message);
        let sending: Vec<_> = honest
            .iter()
            .map(|wire| wire.send_aside(message.encode()))
            .collect();
        for wire in honest {
            assert!(wire.read_exact(echo.len()) == echo, "another echo");
        }
        for sender in sending {
            sender.join().expect("all is sent");
        }
    };
    for number in 0..3 {
        round(&mut honest, number);
    }
    flood.wait_until_stuck();
    for number in 3..6 {
        round(&mut honest, number);
    }
    let peak = server.peak_resident_bytes();
    assert!(
        peak <= BUDGET_BYTES + MORE_BYTES_MAX,
        "{peak} bytes resident, {} of the hostile ended",
        flood.ended()
    );
}

/// Whoever still writes makes progress, though it reads nothing yet.
pub(crate) fn a_message_may_be_written_first_over_a_slow_line(engine: &'static str) {
    let server = Server::start(engine, &["--stall-timeout", "1s"]);
    let message = Frame::binary(&frames::noise(12 << 20, 52));
    let mut wire = Wire::connect_narrow(&server, 64 * 1024);
    wire.handshake();
    for piece in message.encode().chunks(1 << 20) {
        wire.send(piece);
        thread::sleep(Duration::from_millis(300));
    }
    let echo = echo_of(&message);
    assert!(wire.read_exact(echo.len()) == echo, "another echo");
}

//! What peers may take of the server's memory, by how they dawdle.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::crowd;
use crate::flood::{Flood, Reading};
use crate::kernel;
use crate::server::{PATIENCE, Server, until};
use crate::support::frames::{self, Frame};
use crate::support::request;
use crate::wire::{Wire, echo_of};

/// How long slow readers flood. What they can take, they have taken by then.
const FLOOD: Duration = Duration::from_secs(3);

/// How long the server is stopped for, and goes on after it.
const PAUSE: Duration = Duration::from_millis(500);

/// Peers with small windows.
fn gather(server: &Server, peers: usize) -> Vec<Wire> {
    let peer = |_| {
        let mut wire = Wire::connect_narrow(server, 16 * 1024);
        wire.handshake();
        wire
    };
    (0..peers).map(peer).collect()
}

/// Lets them send all they can, and read slowly.
fn flood_slowly(wires: Vec<Wire>, message_bytes: usize) -> Flood {
    let flood = Flood::of(wires, message_bytes, Reading::Slowly(10_000));
    thread::sleep(FLOOD);
    flood
}

/// What the budget promises of resident memory, whatever a piece of it costs the allocator.
fn stay_within_the_budget(engine: &str, peers: usize, message_bytes: usize) {
    const BUDGET_BYTES: u64 = 32 << 20;
    const GROWTH_BYTES_MAX: u64 = BUDGET_BYTES / 4 * 5 + (8 << 20);
    let (_alone, peers) = crowd::gather(engine, peers);
    let options = ["--buffer-memory", "32MiB", "--idle-timeout", "off"];
    let server = Server::start(engine, &options);
    let wires = gather(&server, peers);
    let base = server.resident_bytes();
    let flood = flood_slowly(wires, message_bytes);
    // After a pause the server finds something to read on every connection at once.
    for _ in 0..3 {
        server.signal(Signal::STOP);
        thread::sleep(PAUSE);
        server.signal(Signal::CONT);
        thread::sleep(PAUSE);
    }
    let growth = server.peak_resident_bytes().saturating_sub(base);
    assert!(
        growth <= GROWTH_BYTES_MAX,
        "grown by {growth} bytes for messages of {message_bytes}; {} were ended",
        flood.ended()
    );
    Wire::upgrade(&server).assert_echoes("undisturbed");
}

pub(crate) fn slow_readers_of_large_messages_stay_within_the_budget(engine: &'static str) {
    stay_within_the_budget(engine, 2_000, 64 * 1024);
}

pub(crate) fn slow_readers_of_small_messages_stay_within_the_budget(engine: &'static str) {
    stay_within_the_budget(engine, 1_000, 16);
}

/// No one is ended while there is memory enough for all to wait, and it goes back when they have left.
fn give_memory_back(engine: &str, message_bytes: usize) {
    const PEERS: usize = 250;
    const GROWTH_BYTES_MAX: u64 = 24 << 20;
    let server = Server::start(engine, &["--idle-timeout", "off"]);
    let mut witness = Wire::upgrade(&server);
    witness.assert_echoes("before");
    let base = server.resident_bytes();
    let flood = flood_slowly(gather(&server, PEERS), message_bytes);
    witness.assert_echoes("beside");
    assert_eq!(flood.ended(), 0, "slow readers were ended");
    drop(flood);
    until("they are gone", || {
        (kernel::accepted_count(&server) == 1).then_some(())
    });
    let start = Instant::now();
    let growth = || server.resident_bytes().saturating_sub(base);
    while growth() > GROWTH_BYTES_MAX && start.elapsed() < PATIENCE {
        witness.assert_echoes("after");
        thread::sleep(Duration::from_millis(20));
    }
    let (kept, peak) = (growth(), server.peak_resident_bytes() - base);
    assert!(
        kept <= GROWTH_BYTES_MAX,
        "{kept} bytes of {peak} stay when all have left"
    );
}

pub(crate) fn memory_of_slow_readers_of_large_messages_returns(engine: &'static str) {
    give_memory_back(engine, 64 * 1024);
}

pub(crate) fn memory_of_slow_readers_of_small_messages_returns(engine: &'static str) {
    give_memory_back(engine, 16);
}

/// A request in two segments, the second after the first was read.
fn request_in_two(server: &Server, unfinished: usize) -> Wire {
    let request = request::upgrade();
    let (head, tail) = request.split_at(60);
    let mut wire = Wire::connect(server);
    wire.send(head);
    kernel::wait_until_read(server, unfinished + 1);
    wire.send(tail);
    wire.read_response().assert_switched();
    wire
}

/// Peers that have begun a message, for each of whom a large buffer would be more than there is memory for.
pub(crate) fn a_few_bytes_take_little_memory(engine: &'static str) {
    const PEERS: usize = 500;
    let message = Frame::text("finished after all");
    let (bytes, echo) = (message.encode(), echo_of(&message));
    // Half of the frame's header, and a byte of its payload.
    for begun_bytes in [1, 7] {
        let server = Server::start(engine, &["--buffer-memory", "4MiB"]);
        let mut begun: Vec<_> = (0..PEERS)
            .map(|_| {
                let mut wire = Wire::upgrade(&server);
                wire.send(&bytes[..begun_bytes]);
                wire
            })
            .collect();
        kernel::wait_until_read(&server, PEERS);
        request_in_two(&server, PEERS).assert_echoes("served");
        for wire in &mut begun {
            wire.send(&bytes[begun_bytes..]);
            assert_eq!(wire.read_exact(echo.len()), echo);
        }
    }
}

pub(crate) fn half_a_head_takes_little_memory(engine: &'static str) {
    const PEERS: usize = 500;
    let options = ["--buffer-memory", "4MiB", "--handshake-timeout", "5m"];
    let server = Server::start(engine, &options);
    let request = request::upgrade();
    let (head, tail) = request.split_at(60);
    let mut begun: Vec<_> = (0..PEERS)
        .map(|_| {
            let mut wire = Wire::connect(&server);
            wire.send(head);
            wire
        })
        .collect();
    kernel::wait_until_read(&server, PEERS);
    request_in_two(&server, PEERS).assert_echoes("served");
    for wire in &mut begun {
        wire.send(tail);
        wire.read_response().assert_switched();
    }
}

/// Where answers have a prefix, half of the memory is out of reach for unfinished messages too.
pub(crate) fn unfinished_messages_do_not_end_a_prefixed_peer_that_pauses(engine: &'static str) {
    const MESSAGES: usize = 400;
    const UNFINISHED: usize = 300;
    let options = ["--buffer-memory", "2MiB", "--prefix", "Received: "];
    let server = Server::start(engine, &options);
    let mut honest = Wire::connect_narrow(&server, 4096);
    honest.handshake();
    let begun = Frame::text("hello").encode();
    let _unfinished: Vec<_> = (0..UNFINISHED)
        .map(|_| {
            let mut wire = Wire::upgrade(&server);
            wire.send(&begun[..7]);
            wire
        })
        .collect();
    kernel::wait_until_read(&server, UNFINISHED + 1);
    let payload = frames::prose(15_000, 61);
    let message = Frame::new(frames::TEXT, payload.clone());
    let answer = Frame::new(frames::TEXT, [b"Received: ", &payload[..]].concat());
    let sending = honest.send_aside(message.encode().repeat(MESSAGES));
    thread::sleep(Duration::from_millis(500));
    let answer = echo_of(&answer);
    for number in 0..MESSAGES {
        assert!(
            honest.read_exact(answer.len()) == answer,
            "message {number}: another answer"
        );
    }
    sending.join().expect("all is sent");
}

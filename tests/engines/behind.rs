//! Peers that are behind with reading, and go on sending a little.

use std::thread;
use std::time::{Duration, Instant};

use crate::kernel;
use crate::server::{Server, until};
use crate::support::frames::{self, Frame};
use crate::wire::{Wire, echo_of};

/// How long the server has to answer before it counts as having nowhere to put the answer.
const ANSWER_PATIENCE: Duration = Duration::from_millis(30);

/// A peer that reads nothing until the end, and what it is owed.
struct Behind {
    wire: Wire,
    owed: Vec<u8>,
}

impl Behind {
    /// A peer whose echoes fill the kernel's buffers, so that the last of them wait in the server; they
    /// are few, so that the server goes on reading.
    fn start(server: &Server) -> Self {
        const STEP_BYTES: usize = 8_000;
        let mut wire = Wire::connect_cramped(server);
        wire.handshake();
        let mut behind = Behind {
            wire,
            owed: Vec::new(),
        };
        let message = Frame::binary(&frames::noise(STEP_BYTES, 21));
        for _ in 0..2 {
            until("the kernel's buffers are full", || {
                let before = behind.unsent_bytes(server);
                behind.say(&message);
                behind.is_stuck(server, before).then_some(())
            });
        }
        behind
    }

    fn unsent_bytes(&self, server: &Server) -> u64 {
        kernel::socket(server, &self.wire).unsent_bytes
    }

    /// Whether the server has read everything and passed nothing on to the kernel since it had
    /// `before`.
    fn is_stuck(&self, server: &Server, before: u64) -> bool {
        self.wait_until_read(server);
        let start = Instant::now();
        while start.elapsed() < ANSWER_PATIENCE {
            if self.unsent_bytes(server) != before {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn wait_until_read(&self, server: &Server) {
        until("the server reads what the peer sends", || {
            (kernel::socket(server, &self.wire).unread_bytes == 0).then_some(())
        });
    }

    /// Sends a message.
    fn say(&mut self, frame: &Frame) {
        self.wire.send(&frame.encode());
        self.owed.extend(echo_of(frame));
    }

    /// Reads at last.
    fn catch_up(mut self) {
        let read = self.wire.read_exact(self.owed.len());
        assert!(read == self.owed, "other answers than it is owed");
    }
}

pub(crate) fn a_peer_that_is_behind_and_sends_a_little_stops_no_one(engine: &'static str) {
    let few = ["--uring-buffers", "2", "--uring-buffer-size", "4KiB"];
    stop_no_one(&Server::start(engine, &[]));
    if engine == "uring" {
        stop_no_one(&Server::start(engine, &few));
    }
}

fn stop_no_one(server: &Server) {
    // More than the engine has buffers for, however many it adds.
    const ROUNDS: u64 = 400;
    let mut honest = Wire::upgrade(server);
    let mut behind = Behind::start(server);
    for round in 0..ROUNDS {
        behind.say(&Frame::binary(&round.to_be_bytes()));
        honest.assert_echoes_binary(&frames::noise(60_000, round));
    }
    behind.wait_until_read(server);
    server.assert_idle("with a peer that is behind");
    Wire::upgrade(server).assert_echoes("new here");
    behind.catch_up();
}

/// Half a ping is held, and its pong waits; neither may take more memory than it has bytes.
pub(crate) fn pings_cut_in_two_take_little_memory(engine: &'static str) {
    const PINGS: usize = 4_000;
    const GROWTH_BYTES_MAX: u64 = 8 << 20;
    let server = Server::start(engine, &["--idle-timeout", "off"]);
    let mut behind = Behind::start(&server);
    let resident_before = server.resident_bytes();
    let ping = Frame::ping(b"!?");
    let bytes = ping.encode();
    let (head, tail) = bytes.split_at(bytes.len() - 1);
    behind.wire.send(head);
    for _ in 0..PINGS {
        behind.wire.send(&[tail, head].concat());
        behind.owed.extend(echo_of(&ping));
        // So that the server meets the cut.
        thread::sleep(Duration::from_micros(100));
    }
    behind.wire.send(tail);
    behind.owed.extend(echo_of(&ping));
    behind.wait_until_read(&server);
    let growth = server.resident_bytes().saturating_sub(resident_before);
    assert!(
        growth < GROWTH_BYTES_MAX,
        "grown by {growth} bytes for {PINGS} pings"
    );
    behind.catch_up();
}

/// Whoever leaves requests unfinished does not take the memory of those who are behind for a moment.
pub(crate) fn unfinished_requests_do_not_end_a_peer_that_pauses(engine: &'static str) {
    const MESSAGES: usize = 6;
    const UNFINISHED: usize = 300;
    let options = ["--buffer-memory", "4MiB", "--handshake-timeout", "5m"];
    let server = Server::start(engine, &options);
    let mut honest = Wire::connect_narrow(&server, 4096);
    honest.handshake();
    let _unfinished: Vec<_> = (0..UNFINISHED)
        .map(|_| {
            let mut wire = Wire::connect(&server);
            wire.send(b"G");
            wire
        })
        .collect();
    kernel::wait_until_read(&server, UNFINISHED + 1);
    let message = Frame::binary(&frames::noise(1_000_000, 22));
    let sending = honest.send_aside(message.encode().repeat(MESSAGES));
    thread::sleep(Duration::from_millis(500));
    let echo = echo_of(&message);
    for number in 0..MESSAGES {
        assert!(
            honest.read_exact(echo.len()) == echo,
            "message {number}: another echo"
        );
    }
    sending.join().expect("all is sent");
}

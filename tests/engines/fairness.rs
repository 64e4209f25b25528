//! Peers that say little beside peers that send as much as they can: nobody's progress depends on another's.

use std::time::Duration;

use rustix::process::Signal;

use crate::flood::{self, Flood, Reading};
use crate::quiet::Quiet;
use crate::server::Server;
use crate::support::event::CloseSeen;
use crate::support::frames::Frame;
use crate::support::replies;
use crate::wire::{Wire, echo_of};

/// Quiet peers of a case.
const QUIET: usize = 8;

/// Echoes that each of them must get while the flood is on.
const ECHOES: u64 = 200;

/// How much of the flood's mean share its greediest peer may get. A fair server needs less; this tells
/// unevenness that buffers make from a peer that is preferred.
const SHARES_MAX: u64 = 4;

/// Quiet peers and newcomers beside a flood that reads its echoes, which is served evenly. It is on when
/// each of its peers has got `mean_bytes` on average: some of what sockets hold, which would decide the
/// shares else.
fn beside(engine: &str, peers: usize, message_bytes: usize, mean_bytes: u64) {
    let server = Server::start(engine, &[]);
    let mut quiet = Quiet::gather(&server, QUIET);
    let flood = Flood::start(&server, peers, message_bytes, Reading::All);
    flood.wait_until_read(mean_bytes);
    quiet.talk(ECHOES);
    Quiet::gather(&server, QUIET).talk(ECHOES);
    let read = flood.read_bytes();
    let (most, mean) = (
        read.iter().max().expect("peers"),
        read.iter().sum::<u64>() / read.len() as u64,
    );
    assert!(
        *most <= mean * SHARES_MAX,
        "the greediest got {most} bytes where the mean is {mean}: {read:?}"
    );
    assert_eq!(flood.ended(), 0, "flooding peers were ended");
}

pub(crate) fn eight_peers_that_flood_silence_no_one(engine: &'static str) {
    beside(engine, 8, 64 * 1024, 8 << 20);
}

pub(crate) fn floods_of_small_messages_silence_no_one(engine: &'static str) {
    beside(engine, 64, 16, 2 << 20);
}

pub(crate) fn many_peers_that_flood_silence_no_one(engine: &'static str) {
    beside(engine, 64, 64 * 1024, 8 << 20);
}

pub(crate) fn peers_that_never_read_silence_no_one(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut quiet = Quiet::gather(&server, QUIET);
    let flood = Flood::start(&server, 200, 64 * 1024, Reading::Nothing);
    quiet.talk(ECHOES);
    quiet.join(Quiet::gather(&server, QUIET));
    quiet.talk(ECHOES);
    flood.wait_until_stuck();
    quiet.talk(ECHOES);
}

/// Whoever speaks all the time is not closed for silence because others are louder.
pub(crate) fn quiet_peers_are_not_taken_for_silent(engine: &'static str) {
    // Whoever waits for its turn now is silent meanwhile.
    let turn = flood::turn();
    let server = Server::start(engine, &["--idle-timeout", "3s"]);
    let mut quiet = Quiet::gather(&server, QUIET);
    let wires = (0..8).map(|_| Wire::upgrade(&server)).collect();
    let _flood = Flood::in_turn(turn, wires, 64 * 1024, Reading::All);
    quiet.join(Quiet::gather(&server, QUIET));
    quiet.talk_for(Duration::from_secs(5));
}

/// What arrived before the signal is echoed, however loud others are.
pub(crate) fn a_drain_beside_a_flood_loses_nothing(engine: &'static str) {
    let server = Server::start(engine, &["--drain-timeout", "20s"]);
    let mut quiet: Vec<_> = (0..QUIET).map(|_| Wire::upgrade(&server)).collect();
    for wire in &mut quiet {
        wire.assert_echoes("here");
    }
    let flood = Flood::start(&server, 8, 64 * 1024, Reading::All);
    flood.wait_until_read(8 << 20);
    let message = Frame::text("sent before the signal");
    for wire in &mut quiet {
        wire.send(&message.encode());
    }
    server.signal(Signal::TERM);
    for (number, wire) in quiet.into_iter().enumerate() {
        let seen = wire.read_to_end();
        let echo = echo_of(&message);
        assert!(seen.starts_with(&echo), "quiet peer {number} got {seen:?}");
        let close = replies::read(&seen[echo.len()..]).expect("strict frames");
        assert_eq!(close.outcome.close, Some(CloseSeen::Code(1001)));
    }
    drop(flood);
    assert_eq!(server.wait().code(), Some(0));
}

//! How many come from one source, and how fast.

use std::io::{ErrorKind, Read};

use crate::server::{Server, until};
use crate::support::request::Response;
use crate::wire::Wire;
use crate::{ask_from, connect_from, get, upgrade};

/// A WebSocket from a source, or why there is none.
fn open(server: &Server, source: u8) -> Result<Wire, Response> {
    let mut wire = connect_from(server, source);
    wire.send(upgrade("/", "").as_bytes());
    let answer = wire.read_response();
    if answer.status == 101 {
        Ok(wire)
    } else {
        Err(answer)
    }
}

fn is_too_many(answer: &Response) {
    answer.assert_refused(429);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.body().contains("from your address"), "{answer:?}");
}

pub(crate) fn each_source_has_its_places(engine: &'static str) {
    let options = ["--max-connections-per-source", "3", "--workers", "2"];
    let server = Server::start(engine, &options);
    let mut all: Vec<_> = (0..3).map(|_| open(&server, 2).expect("a place")).collect();
    is_too_many(&open(&server, 2).err().expect("a refusal"));
    is_too_many(&ask_from(&server, 2, get("/", "")));
    let mut other = open(&server, 3).expect("places of its own");
    other.assert_echoes("ring");
    for wire in &mut all {
        wire.assert_echoes("still here");
    }
    drop(all.pop());
    until("its place is free", || open(&server, 2).ok());
    until("the log names it", || {
        let log = server.log().join("\n");
        log.contains("refused with 429: too many from one address")
            .then_some(())
    });
}

pub(crate) fn places_move_with_their_connections(engine: &'static str) {
    let server = Server::start(engine, &["--max-connections-per-source", "2"]);
    let mut kept = connect_from(&server, 2);
    assert_eq!(kept.ask("GET", "/").status, 200);
    let behaving = {
        let mut wire = connect_from(&server, 2);
        wire.send(upgrade("/x/echo", "").as_bytes());
        assert_eq!(wire.read_response().status, 101);
        wire
    };
    is_too_many(&open(&server, 2).err().expect("a refusal"));
    // It comes back to a worker, and counts once.
    kept.send(upgrade("/", "").as_bytes());
    kept.read_response().assert_switched();
    kept.assert_echoes("ring");
    is_too_many(&open(&server, 2).err().expect("a refusal"));
    drop(behaving);
    let last = until("its place is free", || open(&server, 2).ok());
    is_too_many(&open(&server, 2).err().expect("a refusal"));
    drop((kept, last));
    let both = || Some((open(&server, 2).ok()?, open(&server, 2).ok()?));
    until("all places are free", both);
}

pub(crate) fn newcomers_have_a_rate(engine: &'static str) {
    let server = Server::start(engine, &["--handshakes-per-source", "3/h"]);
    for _ in 0..3 {
        open(&server, 2).expect("one of three");
    }
    is_too_many(&open(&server, 2).err().expect("a refusal"));
    open(&server, 3).expect("another source");
    let fast = Server::start(engine, &["--handshakes-per-source", "4/s"]);
    let refused = (0..40).filter(|_| open(&fast, 2).is_err()).count();
    assert!(refused > 0, "forty within a second or two");
    until("time has passed", || open(&fast, 2).ok());
}

pub(crate) fn a_hoard_bars_the_door_for_nobody(engine: &'static str) {
    const HOARD: usize = 200;
    let options = [
        "--max-connections-per-source",
        "4",
        "--handshake-timeout",
        "5m",
    ];
    let server = Server::start(engine, &options);
    let mut hoard: Vec<_> = (0..HOARD).map(|_| connect_from(&server, 2)).collect();
    // Some are kept to be told, others are closed at once.
    for wire in &hoard {
        wire.stream.set_nonblocking(true).expect("a socket");
    }
    let closed = |wires: &mut [Wire]| {
        let is_open = |wire: &mut Wire| {
            let read = wire.stream.read(&mut [0]);
            read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        wires
            .iter_mut()
            .filter_map(|wire| (!is_open(wire)).then_some(()))
            .count()
    };
    until("most are closed", || {
        (closed(&mut hoard) >= HOARD - 4 - 32).then_some(())
    });
    let mut guest = open(&server, 3).expect("a place");
    guest.assert_echoes("back");
    drop(hoard);
    until("places are free", || open(&server, 2).ok());
}

//! What the operator bounds.

use rustix::net::{SendFlags, send};
use rustix::process::Signal;

use crate::flood::{Flood, Reading};
use crate::kernel;
use crate::server::Server;
use crate::support::event::{CloseSeen, Event};
use crate::support::frames::{self, Frame};
use crate::support::request;
use crate::wire::Wire;

pub(crate) fn messages_have_a_maximum(engine: &'static str) {
    let server = Server::start(engine, &["--max-message-size", "1KiB"]);
    let piece = || Frame::binary(&[1; 512]).unfinished();
    let more = |count: usize| Frame::new(frames::CONTINUATION, vec![2; count]);
    let just = frames::encode(&[piece(), more(512)]);
    let over = [piece().encode(), more(513).header()].concat();
    let mut wire = Wire::upgrade(&server);
    wire.send(&just);
    wire.read_until(|seen| {
        seen.outcome
            .messages()
            .any(|message| message.bytes.len() == 1024)
    });
    wire.send(&over);
    let seen = wire.replies_to_end().outcome;
    assert_eq!(
        seen.close,
        Some(CloseSeen::Code(1009)),
        "the header is enough"
    );
}

pub(crate) fn silence_is_ended(engine: &'static str) {
    let server = Server::start(engine, &["--idle-timeout", "1s"]);
    let silent = Wire::upgrade(&server);
    let seen = silent.replies_to_end().outcome;
    assert!(matches!(seen.events[..], [Event::Ping(_)]), "{seen:?}");
    assert_eq!(seen.close, Some(CloseSeen::Code(1001)));
    assert_eq!(seen.reasons, ["idle"]);
}

pub(crate) fn silent_peers_that_answer_pings_stay(engine: &'static str) {
    let server = Server::start(engine, &["--idle-timeout", "600ms"]);
    let mut wire = Wire::upgrade(&server);
    for rounds in 1..=4 {
        let seen = wire.read_until(|seen| seen.outcome.events.len() >= rounds);
        let Some(Event::Ping(payload)) = seen.outcome.events.last() else {
            panic!("no ping: {seen:?}");
        };
        wire.send(&Frame::new(frames::PONG, payload.clone()).encode());
    }
}

/// A byte sent as urgent is one like any other: it neither keeps a connection alive nor holds up a drain.
pub(crate) fn an_urgent_byte_puts_nothing_off(engine: &'static str) {
    let options = ["--handshake-timeout", "1s", "--idle-timeout", "1s"];
    let server = Server::start(engine, &[&options[..], &["--drain-timeout", "5m"]].concat());
    let urgent = |wire: &Wire| {
        let sent = send(&wire.stream, b"G", SendFlags::OOB);
        assert_eq!(sent.expect("it goes"), 1);
    };
    let knocking = Wire::connect(&server);
    urgent(&knocking);
    let answer = knocking.read_to_end();
    request::read(&answer)
        .expect("a response")
        .assert_refused(408);
    let open = Wire::upgrade(&server);
    urgent(&open);
    let seen = open.replies_to_end().outcome;
    assert!(
        matches!(seen.close, Some(CloseSeen::Code(1001 | 1002))),
        "{seen:?}"
    );
    let last = Wire::upgrade(&server);
    urgent(&last);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// What the kernel keeps for peers that do not read is the operator's to bound.
pub(crate) fn socket_buffers_have_a_maximum(engine: &'static str) {
    const PEERS: usize = 4;
    let kept = |buffers: &str| {
        let server = Server::start(engine, &["--socket-buffers", buffers]);
        let flood = Flood::start(&server, PEERS, 64 * 1024, Reading::Nothing);
        flood.wait_until_stuck();
        let sockets = kernel::sockets(&server);
        let kept = sockets.iter().map(|it| it.unsent_bytes + it.unread_bytes);
        kept.max().expect("peers")
    };
    let (little, much) = (kept("16KiB"), kept("auto"));
    // What the peer's own kernel takes counts as sent here until it has been acknowledged.
    assert!(
        little < 200_000 && much > 1_000_000,
        "{little} bytes, {much} without"
    );
}

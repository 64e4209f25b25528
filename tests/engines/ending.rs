//! Starting and stopping.

use rustix::process::Signal;

use crate::crowd;
use crate::kernel;
use crate::server::{Server, run_to_end, until};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::request;
use crate::wire::{Wire, echo_of};

/// A Close with 1001 and its reason.
const GOING_AWAY: &[u8] = b"\x88\x0c\x03\xe9going away";

pub(crate) fn a_drain_finishes_what_was_received(engine: &'static str) {
    drain(engine, Signal::TERM);
}

pub(crate) fn an_interrupt_drains_too(engine: &'static str) {
    drain(engine, Signal::INT);
}

fn drain(engine: &str, signal: Signal) {
    let server = Server::start(engine, &["--workers", "2"]);
    let mut wires: Vec<_> = (0..10).map(|_| Wire::upgrade(&server)).collect();
    let silent = Wire::connect(&server);
    let burst = frames::encode(&vec![Frame::text("in flight"); 1000]);
    for wire in &mut wires {
        wire.send(&burst);
        wire.read_exact(11);
    }
    // The first echo shows that the server reads; the rest of so small a burst is with it by now.
    std::thread::sleep(std::time::Duration::from_millis(300));
    server.signal(signal);
    for wire in wires {
        let seen = wire.replies_to_end().outcome;
        assert_eq!(seen.messages().count(), 999);
        assert_eq!(seen.close, Some(CloseSeen::Code(1001)));
    }
    drop(silent);
    assert_eq!(server.wait().code(), Some(0));
}

/// A connection that has got its Close and keeps the server waiting.
fn linger(server: &Server) -> Wire {
    let mut wire = Wire::upgrade(server);
    server.signal(Signal::TERM);
    wire.read_until(|seen| seen.outcome.close == Some(CloseSeen::Code(1001)));
    wire
}

pub(crate) fn upgrades_during_a_drain_are_refused(engine: &'static str) {
    let server = Server::start(engine, &["--drain-timeout", "60s"]);
    let mut early = Wire::connect(&server);
    early.send(b"GET / HTTP/1.1\r\n");
    let lingering = linger(&server);
    let mut late = Wire::connect(&server);
    late.send(&request::upgrade());
    let answer = late.read_to_end();
    request::read(&answer)
        .expect("a response")
        .assert_refused(503);
    early.send(&request::upgrade()["GET /chat HTTP/1.1\r\n".len()..]);
    let answer = early.read_to_end();
    request::read(&answer)
        .expect("a response")
        .assert_refused(503);
    drop(lingering);
    assert_eq!(server.wait().code(), Some(0));
}

pub(crate) fn a_second_signal_ends_at_once(engine: &'static str) {
    let mut server = Server::start(engine, &["--drain-timeout", "10m"]);
    let mut stuck = Wire::connect_narrow(&server, 4096);
    stuck.handshake();
    let sending = stuck.send_aside(Frame::binary(&vec![0; 64 << 20]).encode());
    let _lingering = linger(&server);
    assert!(server.runs(), "it drains");
    // One that comes at the heels of the first is the same wish; these go on until one is not.
    until("the server ends", || {
        server.signal(Signal::TERM);
        (!server.runs()).then_some(())
    });
    sending.join().expect("the sender ends");
}

pub(crate) fn a_drain_is_bounded(engine: &'static str) {
    let server = Server::start(engine, &["--drain-timeout", "500ms"]);
    let _lingering = linger(&server);
    assert_eq!(server.wait().code(), Some(0));
}

pub(crate) fn a_taken_address_is_an_error(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let address = server.address.to_string();
    let (status, said) = run_to_end(&["--listen", &address, "--engine", engine, "--workers", "1"]);
    assert!(!status.success(), "{said}");
    assert!(said.contains(&address), "which address: {said}");
    assert!(!said.contains("listening on"), "{said}");
    Wire::upgrade(&server).assert_echoes("undisturbed");
}

pub(crate) fn a_drain_does_not_wait_for_the_rest_of_a_frame(engine: &'static str) {
    let server = Server::start(engine, &["--drain-timeout", "1s"]);
    let mut wire = Wire::upgrade(&server);
    wire.send(&Frame::binary(&[7; 100_000]).encode()[..50_000]);
    wire.read_exact(40_000);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// A peer that neither reads the FIN nor sends its own is let go (the lingering has its deadline).
pub(crate) fn a_peer_that_stays_is_let_go(engine: &'static str) {
    let server = Server::start(engine, &["--idle-timeout", "off"]);
    let mut wire = Wire::upgrade(&server);
    wire.send(&Frame::close(1000, "").encode());
    assert_eq!(wire.read_exact(4), b"\x88\x02\x03\xe8");
    until("the server closes the connection", || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::io::Write::write_all(&mut wire.stream, b"more").err()
    });
}

/// What waits in the sockets when the signal comes was received, however many they are.
pub(crate) fn a_drain_answers_what_waits_in_every_socket(engine: &'static str) {
    let (_alone, count) = crowd::gather(engine, 3_000);
    let server = Server::start(engine, &["--drain-timeout", "10m"]);
    let mut wires: Vec<_> = (0..count).map(|_| Wire::upgrade(&server)).collect();
    server.signal(Signal::STOP);
    let message = |number| Frame::text(&format!("unread {number:05}"));
    for (number, wire) in wires.iter_mut().enumerate() {
        wire.send(&message(number).encode());
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for (number, wire) in wires.into_iter().enumerate() {
        let expected = [echo_of(&message(number)), GOING_AWAY.to_vec()].concat();
        assert_eq!(
            wire.read_to_end(),
            expected,
            "connection {number} of {count}"
        );
    }
    assert_eq!(server.wait().code(), Some(0));
}

/// A request that crosses the signal on its way is answered.
pub(crate) fn a_request_just_after_the_signal_is_refused(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut silent = Wire::connect(&server);
    let mut begun = Wire::connect(&server);
    let request = request::upgrade();
    begun.send(&request[..30]);
    kernel::wait_until_read(&server, 2);
    server.signal(Signal::TERM);
    // The log tells when the workers were told; what a newcomer is answered tells when they have heard.
    until("the server drains", || {
        let mut newcomer = Wire::connect(&server);
        newcomer.send(&request);
        newcomer
            .read_to_end()
            .starts_with(b"HTTP/1.1 503 ")
            .then_some(())
    });
    silent.send(&request);
    begun.send(&request[30..]);
    for wire in [silent, begun] {
        let answer = wire.read_to_end();
        request::read(&answer)
            .expect("a response")
            .assert_refused(503);
    }
    assert_eq!(server.wait().code(), Some(0));
}

/// Whoever reads the log may be gone first.
pub(crate) fn a_drain_does_not_need_the_log(engine: &'static str) {
    let server = Server::start_unheard(engine);
    let wire = Wire::upgrade(&server);
    server.signal(Signal::TERM);
    assert_eq!(wire.read_to_end(), GOING_AWAY);
    assert_eq!(server.wait().code(), Some(0));
}

/// The operator is told of what went wrong, and the peer of how (RFC 6455, sections 7.1.7 and 10.7).
pub(crate) fn what_was_refused_or_broken_is_logged(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut stranger = Wire::connect(&server);
    stranger.send(b"\x01\x02\r\n");
    stranger.read_to_end();
    let mut broken = Wire::upgrade(&server);
    broken.send(b"\x83\x80");
    let seen = broken.replies_to_end().outcome;
    assert_eq!(seen.close, Some(CloseSeen::Code(1002)));
    for cause in ["refused with 400", "closed with 1002: reserved opcode"] {
        until("the operator is told", || {
            let log = server.log();
            log.iter().any(|line| line.contains(cause)).then_some(())
        });
    }
}

//! Peers that read slowly, and steadily: as long as they take what they are sent, they get all of it.

use std::time::Duration;

use rustix::process::Signal;

use crate::kernel;
use crate::pace;
use crate::server::{Server, until};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::replies::{self, Replies};
use crate::wire::{Wire, echo_of};

/// What is after `echo` in `seen`, which begins with it.
fn after(seen: &[u8], echo: &[u8]) -> Replies {
    let same = seen.iter().zip(echo).take_while(|it| it.0 == it.1).count();
    assert!(
        same == echo.len(),
        "{same} bytes of an echo of {} are right, {} came",
        echo.len(),
        seen.len()
    );
    replies::read(&seen[echo.len()..]).expect("strict frames")
}

/// A message of `bytes` and a Close behind it, read at `per_second`.
fn read_to_the_close(server: &Server, mut wire: Wire, bytes: usize, per_second: usize) {
    let message = Frame::binary(&frames::noise(bytes, 41));
    wire.handshake();
    let sending = wire.send_aside([message.encode(), Frame::close(1000, "").encode()].concat());
    let seen = pace::read_to_end(wire, per_second);
    sending.join().expect("all is sent");
    let end = after(&seen, &echo_of(&message)).outcome;
    assert_eq!(end.close, Some(CloseSeen::Code(1000)));
    until("the server closes the connection", || {
        (kernel::accepted_count(server) == 0).then_some(())
    });
}

/// All of it is in the kernel's hands at once, where no event tells of it for long.
pub(crate) fn a_close_waits_for_a_slow_reader(engine: &'static str) {
    let server = Server::start(engine, &[]);
    read_to_the_close(&server, Wire::connect(&server), 240_000, 32_000);
}

pub(crate) fn a_close_waits_for_a_slow_reader_with_a_small_buffer(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let wire = Wire::connect_narrow(&server, 16 * 1024);
    read_to_the_close(&server, wire, 240_000, 32_000);
}

pub(crate) fn a_close_waits_for_a_faster_reader_of_more(engine: &'static str) {
    let server = Server::start(engine, &[]);
    read_to_the_close(&server, Wire::connect(&server), 3_500_000, 500_000);
}

/// A peer that still reads what it is owed is not silent.
fn outlast_the_idle_timeout(engine: &str, options: &[&str], connect: fn(&Server) -> Wire) {
    let server = Server::start(engine, options);
    let message = Frame::binary(&frames::noise(200_000, 42));
    let mut wire = connect(&server);
    wire.handshake();
    let sending = wire.send_aside(message.encode());
    let echo = echo_of(&message);
    let mut seen = pace::read_exact(&mut wire, echo.len(), 30_000);
    sending.join().expect("all is sent");
    wire.send(&Frame::close(1000, "").encode());
    seen.extend(wire.read_to_end());
    // What its TCP has acknowledged it may still be reading, and be taken for silent: but it has got everything.
    let end = after(&seen, &echo).outcome;
    assert!(
        matches!(end.close, Some(CloseSeen::Code(1000 | 1001))),
        "{end:?}"
    );
}

pub(crate) fn a_slow_reader_is_not_silent(engine: &'static str) {
    outlast_the_idle_timeout(engine, &["--idle-timeout", "2s"], Wire::connect);
}

pub(crate) fn a_slow_reader_with_a_small_buffer_is_not_silent(engine: &'static str) {
    outlast_the_idle_timeout(engine, &["--idle-timeout", "2s"], |server| {
        Wire::connect_narrow(server, 16 * 1024)
    });
}

/// The stall timeout runs from the last byte that the peer took, not from when it fell behind.
pub(crate) fn a_slow_reader_does_not_stall(engine: &'static str) {
    let options = ["--stall-timeout", "4s"];
    outlast_the_idle_timeout(engine, &options, Wire::connect);
}

pub(crate) fn a_drain_waits_for_a_slow_reader(engine: &'static str) {
    let server = Server::start(engine, &["--drain-timeout", "20s"]);
    let message = Frame::binary(&frames::noise(240_000, 43));
    let mut wire = Wire::upgrade(&server);
    wire.send(&message.encode());
    server.signal(Signal::TERM);
    let seen = pace::read_to_end(wire, 32_000);
    let end = after(&seen, &echo_of(&message)).outcome;
    assert_eq!(end.close, Some(CloseSeen::Code(1001)));
    assert_eq!(server.wait().code(), Some(0));
}

/// Whoever takes nothing of what it is owed is given up, in every phase, and the log says who and why.
pub(crate) fn a_peer_that_takes_nothing_is_given_up(engine: &'static str) {
    let options = ["--stall-timeout", "2s", "--idle-timeout", "off"];
    let server = Server::start(engine, &options);
    let mut talking = Wire::upgrade(&server);
    let mut leaving = Wire::upgrade(&server);
    let port = |wire: &Wire| wire.stream.local_addr().expect("an address").port();
    let ports = [port(&talking), port(&leaving)];
    let much = Frame::binary(&frames::noise(64 << 20, 44)).encode();
    // A window's worth that it cannot take, and a Close behind it.
    let some = Frame::binary(&frames::noise(600_000, 45)).encode();
    leaving.send(&[some, Frame::close(1000, "").encode()].concat());
    talking
        .stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let _ = std::io::Write::write_all(&mut talking.stream, &much);
    until("both are given up", || {
        (kernel::accepted_count(&server) == 0).then_some(())
    });
    for port in ports {
        until("the log names it", || {
            let log = server.log();
            log.iter()
                .any(|line| line.contains(&format!("127.0.0.1:{port}")))
                .then_some(())
        });
    }
    Wire::upgrade(&server).assert_echoes("undisturbed");
}

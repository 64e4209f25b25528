//! A server that was stopped for a while, as a frozen machine is: what came in time counts as such.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::kernel;
use crate::server::Server;
use crate::support::frames::Frame;
use crate::support::request;
use crate::wire::Wire;

const PEERS: usize = 20;

/// Longer than the deadlines of these cases.
const PAUSE: Duration = Duration::from_millis(3_500);

/// Stops the server, says `meanwhile`, and lets it go on after its deadlines have passed.
fn pause(server: &Server, meanwhile: impl FnOnce()) {
    server.signal(Signal::STOP);
    meanwhile();
    thread::sleep(PAUSE);
    server.signal(Signal::CONT);
}

pub(crate) fn a_head_that_came_during_a_pause_is_in_time(engine: &'static str) {
    let server = Server::start(engine, &["--handshake-timeout", "3s"]);
    let request = request::upgrade();
    let (head, tail) = request.split_at(60);
    let mut wires: Vec<_> = (0..PEERS).map(|_| Wire::connect(&server)).collect();
    for wire in &mut wires[..PEERS / 2] {
        wire.send(head);
    }
    kernel::wait_until_read(&server, PEERS);
    pause(&server, || {
        for (number, wire) in wires.iter_mut().enumerate() {
            let begun = number < PEERS / 2;
            wire.send(if begun { tail } else { &request });
        }
    });
    for wire in &mut wires {
        wire.read_response().assert_switched();
        wire.assert_echoes("in time");
    }
}

/// The ping has shown that the deadline is near; what was sent after it, and not read for the pause, is an
/// answer.
pub(crate) fn a_message_that_came_during_a_pause_is_no_silence(engine: &'static str) {
    let server = Server::start(engine, &["--idle-timeout", "4s"]);
    let mut wire = Wire::upgrade(&server);
    let ping = wire.read_until(|seen| !seen.outcome.events.is_empty());
    assert_eq!(ping.outcome.close, None, "it was silent for too short");
    let message = Frame::text("during the pause");
    pause(&server, || wire.send(&message.encode()));
    wire.read_until(|seen| seen.outcome.messages().count() == 1);
}

//! The end of a server that others do not let alone: it takes in what had arrived, answers everyone, and
//! is over when those who were there are gone.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::kernel;
use crate::server::{PATIENCE, Server};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::replies;
use crate::support::request;
use crate::wire::{Wire, echo_of};

/// So long that a drain that lasts its whole timeout is a failure.
const PATIENT: [&str; 2] = ["--drain-timeout", "10m"];

/// What became of a request.
#[derive(Debug)]
enum Answer {
    /// It was answered before the drain.
    Switched,
    /// It got a whole 503, on this connection, which the client has not closed.
    Refused(TcpStream),
    /// There was no whole answer.
    Cut(String),
    /// No one listens.
    NoOne,
}

/// Connects, asks for an upgrade and reads to the end, or to the 101.
fn knock(server: &Server) -> Answer {
    let Ok(mut stream) = TcpStream::connect(server.address) else {
        return Answer::NoOne;
    };
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = Vec::new();
    let mut ask = || {
        stream.write_all(&request::upgrade())?;
        let mut bytes = [0; 4096];
        while !answer.starts_with(b"HTTP/1.1 101 ") {
            match stream.read(&mut bytes)? {
                0 => break,
                count => answer.extend_from_slice(&bytes[..count]),
            }
        }
        Ok::<_, std::io::Error>(())
    };
    if let Err(error) = ask() {
        return Answer::Cut(format!("{error} after {answer:?}"));
    }
    match request::read(&answer) {
        Some(response) if response.status == 101 => Answer::Switched,
        Some(response) => {
            response.assert_refused(503);
            Answer::Refused(stream)
        }
        None => Answer::Cut(format!("the end after {answer:?}")),
    }
}

/// Knocks until no one listens any more. The last connections stay open for a while, as those of clients
/// far away do.
///
/// Whoever is in a listener's queue in the instant in which it is closed is reset by the kernel; so an
/// answer may be cut when the drain may end, and not before.
fn knock_until_the_end(server: &Server, drain: &Drain) {
    const OPEN_MAX: usize = 5;
    let mut refused = 0;
    let mut open = VecDeque::new();
    loop {
        let may_end = drain.may_end.load(Relaxed);
        match knock(server) {
            Answer::Switched => {}
            Answer::Refused(stream) => {
                refused += 1;
                open.push_back(stream);
                if open.len() > OPEN_MAX {
                    open.pop_front();
                }
            }
            Answer::NoOne => break,
            Answer::Cut(_) if may_end => {}
            Answer::Cut(how) => panic!("{how}, after {refused} refusals"),
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!(refused > 0, "no one was refused in all the drain");
}

/// How far a drain is.
#[derive(Debug, Default)]
struct Drain {
    /// All who were there at its beginning have left.
    may_end: AtomicBool,
    /// The server has ended.
    over: AtomicBool,
}

/// Runs a drain of a server with a resident that keeps it for a while, with `beside` in some threads.
fn drain_beside(server: Server, threads: usize, beside: impl Fn(&Server, &Drain) + Sync) {
    const STAY: Duration = Duration::from_secs(2);
    let mut resident = Wire::upgrade(&server);
    let drain = Drain::default();
    let ended = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| beside(&server, &drain));
        }
        thread::sleep(Duration::from_millis(200));
        server.signal(Signal::TERM);
        resident.read_until(|seen| seen.outcome.close == Some(CloseSeen::Code(1001)));
        thread::sleep(STAY);
        drain.may_end.store(true, Relaxed);
        drop(resident);
        let start = Instant::now();
        while server.is_alive() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        let ended = !server.is_alive();
        if !ended {
            // Else the threads would not end.
            server.signal(Signal::KILL);
        }
        drain.over.store(true, Relaxed);
        ended
    });
    assert!(
        ended,
        "the drain goes on after all who were there have left"
    );
    assert_eq!(server.wait().code(), Some(0));
}

pub(crate) fn reconnecting_clients_do_not_prolong_it(engine: &'static str) {
    drain_beside(Server::start(engine, &PATIENT), 4, knock_until_the_end);
}

/// Workers without connections have to refuse what comes to them as well.
pub(crate) fn workers_without_connections_refuse_too(engine: &'static str) {
    let options = [&PATIENT[..], &["--workers", "4"]].concat();
    drain_beside(Server::start(engine, &options), 4, knock_until_the_end);
}

/// Newcomers that say nothing and stay do not keep it.
pub(crate) fn a_storm_of_newcomers_does_not_prolong_it(engine: &'static str) {
    drain_beside(Server::start(engine, &PATIENT), 2, |server, drain| {
        let mut newcomers = Vec::new();
        while !drain.over.load(Relaxed) {
            let Ok(mut stream) = TcpStream::connect(server.address) else {
                break;
            };
            let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
            newcomers.push(stream);
            if newcomers.len() > 100 {
                newcomers.remove(0);
            }
            thread::sleep(Duration::from_millis(2));
        }
    });
}

/// What waits in the listeners' queues when the signal comes is refused, not reset.
pub(crate) fn what_waits_at_the_door_is_refused(engine: &'static str) {
    for workers in ["1", "4"] {
        let options = [&PATIENT[..], &["--workers", workers]].concat();
        let server = Server::start(engine, &options);
        server.signal(Signal::STOP);
        let waiting: Vec<_> = (0..40)
            .map(|_| {
                let mut wire = Wire::connect(&server);
                wire.send(&request::upgrade());
                wire
            })
            .collect();
        server.signal(Signal::TERM);
        server.signal(Signal::CONT);
        for mut wire in waiting {
            let mut response = wire.read_response();
            if response.status != 101 {
                response.rest = wire.read_to_end();
                response.assert_refused(503);
            }
        }
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// A frame of which no more comes is given up long before the drain's timeout.
pub(crate) fn an_open_frame_does_not_prolong_it(engine: &'static str) {
    let server = Server::start(engine, &PATIENT);
    let mut wire = Wire::upgrade(&server);
    let announced = Frame {
        length_form: frames::LengthForm::Lie(1 << 30),
        ..Frame::binary(&[7; 100_000])
    };
    wire.send(&announced.encode());
    wire.read_exact(90_000);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// Every message that the server's TCP has acknowledged when the signal comes is echoed, on every
/// connection.
pub(crate) fn it_takes_in_all_that_has_arrived(engine: &'static str) {
    const CONNECTIONS: u64 = 10;
    const MESSAGES: u64 = 27_272;
    const MESSAGE_BYTES: usize = 16;
    let server = Server::start(engine, &PATIENT);
    let mut wires: Vec<_> = (0..CONNECTIONS).map(|_| Wire::upgrade(&server)).collect();
    // The kernel lets more wait for whoever has read much.
    for wire in &mut wires {
        let message = Frame::binary(&frames::noise(1 << 20, 71));
        let echo = echo_of(&message);
        for _ in 0..8 {
            let sending = wire.send_aside(message.encode());
            assert!(wire.read_exact(echo.len()) == echo, "another echo");
            sending.join().expect("all is sent");
        }
    }
    server.signal(Signal::STOP);
    let message = |number: u64| Frame::binary(&frames::noise(MESSAGE_BYTES, number));
    let messages: Vec<_> = (0..MESSAGES).map(message).collect();
    let stream = frames::encode(&messages);
    let frame_bytes = stream.len() / messages.len();
    let mut owed = Vec::new();
    for wire in &mut wires {
        wire.stream.set_nonblocking(true).expect("a socket option");
        let mut sent = 0;
        while sent < stream.len() {
            match wire.stream.write(&stream[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        wire.stream.set_nonblocking(false).expect("a socket option");
        owed.push(kernel::socket(&server, wire).unread_bytes as usize / frame_bytes);
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    let echoes: Vec<_> = messages.iter().flat_map(echo_of).collect();
    for (number, (wire, owed)) in wires.into_iter().zip(owed).enumerate() {
        let seen = wire.read_to_end();
        let same = seen.iter().zip(&echoes).take_while(|it| it.0 == it.1);
        let whole = same.count() / (frame_bytes - 4);
        assert!(
            whole >= owed,
            "connection {number}: {whole} of {owed} messages that had arrived were echoed"
        );
        let end = replies::read(&seen).expect("strict frames").outcome;
        assert_eq!(end.close, Some(CloseSeen::Code(1001)));
    }
    assert_eq!(server.wait().code(), Some(0));
}

//! Many connections, and too many.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::kernel;
use crate::server::{Server, until};
use crate::support::frames::Frame;
use crate::support::request;
use crate::wire::Wire;

/// Connections wanted of the crowd.
const CROWD: usize = 10_000;

/// Descriptors left to everything else in this process.
const DESCRIPTORS_ASIDE: u64 = 1_000;

/// One crowd at a time: two would not fit.
static CROWDED: Mutex<()> = Mutex::new(());

/// Raises this process's soft limit of open files to the hard one and returns it.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many of `wanted` connections this machine allows, and the right to make them.
pub(crate) fn gather(engine: &str, wanted: usize) -> (MutexGuard<'static, ()>, usize) {
    let alone = CROWDED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let spare = raise_descriptors().saturating_sub(DESCRIPTORS_ASIDE);
    let count = usize::try_from(spare).map_or(wanted, |spare| spare.min(wanted));
    if count < wanted {
        let _ = writeln!(
            std::io::stderr(),
            "{engine}: {count} connections instead of {wanted}: the limit of open files is too low"
        );
    }
    (alone, count)
}

pub(crate) fn ten_thousand_connections(engine: &'static str) {
    let (_alone, count) = gather(engine, CROWD);
    let patient = [
        "--workers",
        "2",
        "--handshake-timeout",
        "5m",
        "--idle-timeout",
        "off",
    ];
    let server = Server::start(engine, &patient);
    let mut crowd: Vec<_> = (0..count).map(|_| Wire::connect(&server)).collect();
    for wire in &mut crowd {
        wire.send(&request::upgrade());
    }
    for wire in &mut crowd {
        wire.read_response().assert_switched();
    }
    for round in 0..2 {
        for (number, wire) in crowd.iter_mut().enumerate() {
            wire.send(&Frame::text(&format!("{number:05}/{round}")).encode());
        }
        for (number, wire) in crowd.iter_mut().enumerate() {
            let echo = format!("\u{7}{number:05}/{round}");
            assert_eq!(wire.read_exact(9)[1..], *echo.as_bytes());
        }
    }
    server.assert_idle("of silence");
    for wire in crowd.drain(..count / 2) {
        wire.reset();
    }
    for wire in &mut crowd {
        wire.assert_echoes("still here");
    }
}

pub(crate) fn connections_have_a_maximum(engine: &'static str) {
    let server = Server::start(engine, &["--max-connections", "4"]);
    let mut served: Vec<_> = (0..4).map(|_| Wire::upgrade(&server)).collect();
    let mut surplus = Wire::connect(&server);
    surplus.send(&request::upgrade());
    surplus
        .stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let mut byte = [0];
    match surplus.stream.read(&mut byte) {
        Ok(0) => {}
        Ok(_) => assert_refused(surplus, byte[0]),
        Err(error) => assert!(
            matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::ConnectionReset
            ),
            "{error}"
        ),
    }
    for wire in &mut served {
        wire.assert_echoes("served");
    }
    drop(served);
    until("a place is free again", || {
        let mut wire = Wire::connect(&server);
        wire.stream.write_all(&request::upgrade()).ok()?;
        let mut head = [0; 12];
        wire.stream.read_exact(&mut head).ok()?;
        (head == *b"HTTP/1.1 101").then_some(())
    });
}

/// The most connections that a worker keeps in order to refuse them politely.
const SURPLUS_MAX: usize = 64;

/// Connections over the maximum, on which nothing is said.
fn silent_surplus(server: &Server, count: usize) -> Vec<Wire> {
    (0..count).map(|_| Wire::connect(server)).collect()
}

pub(crate) fn surplus_connections_have_a_maximum(engine: &'static str) {
    const MAX: usize = 10;
    let server = Server::start(engine, &["--max-connections", "10"]);
    let mut served: Vec<_> = (0..MAX).map(|_| Wire::upgrade(&server)).collect();
    let _surplus = silent_surplus(&server, 500);
    let accepted_max = MAX + SURPLUS_MAX;
    until("the surplus is accepted as far as it is", || {
        (kernel::accepted_count(&server) >= accepted_max).then_some(())
    });
    for _ in 0..30 {
        let accepted = kernel::accepted_count(&server);
        assert!(accepted <= accepted_max, "{accepted} sockets accepted");
        thread::sleep(Duration::from_millis(20));
    }
    server.assert_idle("with more connections than there may be");
    for wire in &mut served {
        wire.assert_echoes("served");
    }
}

/// Everyone of a burst is answered, however many are turned away.
pub(crate) fn a_burst_over_the_maximum_is_refused_in_words(engine: &'static str) {
    const BURST: usize = 310;
    let server = Server::start(engine, &["--max-connections", "10"]);
    server.signal(Signal::STOP);
    let burst: Vec<_> = (0..BURST)
        .map(|_| {
            let mut wire = Wire::connect(&server);
            wire.send(&request::upgrade());
            wire
        })
        .collect();
    server.signal(Signal::CONT);
    let mut served = Vec::new();
    for mut wire in burst {
        let mut first = [0; 12];
        let head = wire.stream.read_exact(&mut first);
        assert!(head.is_ok(), "{head:?} after {} were served", served.len());
        if first == *b"HTTP/1.1 101" {
            served.push(wire);
        } else {
            let answer = [&first[..], &wire.read_to_end()].concat();
            let response = request::read(&answer).expect("a response");
            response.assert_refused(503);
        }
    }
    assert!(!served.is_empty(), "no one was served");
}

/// Places that have become free are not kept from a client by others that wait and say nothing.
pub(crate) fn a_silent_surplus_does_not_bar_the_door(engine: &'static str) {
    let options = ["--max-connections", "10", "--handshake-timeout", "5m"];
    let server = Server::start(engine, &options);
    let served: Vec<_> = (0..10).map(|_| Wire::upgrade(&server)).collect();
    let _surplus = silent_surplus(&server, SURPLUS_MAX);
    kernel::wait_until_read(&server, 10 + SURPLUS_MAX);
    drop(served);
    Wire::upgrade(&server).assert_echoes("served at once");
}

/// Checks that what begins with `first` is a whole 503.
fn assert_refused(wire: Wire, first: u8) {
    wire.stream
        .set_read_timeout(Some(crate::server::PATIENCE))
        .expect("a timeout");
    let answer = [vec![first], wire.read_to_end()].concat();
    request::read(&answer)
        .expect("a response")
        .assert_refused(503);
}

/// A request that is answered, at once or when a descriptor returns.
struct Applicant {
    wire: Wire,
    head: Vec<u8>,
}

impl Applicant {
    fn new(server: &Server) -> Self {
        let mut wire = Wire::connect(server);
        wire.send(&request::upgrade());
        wire.stream.set_nonblocking(true).expect("a socket option");
        Applicant {
            wire,
            head: Vec::new(),
        }
    }

    /// Whether the 101 is here.
    fn is_served(&mut self) -> bool {
        let mut bytes = [0; 1024];
        match self.wire.stream.read(&mut bytes) {
            Ok(count) => {
                assert!(
                    count > 0,
                    "dropped instead of served later: {:?}",
                    self.head
                );
                self.head.extend_from_slice(&bytes[..count]);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        request::read(&self.head).is_some_and(|response| {
            response.assert_switched();
            true
        })
    }

    fn into_wire(self) -> Wire {
        self.wire
            .stream
            .set_nonblocking(false)
            .expect("a socket option");
        self.wire
    }
}

pub(crate) fn descriptors_run_out_and_return(engine: &'static str) {
    const DESCRIPTORS: u32 = 64;
    const APPLICANTS: usize = 120;
    let server = Server::start_with_descriptors(engine, DESCRIPTORS, &["--idle-timeout", "off"]);
    let mut waiting: Vec<_> = (0..APPLICANTS).map(|_| Applicant::new(&server)).collect();
    let mut served = Vec::new();
    let mut quiet_rounds = 0;
    until("no one else is served", || {
        thread::sleep(Duration::from_millis(50));
        let before = served.len();
        let (now, later): (Vec<_>, Vec<_>) = waiting.drain(..).partition_served();
        waiting = later;
        served.extend(now.into_iter().map(Applicant::into_wire));
        quiet_rounds = if served.len() == before {
            quiet_rounds + 1
        } else {
            0
        };
        (quiet_rounds >= 10).then_some(())
    });
    assert!(
        (10..DESCRIPTORS as usize).contains(&served.len()),
        "{} served",
        served.len()
    );

    server.assert_idle("without descriptors");
    for wire in &mut served {
        wire.assert_echoes("established");
    }
    let log = server.log();
    let warnings = log.iter().filter(|line| line.contains("WARN")).count();
    assert_eq!(warnings, 1, "one warning: {log:#?}");

    while !waiting.is_empty() {
        for wire in served.drain(..) {
            drop(wire);
        }
        until("others are served", || {
            let (now, later): (Vec<_>, Vec<_>) = waiting.drain(..).partition_served();
            waiting = later;
            served.extend(now.into_iter().map(Applicant::into_wire));
            (!served.is_empty()).then_some(())
        });
        for wire in &mut served {
            wire.assert_echoes("at last");
        }
    }
}

trait PartitionServed {
    fn partition_served(self) -> (Vec<Applicant>, Vec<Applicant>);
}

impl<I: Iterator<Item = Applicant>> PartitionServed for I {
    fn partition_served(self) -> (Vec<Applicant>, Vec<Applicant>) {
        self.map(|mut applicant| (applicant.is_served(), applicant))
            .fold(
                (Vec::new(), Vec::new()),
                |(mut served, mut waiting), (is_served, applicant)| {
                    let side = if is_served { &mut served } else { &mut waiting };
                    side.push(applicant);
                    (served, waiting)
                },
            )
    }
}

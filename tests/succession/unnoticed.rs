//! Restarts that no peer notices.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ringback::protocol::Policy;

use crate::dynasty::Dynasty;
use crate::peers::{Crowd, Halfway, Seen, storm, talk_all_the_time, talk_of_everything};
use crate::server::{PATIENCE, on, usable_engines};
use crate::support::frames::{self, Frame};
use crate::wire::{Wire, echo_of};

/// Restarts in a row.
const RESTARTS: u64 = 3;

/// Peers that are there and say little.
const CROWD: usize = 300;

/// Peers that talk all the time, that come and go, and that do whatever peers do.
const TALKERS: u64 = 24;
const VISITORS: u64 = 2;
const OTHERS: u64 = 6;

/// Restarts while all kinds of peers talk, to a server with these options, which make this policy.
fn nobody_notices(engine: &str, options: &[&str], policy: &Policy, talkers: u64) {
    let mut dynasty = Dynasty::found(engine, options);
    let address = dynasty.address;
    let seen = Seen::default();
    let is_plain = policy.prefix.is_none();
    thread::scope(|scope| {
        let seen = &seen;
        for seed in 0..talkers {
            scope.spawn(move || talk_all_the_time(address, seed, seen));
        }
        for seed in 0..if is_plain { VISITORS } else { 0 } {
            scope.spawn(move || storm(address, seed, seen));
        }
        for seed in 0..OTHERS {
            scope.spawn(move || talk_of_everything(address, seed, policy, seen));
        }
        // Whatever fails, the others are to end.
        let ends = Ends(seen);
        let mut crowd = is_plain.then(|| Crowd::gather(address, CROWD));
        for round in 0..RESTARTS {
            if let Some(crowd) = &mut crowd {
                crowd.speak(round);
                crowd.begin();
            }
            let halfway = Halfway::begin(address, 20 + 30 * round as usize);
            let count = dynasty.restart();
            assert!(crowd.is_none() || count > CROWD, "{count} connections went");
            halfway.end();
            if let Some(crowd) = &mut crowd {
                crowd.end();
                crowd.assert_quiet();
            }
            thread::sleep(Duration::from_millis(50));
        }
        drop(ends);
    });
    for (what, count) in [("messages", &seen.messages), ("visits", &seen.visits)] {
        let count = count.load(Relaxed);
        assert!(!is_plain || count > 0, "no {what}");
    }
    assert!(seen.talks.load(Relaxed) > 0);
    assert!(seen.worst() < PATIENCE);
    let log = dynasty.log();
    assert_eq!(dynasty.has_said("cannot"), 0, "{log:#?}");
    assert_eq!(dynasty.abdicate(), Some(0), "{log:#?}");
}

/// Has peers end.
pub(crate) struct Ends<'a>(pub(crate) &'a Seen);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn no_peer_notices(engine: &'static str) {
    // Who reads late on a busy machine is waited for.
    let policy = Policy::default();
    nobody_notices(engine, &[], &policy, TALKERS);
}

fn no_peer_that_is_answered_with_a_prefix_notices(engine: &'static str) {
    let policy = Policy {
        prefix: Some("Received: ".into()),
        ..Policy::default()
    };
    nobody_notices(engine, &["--prefix", "Received: "], &policy, 0);
}

/// Each as a test of each engine.
macro_rules! on_each {
    ($($module:ident $engine:literal),+) => { $(
        mod $module {
            #[test]
            fn no_peer_notices() {
                super::on($engine, super::no_peer_notices);
            }

            #[test]
            fn no_peer_that_is_answered_with_a_prefix_notices() {
                super::on($engine, super::no_peer_that_is_answered_with_a_prefix_notices);
            }
        }
    )+ };
}

on_each!(epoll "epoll", uring "uring", tokio_uring "tokio-uring");

/// Megabytes that a peer has still to be sent, some of a message that has still to come, go along.
#[test]
fn what_is_owed_goes_along() {
    const PEERS: u64 = 6;
    const MESSAGES: u64 = 8;
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found(engine, &[]);
        let message = |seed| Frame::binary(&frames::noise(1 << 20, seed));
        let wires: Vec<_> = (0..PEERS).map(|_| Wire::to(dynasty.address)).collect();
        thread::scope(|scope| {
            let (hear, heard): (Vec<_>, Vec<_>) = wires
                .into_iter()
                .zip(0..)
                .map(|(mut wire, peer)| {
                    let (hear, may_hear) = mpsc::channel::<()>();
                    let talking = scope.spawn(move || {
                        wire.handshake();
                        let messages = (0..MESSAGES).map(|it| message(peer * MESSAGES + it));
                        let messages: Vec<_> = messages.collect();
                        let said = messages.iter().flat_map(Frame::encode).collect();
                        let saying = wire.send_aside(said);
                        // It reads nothing until all restarts are over.
                        let _ = may_hear.recv();
                        for message in &messages {
                            let echo = echo_of(message);
                            assert!(
                                wire.read_exact(echo.len()) == echo,
                                "{engine}: another echo"
                            );
                        }
                        saying.join().expect("no panic");
                    });
                    (hear, talking)
                })
                .unzip();
            for _ in 0..RESTARTS {
                thread::sleep(Duration::from_millis(200));
                assert_eq!(dynasty.restart(), PEERS as usize, "{engine}");
            }
            drop(hear);
            for talking in heard {
                talking.join().expect("no panic");
            }
        });
    }
}

#[test]
fn an_echo_of_bytes_goes_on() {
    use std::io::{Read, Write};
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found(engine, &["--protocol", "tcp"]);
        let mut stream = std::net::TcpStream::connect(dynasty.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        for round in 0..RESTARTS {
            stream.write_all(&round.to_be_bytes()).expect("it is taken");
            dynasty.restart();
            let mut echo = [0; 8];
            stream.read_exact(&mut echo).expect("an echo");
            assert_eq!(u64::from_be_bytes(echo), round);
        }
    }
}

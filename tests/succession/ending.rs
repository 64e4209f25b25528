//! How a server goes down that nobody succeeds.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::dynasty::Dynasty;
use crate::peers::Crowd;
use crate::server::{PATIENCE, until, usable_engines};
use crate::support::frames::{CLOSE, Frame};
use crate::support::request;
use crate::wire::{Wire, echo_of};

/// What `/readyz` answers.
fn readiness(address: SocketAddr) -> u16 {
    let mut wire = Wire::to(address);
    wire.ask("GET", "/readyz").status
}

#[test]
fn it_says_that_it_is_not_ready_before_it_goes_down() {
    const DELAY: Duration = Duration::from_secs(2);
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found(engine, &["--drain-delay", "2s"]);
        let mut crowd = Crowd::gather(dynasty.address, 10);
        assert_eq!(readiness(dynasty.address), 200);
        let told = Instant::now();
        dynasty.signal(Signal::TERM);
        let address = dynasty.address;
        until("it says so", || (readiness(address) == 503).then_some(()));
        // All else is as ever, for those who are there and for those who come.
        crowd.speak(1);
        let mut late = Crowd::gather(address, 10);
        late.speak(2);
        assert!(told.elapsed() < DELAY, "this test is too slow");
        for crowd in [&mut crowd, &mut late] {
            assert_eq!(crowd.hear_closes(1001), 10, "{engine}");
        }
        assert!(told.elapsed() >= DELAY);
        let reigning = dynasty.reigning;
        assert_eq!(dynasty.end_of(reigning), Some(0));
    }
}

#[test]
fn closes_are_spread_and_whoever_waits_for_one_is_served() {
    const PEERS: usize = 100;
    let options = [
        ["--drain-timeout", "6s"],
        ["--drain-spread", "2s"],
        ["--drain-code", "1012"],
    ];
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found(engine, &options.concat());
        let mut peers: Vec<_> = (0..PEERS).map(|_| Wire::to(dynasty.address)).collect();
        peers.iter_mut().for_each(Wire::handshake);
        dynasty.signal(Signal::TERM);
        let begun = Instant::now();
        let mut told = Vec::new();
        thread::scope(|scope| {
            let wait = |mut wire: Wire| {
                scope.spawn(move || {
                    let message = Frame::binary(b"still there?");
                    let mut echoes = 0;
                    loop {
                        wire.send(&message.encode());
                        let head = wire.read_exact(2);
                        if head[0] == 0x80 | CLOSE {
                            let reason = wire.read_exact(usize::from(head[1]));
                            assert_eq!(reason[..2], 1012_u16.to_be_bytes());
                            return (begun.elapsed(), echoes);
                        }
                        wire.read_exact(usize::from(head[1]));
                        echoes += 1;
                        thread::sleep(Duration::from_millis(20));
                    }
                })
            };
            let waiting: Vec<_> = peers.into_iter().map(wait).collect();
            told.extend(waiting.into_iter().map(|it| it.join().expect("no panic")));
        });
        told.sort_unstable();
        let within =
            |part: &[(Duration, i32)]| part.iter().map(|it| it.0.as_millis()).collect::<Vec<_>>();
        let spread = within(&told);
        let early = told.iter().filter(|(at, _)| *at < Duration::from_secs(1));
        let early = early.count();
        assert!((30..=70).contains(&early), "{engine}: {spread:?}");
        assert!(
            told[PEERS - 1].0 > Duration::from_millis(1500),
            "{spread:?}"
        );
        assert!(told[PEERS - 1].1 > 10, "the last one was served");
        let reigning = dynasty.reigning;
        assert_eq!(dynasty.end_of(reigning), Some(0), "{engine}");
    }
}

/// Says numbers by a schedule, and says those again that were not answered, to whoever serves next.
fn count(address: SocketAddr, last: u64) {
    let connect = || {
        until("somebody serves", || {
            let mut stream = std::net::TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            stream.write_all(&request::upgrade()).ok()?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).ok()? == 0 {
                    return None;
                }
                head.extend(byte);
            }
            head.starts_with(b"HTTP/1.1 101").then_some(stream)
        })
    };
    let mut answered = 0;
    while answered < last {
        let stream = connect();
        thread::scope(|scope| {
            let (stream, first) = (&stream, answered);
            scope.spawn(move || {
                for number in first..last {
                    let message = Frame::binary(&number.to_be_bytes());
                    let mut writer = stream;
                    if writer.write_all(&message.encode()).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_micros(500));
                }
            });
            let mut reader = stream;
            while answered < last {
                let mut head = [0; 2];
                reader.read_exact(&mut head).expect("an echo, or a Close");
                let mut rest = vec![0; usize::from(head[1])];
                reader.read_exact(&mut rest).expect("all of it");
                if head[0] == 0x80 | CLOSE {
                    // The last that is said, and no echo is owed that the server had read.
                    assert_eq!(
                        reader.read(&mut [0]).unwrap_or(0),
                        0,
                        "something behind a Close"
                    );
                    break;
                }
                let echo = echo_of(&Frame::binary(&answered.to_be_bytes()));
                assert_eq!([&head[..], &rest].concat(), echo, "after {first}");
                answered += 1;
            }
            let _ = stream.shutdown(std::net::Shutdown::Both);
        });
    }
}

/// Each echo comes in its place up to the Close, so whoever says again what was not answered misses none.
#[test]
fn whoever_says_again_what_was_not_answered_misses_none() {
    const NUMBERS: u64 = 2500;
    for engine in usable_engines() {
        let mut dynasty = Dynasty::found(engine, &["--drain-timeout", "3s"]);
        let address = dynasty.address;
        thread::scope(|scope| {
            let clients: Vec<_> = (0..8)
                .map(|_| scope.spawn(move || count(address, NUMBERS)))
                .collect();
            for _ in 0..2 {
                thread::sleep(Duration::from_millis(500));
                dynasty.signal(Signal::TERM);
                let reigning = dynasty.reigning;
                assert_eq!(dynasty.end_of(reigning), Some(0), "{engine}");
                let listen = address.to_string();
                let mut command = std::process::Command::new(crate::server::BINARY);
                command.args(["--listen", &listen, "--engine", engine]);
                dynasty = Dynasty::of(command, "", &[], None);
            }
            for client in clients {
                client.join().expect("no panic");
            }
        });
    }
}

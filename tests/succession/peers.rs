//! Who must not notice: peers that talk all the time, and check every byte of what they are answered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ringback::protocol::Policy;

use crate::server::{PATIENCE, until};
use crate::support::deflated;
use crate::support::frames::{CLOSE, Frame};
use crate::support::random::Random;
use crate::support::request;
use crate::talk::Talk;
use crate::wire::{Wire, echo_of};

/// How often a peer that talks all the time says something, on average.
const SAYS_EVERY: Duration = Duration::from_millis(10);

/// What all peers have seen.
#[derive(Default)]
pub(crate) struct Seen {
    stop: AtomicBool,
    pub(crate) messages: AtomicUsize,
    pub(crate) visits: AtomicUsize,
    pub(crate) talks: AtomicUsize,
    /// How long echoes took since their messages were due.
    latencies: Mutex<Vec<Duration>>,
}

impl Seen {
    /// Nobody begins anything new.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    /// The longest that an echo took.
    pub(crate) fn worst(&self) -> Duration {
        let latencies = self.latencies.lock().expect("no panic");
        latencies.iter().max().copied().unwrap_or_default()
    }
}

/// A peer that says something by a schedule, whatever it is answered: messages of all sizes, pings, and compressed text,
/// each in pieces.
pub(crate) fn talk_all_the_time(address: SocketAddr, seed: u64, seen: &Seen) {
    let deflates = seed.is_multiple_of(2);
    let mut wire = Wire::to(address);
    if deflates {
        wire.send(&request::with_header(
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        ));
        wire.read_response()
            .assert_switched_with(Some("permessage-deflate; client_no_context_takeover"));
    } else {
        wire.handshake();
    }
    let (said, hears) = mpsc::channel::<(Vec<u8>, Instant)>();
    thread::scope(|scope| {
        let stream = &wire.stream;
        scope.spawn(move || {
            let mut random = Random::new(seed);
            let mut due = Instant::now();
            while seen.goes_on() {
                due += SAYS_EVERY.mul_f64(random.below(200) as f64 / 100.0);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let frame = any_frame(&mut random, deflates);
                said.send((echo_of(&frame), due)).expect("somebody hears");
                say(stream, &frame.encode(), &mut random);
            }
        });
        for (echo, due) in hears {
            let mut heard = vec![0; echo.len()];
            let read = (&wire.stream).read_exact(&mut heard);
            read.unwrap_or_else(|error| {
                panic!("peer {seed} is to hear {} bytes: {error}", echo.len())
            });
            assert!(heard == echo, "peer {seed} hears something else");
            seen.messages.fetch_add(1, Relaxed);
            let mut latencies = seen.latencies.lock().expect("no panic");
            latencies.push(due.elapsed());
        }
    });
}

fn any_frame(random: &mut Random, deflates: bool) -> Frame {
    let size = match random.below(20) {
        0 => random.within(20_000..150_000),
        1..4 => random.within(1000..16_000),
        _ => random.within(0..126),
    };
    let first = random.next() as u8;
    let bytes: Vec<u8> = (0..size).map(|place| (place / 7) as u8 ^ first).collect();
    let letters = || {
        bytes
            .iter()
            .map(|byte| b'a' + byte % 26)
            .collect::<Vec<_>>()
    };
    match random.below(6) {
        0 => Frame::ping(&bytes[..size.min(125)]),
        1..3 if deflates => deflated::text(&letters()),
        3 if size < 16_000 => Frame::text(&String::from_utf8(letters()).expect("ASCII")),
        _ => Frame::binary(&bytes),
    }
}

/// Hears what must come next.
fn hear(wire: &mut Wire, echo: &[u8]) {
    assert!(wire.read_exact(echo.len()) == echo, "another echo");
}

/// Says something in up to four pieces, with rests between.
fn say(mut stream: &TcpStream, bytes: &[u8], random: &mut Random) {
    let mut rest = bytes;
    for _ in 0..random.below(4) {
        let (piece, later) = rest.split_at(random.within(0..rest.len() + 1));
        stream.write_all(piece).expect("the server takes it");
        thread::sleep(Duration::from_micros(random.below(3000)));
        rest = later;
    }
    stream.write_all(rest).expect("the server takes it");
}

/// A storm of visits: each connects, upgrades, is echoed once, and leaves; some wait amid their head.
pub(crate) fn storm(address: SocketAddr, seed: u64, seen: &Seen) {
    let mut random = Random::new(seed);
    while seen.goes_on() {
        let mut wire = Wire::to(address);
        let head = request::upgrade();
        let (first, second) = head.split_at(random.within(0..head.len()));
        wire.send(first);
        thread::sleep(Duration::from_micros(random.below(2000)));
        wire.send(second);
        wire.read_response().assert_switched();
        let message = Frame::binary(&seed.to_be_bytes());
        wire.send(&message.encode());
        hear(&mut wire, &echo_of(&message));
        seen.visits.fetch_add(1, Relaxed);
    }
}

/// Peers of every kind, one after the other: right and wrong, quick and slow, polite and not.
pub(crate) fn talk_of_everything(address: SocketAddr, seed: u64, policy: &Policy, seen: &Seen) {
    let mut random = Random::new(seed);
    while seen.goes_on() {
        let talk = Talk::new(&mut random, policy);
        let held = talk.hold(address);
        held.unwrap_or_else(|why| panic!("{why}\n{talk:?}"));
        seen.talks.fetch_add(1, Relaxed);
    }
}

/// Peers that are there, and speak when asked to.
pub(crate) struct Crowd(Vec<Wire>);

impl Crowd {
    pub(crate) fn gather(address: SocketAddr, count: usize) -> Self {
        let wire = |_| {
            let mut wire = Wire::to(address);
            wire.handshake();
            wire
        };
        Crowd((0..count).map(wire).collect())
    }

    /// Each says something, and is echoed.
    pub(crate) fn speak(&mut self, round: u64) {
        let message = |number: usize| {
            let word = round << 32 | number as u64;
            Frame::binary(&word.to_be_bytes())
        };
        for (number, wire) in self.0.iter_mut().enumerate() {
            wire.send(&message(number).encode());
        }
        for (number, wire) in self.0.iter_mut().enumerate() {
            hear(wire, &echo_of(&message(number)));
        }
    }

    /// Each begins to say something.
    pub(crate) fn begin(&mut self) {
        for wire in &mut self.0 {
            wire.send(&Frame::binary(&[7; 1000]).encode()[..500]);
        }
    }

    /// And ends it.
    pub(crate) fn end(&mut self) {
        let frame = Frame::binary(&[7; 1000]);
        for wire in &mut self.0 {
            wire.send(&frame.encode()[500..]);
        }
        for wire in &mut self.0 {
            hear(wire, &echo_of(&frame));
        }
    }

    /// All that came was heard, and nobody was closed.
    pub(crate) fn assert_quiet(&mut self) {
        for wire in &mut self.0 {
            wire.stream.set_nonblocking(true).expect("a socket");
            let read = wire.stream.read(&mut [0]);
            let is_quiet = read
                .as_ref()
                .is_err_and(|it| it.kind() == ErrorKind::WouldBlock);
            assert!(is_quiet, "{read:?}");
            wire.stream.set_nonblocking(false).expect("a socket");
        }
    }
}

impl Crowd {
    /// Waits until so many are closed, however; these leave.
    pub(crate) fn lose(&mut self, count: usize) {
        let left = self.0.len() - count;
        until("some to be closed", || {
            self.drop_the_closed();
            (self.0.len() <= left).then_some(())
        });
        assert_eq!(self.0.len(), left);
    }

    fn drop_the_closed(&mut self) {
        self.0.retain_mut(|wire| {
            wire.stream.set_nonblocking(true).expect("a socket");
            let read = wire.stream.read(&mut [0]);
            wire.stream.set_nonblocking(false).expect("a socket");
            read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        });
    }

    /// How many the server says goodbye to within a while, with this code; these leave.
    pub(crate) fn hear_closes(&mut self, code: u16) -> usize {
        let ends = Instant::now() + Duration::from_secs(4);
        let before = self.0.len();
        self.0.retain_mut(|wire| {
            let left = ends.saturating_duration_since(Instant::now());
            let patience = left.max(Duration::from_millis(1));
            wire.stream
                .set_read_timeout(Some(patience))
                .expect("a timeout");
            let mut head = [0; 4];
            let read = wire.stream.read_exact(&mut head);
            wire.stream
                .set_read_timeout(Some(PATIENCE))
                .expect("a timeout");
            match read {
                Ok(()) => {
                    assert_eq!(head[0], 0x88, "a Close");
                    assert_eq!(u16::from_be_bytes([head[2], head[3]]), code);
                    wire.send(&Frame::new(CLOSE, code.to_be_bytes()).encode());
                    false
                }
                Err(error) => {
                    let is_quiet = error.kind() == ErrorKind::WouldBlock;
                    assert!(is_quiet, "closed without a word: {error}");
                    true
                }
            }
        });
        before - self.0.len()
    }
}

/// Whoever has said half a head.
pub(crate) struct Halfway(Wire, Vec<u8>);

impl Halfway {
    pub(crate) fn begin(address: SocketAddr, said: usize) -> Self {
        let mut wire = Wire::to(address);
        let mut head = request::upgrade();
        let rest = head.split_off(said);
        wire.send(&head);
        Halfway(wire, rest)
    }

    pub(crate) fn end(mut self) {
        self.0
            .stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout");
        self.0.send(&self.1);
        self.0.read_response().assert_switched();
    }
}

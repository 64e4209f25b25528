//! The whole proof, as large as it is claimed: figures of it are in `docs/decisions/restart.md`.
//!
//! In its small form it is a test like others; `scripts/restart` asks for the large one.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll as readiness;
use rustix::event::epoll::{CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

use crate::dynasty::Dynasty;
use crate::peers::{Crowd, Halfway, Seen, storm};
use crate::server::PATIENCE;
use crate::support::frames::{self, Frame};
use crate::support::random::Random;
use crate::support::slow_on_every_engine;
use crate::wire::{Wire, echo_of};

/// How large it is.
struct Scale {
    /// Connections that are open; so many of them talk.
    open: usize,
    talkers: usize,
    /// Messages per second of all talkers.
    rate: u32,
    restarts: u64,
    /// Visitors at a time.
    visitors: u64,
}

const SMALL: Scale = Scale {
    open: 2000,
    talkers: 200,
    rate: 4000,
    restarts: 5,
    visitors: 1,
};

const LARGE: Scale = Scale {
    open: 10_000,
    talkers: 1000,
    rate: 20_000,
    restarts: 20,
    visitors: 2,
};

/// One in so many messages is large, or a ping, or comes in fragments.
const LARGE_EVERY: u64 = 200;
const ODD_EVERY: u64 = 40;
const LARGE_BYTES: usize = 20_000;

/// Of a connection that talks.
struct Talker {
    stream: TcpStream,
    /// To be said before anything else.
    unsaid: VecDeque<u8>,
    /// The second half of a large message, for when it says something again.
    later: Vec<u8>,
    /// What it is to hear, and when the message was due.
    owed: VecDeque<(Vec<u8>, Instant)>,
    heard: Vec<u8>,
}

impl Talker {
    fn join(address: SocketAddr) -> Self {
        let mut wire = Wire::to(address);
        wire.handshake();
        wire.stream.set_nonblocking(true).expect("a socket");
        Talker {
            stream: wire.stream,
            unsaid: VecDeque::new(),
            later: Vec::new(),
            owed: VecDeque::new(),
            heard: Vec::new(),
        }
    }

    /// Says the next thing.
    fn say(&mut self, random: &mut Random, due: Instant) {
        if self.later.is_empty() {
            let frames = match random.below(u64::MAX) {
                any if any % LARGE_EVERY == 0 => {
                    vec![Frame::binary(&frames::noise(LARGE_BYTES, any))]
                }
                any if any % ODD_EVERY == 1 => vec![Frame::ping(&any.to_be_bytes())],
                any if any % ODD_EVERY == 2 => {
                    let first = Frame {
                        fin: false,
                        ..Frame::binary(&any.to_be_bytes())
                    };
                    let last = Frame::new(frames::CONTINUATION, b"and so on");
                    vec![first, Frame::ping(b"meanwhile"), last]
                }
                any => vec![Frame::binary(&frames::noise(random.within(8..200), any))],
            };
            let mut said: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            if said.len() > LARGE_BYTES {
                self.later = said.split_off(LARGE_BYTES / 2);
            }
            let echo = frames.iter().flat_map(echo_of).collect();
            self.owed.push_back((echo, due));
            self.unsaid.extend(said);
        } else {
            self.unsaid.extend(self.later.drain(..));
            // It could not be answered before it was said.
            if let Some((_, since)) = self.owed.back_mut() {
                *since = due;
            }
        }
        self.send();
    }

    fn send(&mut self) {
        while !self.unsaid.is_empty() {
            let (bytes, _) = self.unsaid.as_slices();
            match self.stream.write(bytes) {
                Ok(count) => drop(self.unsaid.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a connection is closed: {error}"),
            }
        }
    }

    /// Hears what has come; how late each echo was goes to `latencies`, in microseconds.
    fn hear(&mut self, buffer: &mut [u8], latencies: &mut Vec<u32>) {
        match self.stream.read(buffer) {
            Ok(0) => panic!("a connection is closed"),
            Ok(count) => self.heard.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("a connection is closed: {error}"),
        }
        let mut heard = &self.heard[..];
        while let Some((echo, due)) = self.owed.front()
            && let Some((first, rest)) = heard.split_at_checked(echo.len())
        {
            assert!(first == echo, "an echo is another one");
            latencies.push(due.elapsed().as_micros() as u32);
            heard = rest;
            self.owed.pop_front();
        }
        assert!(
            heard.is_empty() || !self.owed.is_empty(),
            "more is echoed than was said"
        );
        let left = heard.len();
        self.heard.drain(..self.heard.len() - left);
    }
}

/// Has talkers say what is due, until it is told to stop and all is answered. How late each echo was.
fn talk(mut talkers: Vec<Talker>, rate: u32, stop: &Receiver<()>) -> Vec<u32> {
    let epoll = readiness::create(CreateFlags::CLOEXEC).expect("an epoll");
    for (number, talker) in (0..).zip(&talkers) {
        let data = EventData::new_u64(number);
        readiness::add(&epoll, &talker.stream, data, EventFlags::IN).expect("a socket");
    }
    let mut random = Random::new(7);
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 65_536];
    let mut events = Vec::with_capacity(256);
    let (begun, mut said) = (Instant::now(), 0_u32);
    let mut ends = None;
    loop {
        if ends.is_none() && stop.try_recv() != Err(TryRecvError::Empty) {
            ends = Some(Instant::now() + PATIENCE);
            // Those that are amid a message end it.
            let now = Instant::now();
            let amid = talkers.iter_mut().filter(|it| !it.later.is_empty());
            amid.for_each(|it| it.say(&mut random, now));
        }
        while ends.is_none() && begun + Duration::from_secs(1) * said / rate <= Instant::now() {
            let due = begun + Duration::from_secs(1) * said / rate;
            let count = talkers.len();
            talkers[said as usize % count].say(&mut random, due);
            said += 1;
        }
        if let Some(ends) = ends {
            if talkers.iter().all(|it| it.owed.is_empty()) {
                return latencies;
            }
            assert!(Instant::now() < ends, "echoes are missing");
            talkers.iter_mut().for_each(Talker::send);
        }
        events.clear();
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: 500_000,
        };
        let spare = rustix::buffer::spare_capacity(&mut events);
        // A signal ends the wait as well.
        let _ = readiness::wait(&epoll, spare, Some(&patience));
        for event in &events {
            let talker = &mut talkers[event.data.u64() as usize];
            talker.hear(&mut buffer, &mut latencies);
            talker.send();
        }
    }
}

fn nothing_is_lost(engine: &'static str) {
    let is_large = std::env::var_os("RESTART_LARGE").is_some();
    let scale = if is_large { LARGE } else { SMALL };
    let mut dynasty = Dynasty::found(engine, &["--idle-timeout", "off"]);
    let address = dynasty.address;
    let mut crowd = Crowd::gather(address, scale.open - scale.talkers);
    let talkers = (0..scale.talkers).map(|_| Talker::join(address)).collect();
    let seen = Seen::default();
    let mut longest = Duration::ZERO;
    let mut latencies = thread::scope(|scope| {
        let (stop, stops) = mpsc::channel();
        let talking = scope.spawn(move || talk(talkers, scale.rate, &stops));
        let ends = crate::unnoticed::Ends(&seen);
        for seed in 0..scale.visitors {
            let seen = &seen;
            scope.spawn(move || storm(address, seed, seen));
        }
        for round in 0..scale.restarts {
            let halfway: Vec<_> = (1..20).map(|it| Halfway::begin(address, 7 * it)).collect();
            let begun = Instant::now();
            let count = dynasty.restart();
            longest = longest.max(begun.elapsed());
            assert!(count >= scale.open, "round {round}: {count} went");
            halfway.into_iter().for_each(Halfway::end);
            thread::sleep(Duration::from_millis(300));
            assert!(!talking.is_finished(), "a talker is unhappy");
        }
        crowd.speak(1);
        drop((ends, stop));
        talking
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    crowd.assert_quiet();
    latencies.sort_unstable();
    let at = |part: f64| {
        let place = (latencies.len() as f64 * part) as usize;
        f64::from(latencies[place.min(latencies.len() - 1)]) / 1000.0
    };
    println!(
        "{engine}: {} restarts under {} connections, of which {} sent {} messages at {}/s, {} visits beside: nothing \
         closed, lost, doubled, changed or refused; latency in ms: median {:.2}, p99 {:.2}, p99.9 {:.2}, worst {:.2}; the \
         longest restart took {longest:?}",
        scale.restarts,
        scale.open,
        scale.talkers,
        latencies.len(),
        scale.rate,
        seen.visits.load(Relaxed),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
    );
    assert_eq!(dynasty.abdicate(), Some(0));
}

slow_on_every_engine!(nothing_is_lost);

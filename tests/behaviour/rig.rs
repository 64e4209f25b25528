//! What drives a behaviour: a socket that takes all or nothing, and a clock that stands still until told otherwise.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ringback::behaviour::{After, Ask, Behaviour, End, Message, Request, Transmit};
use ringback::protocol::handshake::{self, Answer};
use ringback::protocol::{Moment, Policy, WallClock};

use super::support::frames::{self, Frame};
use super::support::request;

/// Where its client is.
pub(crate) const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_000);

/// Calls in a row that may all have something to do before it counts as being stuck.
const CALLS_MAX: usize = 1_000_000;

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Fin,
    HalfClose,
    Reset,
}

/// A connection.
pub(crate) struct Rig {
    pub(crate) behaviour: Behaviour,
    pub(crate) now: Moment,
    /// When the request came.
    pub(crate) start: Moment,
    /// Each write, and how long after the request it was.
    pub(crate) writes: Vec<(Duration, Vec<u8>)>,
    /// What happened to the connection, and when.
    pub(crate) ends: Vec<(Duration, Ended)>,
    /// What its room was given, where nobody listens.
    pub(crate) for_room: Vec<Message>,
    /// Whether the client takes what is sent, and how much of it the socket takes at once, in bytes.
    pub(crate) reads: bool,
    pub(crate) takes: usize,
}

/// The operator's policy, with a clock that stands at 1,700,000,000.000001 s.
pub(crate) fn policy() -> Policy {
    Policy {
        wall_clock: Some(WallClock(|| Duration::from_micros(1_700_000_000_000_001))),
        greeting: Some("not of a behaviour".into()),
        prefix: Some("nor this".into()),
        ..Policy::default()
    }
}

pub(crate) fn ending(end: End, after: u32) -> Ask {
    Ask {
        end: Some((end, After::Messages(after))),
        ..Ask::default()
    }
}

impl Rig {
    pub(crate) fn open(ask: &Ask) -> Self {
        Rig::open_with(ask, "", 7)
    }

    /// The request has these lines more.
    pub(crate) fn open_with(ask: &Ask, lines: &str, seed: u64) -> Self {
        Rig::serve(ask, lines, seed, &policy())
    }

    pub(crate) fn serve(ask: &Ask, lines: &str, seed: u64, policy: &Policy) -> Self {
        let head = request::with_header(lines);
        let Ok(Answer::Upgrade(accepted)) = handshake::answer(&head, policy) else {
            panic!("an upgrade that is in order");
        };
        let request = Request {
            head: &head,
            accepted,
            peer: Some(PEER.into()),
            tls: None,
        };
        let now = Moment::from_nanos(5_000_000_000);
        let mut rig = Rig {
            behaviour: Behaviour::open(ask.clone(), &request, policy, now, seed),
            now,
            start: now,
            writes: Vec::new(),
            ends: Vec::new(),
            for_room: Vec::new(),
            reads: true,
            takes: usize::MAX,
        };
        rig.pump();
        rig
    }

    /// One that has sent its 101, and nothing behind it so far.
    pub(crate) fn upgraded(ask: &Ask) -> Self {
        let mut rig = Rig::open(ask);
        let response = request::read(&rig.sent()).expect("a response");
        response.assert_switched();
        rig.writes.clear();
        rig
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.behaviour.receive(&mut bytes.to_vec(), self.now);
        self.pump();
    }

    pub(crate) fn feed_frames(&mut self, frames: &[Frame]) {
        self.feed(&frames::encode(frames));
    }

    pub(crate) fn finish(&mut self) {
        self.behaviour.peer_finished(self.now);
        self.pump();
    }

    /// Time passes, and at each deadline it is asked what to do.
    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(deadline) = self.behaviour.deadline()
            && deadline <= end
            && !self.is_over()
        {
            self.now = self.now.max(deadline);
            self.pump();
        }
        self.now = end;
    }

    pub(crate) fn is_over(&self) -> bool {
        let last = self.ends.last().map(|(_, ended)| *ended);
        matches!(last, Some(Ended::Fin | Ended::Reset))
    }

    /// Does what is to be done, until there is nothing.
    pub(crate) fn pump(&mut self) {
        let since = self.now.since(self.start);
        for _ in 0..CALLS_MAX {
            self.for_room
                .extend(std::iter::from_fn(|| self.behaviour.take_for_room()));
            let ended = match self.behaviour.transmit(self.now) {
                Transmit::Bytes(bytes) if self.reads => {
                    assert!(!bytes.is_empty(), "a write of nothing");
                    let count = bytes.len().min(self.takes);
                    self.writes.push((since, bytes[..count].to_vec()));
                    self.behaviour.sent(count);
                    continue;
                }
                Transmit::Bytes(_) | Transmit::Nothing => {
                    let deadline = self.behaviour.deadline();
                    assert!(deadline.is_none_or(|it| it > self.now), "a busy loop");
                    return;
                }
                Transmit::Fin => Ended::Fin,
                Transmit::HalfClose => Ended::HalfClose,
                Transmit::Reset => Ended::Reset,
            };
            if !self.is_over() {
                self.ends.push((since, ended));
            }
            if ended != Ended::HalfClose {
                return;
            }
        }
        panic!("no end of things to do");
    }

    /// All that was sent.
    pub(crate) fn sent(&self) -> Vec<u8> {
        let writes = self.writes.iter().map(|(_, bytes)| &bytes[..]);
        writes.collect::<Vec<_>>().concat()
    }

    /// All that was sent, by the time at which it was.
    pub(crate) fn timeline(&self) -> Vec<(Duration, Vec<u8>)> {
        let mut timeline: Vec<(Duration, Vec<u8>)> = Vec::new();
        for (time, bytes) in &self.writes {
            match timeline.last_mut() {
                Some((last, so_far)) if last == time => so_far.extend(bytes),
                _ => timeline.push((*time, bytes.clone())),
            }
        }
        timeline
    }

    /// How it ended.
    pub(crate) fn end(&self) -> Option<Ended> {
        self.ends.last().map(|(_, ended)| *ended)
    }
}

pub(crate) const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

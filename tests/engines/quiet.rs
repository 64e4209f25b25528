//! Peers that send little and often, and want each echo.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::Server;
use crate::support::event::Event;
use crate::support::frames::{self, Frame};
use crate::support::replies;
use crate::wire::Wire;

/// A message's size.
const MESSAGE_BYTES: usize = 64;

/// How often each sends.
const PERIOD: Duration = Duration::from_millis(5);

/// For so many of its periods a peer may be without an echo before it counts as starved. Counted by what
/// this process did meanwhile and not by the clock, so that a machine that stands still accuses no one;
/// a server that is fair needs a few, and a tenth of this where ten others want its CPU.
const WAIT_PERIODS_MAX: u32 = 150;

/// One of them.
struct Peer {
    wire: Wire,
    /// What tells its messages from those of others.
    seed: u64,
    /// What is to be sent and was not taken yet.
    unsent: Vec<u8>,
    /// What came and is no whole frame yet.
    ahead: Vec<u8>,
    sent: u64,
    echoed: u64,
    /// Periods since the last echo.
    waited: u32,
}

/// Peers that take turns in one thread.
pub(crate) struct Quiet {
    peers: Vec<Peer>,
}

impl Quiet {
    /// Upgraded connections.
    pub(crate) fn gather(server: &Server, count: usize) -> Self {
        let peer = |_| {
            let wire = Wire::upgrade(server);
            wire.stream.set_nonblocking(true).expect("a socket option");
            let port = wire.stream.local_addr().expect("an address").port();
            Peer {
                wire,
                seed: u64::from(port) << 32,
                unsent: Vec::new(),
                ahead: Vec::new(),
                sent: 0,
                echoed: 0,
                waited: 0,
            }
        };
        Quiet {
            peers: (0..count).map(peer).collect(),
        }
    }

    /// Takes in others.
    pub(crate) fn join(&mut self, others: Quiet) {
        self.peers.extend(others.peers);
    }

    /// All send until each has got so many further echoes, none of which is long in coming.
    pub(crate) fn talk(&mut self, echoes: u64) {
        let wanted: Vec<_> = self.peers.iter().map(|it| it.echoed + echoes).collect();
        while self.peers.iter().zip(&wanted).any(|it| it.0.echoed < *it.1) {
            self.round();
        }
    }

    /// All send for so long, and then get every echo.
    pub(crate) fn talk_for(&mut self, duration: Duration) {
        let start = Instant::now();
        while start.elapsed() < duration {
            self.round();
        }
        self.talk(1);
    }

    fn round(&mut self) {
        for peer in &mut self.peers {
            peer.waited += 1;
            assert!(
                peer.waited <= WAIT_PERIODS_MAX,
                "a quiet peer got no echo for {} of its periods, after {} of {} messages",
                peer.waited,
                peer.echoed,
                peer.sent
            );
            peer.say();
            peer.hear();
        }
        thread::sleep(PERIOD);
    }
}

impl Peer {
    fn message(&self, number: u64) -> Frame {
        Frame::binary(&frames::noise(MESSAGE_BYTES, self.seed | number))
    }

    fn say(&mut self) {
        self.unsent.extend(self.message(self.sent).encode());
        self.sent += 1;
        match self.wire.stream.write(&self.unsent) {
            Ok(count) => drop(self.unsent.drain(..count)),
            Err(error) => self.assert_lives(error.kind() == ErrorKind::WouldBlock, &error),
        }
    }

    fn hear(&mut self) {
        let mut bytes = [0; 4096];
        match self.wire.stream.read(&mut bytes) {
            Ok(count) => {
                self.assert_lives(count > 0, &"the end");
                self.ahead.extend_from_slice(&bytes[..count]);
            }
            Err(error) => self.assert_lives(error.kind() == ErrorKind::WouldBlock, &error),
        }
        while let [_, length, rest @ ..] = &self.ahead[..]
            && rest.len() >= usize::from(*length)
        {
            let end = 2 + usize::from(*length);
            let frame: Vec<_> = self.ahead.drain(..end).collect();
            self.take(&frame);
        }
    }

    /// Takes in one frame: the next echo, or a ping, which what it sends anyway is an answer to.
    fn take(&mut self, frame: &[u8]) {
        let seen = replies::read(frame).expect("strict frames").outcome;
        self.assert_lives(seen.close.is_none(), &"a Close");
        for event in seen.events {
            match event {
                Event::Message(seen) => {
                    let expected = self.message(self.echoed).payload;
                    assert!(seen.bytes == expected, "another echo for a quiet peer");
                    self.echoed += 1;
                    self.waited = 0;
                }
                Event::Ping(_) => {}
                Event::Pong { .. } => panic!("a pong for a quiet peer"),
            }
        }
    }

    fn assert_lives(&self, lives: bool, seen: &dyn std::fmt::Display) {
        assert!(
            lives,
            "a quiet peer was ended after {} of {} echoes: {seen}",
            self.echoed, self.sent
        );
    }
}

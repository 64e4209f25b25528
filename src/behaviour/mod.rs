//! Behaviours on request: a WebSocket that is answered in another way than by a plain echo, because its path asks
//! for it (`/x/close/1001?after=3`).
//!
//! A behaviour is what is done to the answer of an ordinary [`Session`](crate::protocol::Session): that one reads
//! the client's frames, as strictly as ever, and echoes; here its echo is taken apart into messages, which are
//! changed, framed, delayed, or followed by what no server should send. The plain echo knows nothing of it, and
//! none of it runs on a worker: a behaviour may sleep and may be slow, so it lives on the HTTP side, which is bounded
//! and nice. It is pure all the same: bytes and the time come in, bytes and a time come out.
//!
//! It may import `protocol` and `memory`, and pure libraries. It must never know a socket, a runtime or a clock.

mod ask;
pub mod table;

use std::time::Duration;

use crate::protocol::handshake::Accepted;
use crate::protocol::{CloseCode, Moment, Policy};

pub use ask::{After, Answer, Ask, Bad, Credentials, Drip, End, Fault, Greeting, Source, Ticker};

/// An upgrade request, as far as behaviours look at it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The whole head.
    pub head: &'a [u8],
    /// What is agreed to.
    pub accepted: Accepted<'a>,
    /// The address and port of the client, where they are known.
    pub peer: Option<core::net::SocketAddr>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit<'a> {
    /// Nothing: wait for bytes, or for [`Behaviour::deadline`].
    Nothing,
    /// To be sent, in one write as far as the socket takes it; how much it took is told to [`Behaviour::sent`].
    Bytes(&'a [u8]),
    /// All is sent: FIN, and what still comes is read and thrown away until the peer's FIN.
    Fin,
    /// FIN, and what comes is still taken in.
    HalfClose,
    /// RST.
    Reset,
}

/// A message to everybody in a room, or from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whether it is text; otherwise it is binary.
    pub is_text: bool,
    /// Its payload: UTF-8 if it is text.
    pub payload: Vec<u8>,
}

/// One connection that behaves as it was asked to, from its upgrade request to its end.
#[derive(Debug)]
pub struct Behaviour {}

impl Behaviour {
    /// Answers the upgrade, or refuses it, as `ask` says. `policy` is the operator's; `seed` decides what is left
    /// to chance.
    pub fn open(ask: Ask, request: &Request<'_>, policy: &Policy, now: Moment, seed: u64) -> Self {
        let _ = (ask, request, policy, now, seed);
        Behaviour {}
    }

    /// Whether it takes in more bytes at the moment. Where it does not, it will once something was sent.
    pub fn has_room(&self) -> bool {
        true
    }

    /// Takes in what came. Nothing of `bytes` is kept.
    pub fn receive(&mut self, bytes: &mut [u8], now: Moment) {
        let _ = (bytes, now);
    }

    /// The peer has sent its FIN.
    pub fn peer_finished(&mut self, now: Moment) {
        let _ = now;
    }

    /// The server is going down, with this code.
    pub fn drain(&mut self, code: CloseCode, now: Moment) {
        let _ = (code, now);
    }

    /// What is to be done at this time. To be asked again after each call of another, and at the deadline.
    pub fn transmit(&mut self, now: Moment) -> Transmit<'_> {
        let _ = now;
        Transmit::Fin
    }

    /// So many of the bytes of [`Transmit::Bytes`] were sent.
    pub fn sent(&mut self, count: usize) {
        let _ = count;
    }

    /// When to ask [`Behaviour::transmit`] again if nothing comes.
    pub fn deadline(&self) -> Option<Moment> {
        None
    }

    /// The room in which its messages are heard, for those who asked for one.
    pub fn room(&self) -> Option<&str> {
        None
    }

    /// The next message for the room, which is everybody in it, the sender included.
    pub fn take_for_room(&mut self) -> Option<Message> {
        None
    }

    /// Hears a message of the room.
    pub fn hear(&mut self, message: &Message, now: Moment) {
        let _ = (message, now);
    }

    /// It did not read what its room said, and missed some: it is told so, and closed.
    pub fn fall_behind(&mut self, now: Moment) {
        let _ = now;
    }
}

/// The longest that anything may be asked to take.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

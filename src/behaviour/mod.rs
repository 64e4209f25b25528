//! Behaviours on request: a WebSocket that is answered in another way than by a plain echo, because its path asks
//! for it (`/x/close/1001?after=3`).
//!
//! A behaviour is what is done to the answer of an ordinary [`Session`](crate::protocol::Session): that one reads
//! the client's frames, as strictly as ever, and echoes; here its echo is taken apart into messages, which are
//! changed, framed, delayed, or followed by what no server should send. The plain echo knows nothing of it, and
//! none of it runs on a worker: a behaviour may sleep and may be slow, so it lives on the HTTP side, which is bounded
//! and nice. It is pure all the same: bytes and the time come in, bytes and a time come out.
//!
//! ```text
//! opening ──┐
//! session ──> answers ──> change ──> pace ──> framing ──> outlet ──> bytes
//! timers ─────────────────────────────^
//! ```
//!
//! | file | what it answers |
//! |---|---|
//! | `table/` | all there is to ask for, with its bounds |
//! | `ask/` | what is asked for |
//! | `opening.rs` | the request: a 101, or something else |
//! | `dialogue.rs`, `answers.rs` | what a plain session says, in whole messages |
//! | `change.rs` | what becomes of a message |
//! | `frames.rs`, `whoami.rs` | what is told of the client |
//! | `talk.rs`, `end.rs` | what is said, and what is said last |
//! | `timers.rs` | what happens by itself |
//! | `pace.rs` | when what waits is due |
//! | `framing.rs` | how it becomes frames |
//! | `outlet.rs` | when they leave, and in how many bytes |
//!
//! It may import `protocol` and `memory`, and pure libraries. It must never know a socket, a runtime or a clock.

mod answers;
mod ask;
mod change;
mod dialogue;
mod end;
mod frames;
mod framing;
mod head;
mod opening;
mod outlet;
mod pace;
pub mod table;
mod talk;
mod timers;
mod whoami;

use std::collections::VecDeque;
use std::time::Duration;

use crate::link::Facts;
use crate::protocol::handshake::Accepted;
use crate::protocol::{Cause, CloseCode, Ending, Moment, Policy};

use answers::Answer as Said;
use change::Change;
use dialogue::Dialogue;
use frames::Watch;
use framing::Item;
use outlet::Outlet;
use timers::Timers;

pub use ask::{After, Answer, Ask, Bad, Credentials, Drip, End, Fault, Greeting, Source};
pub use dialogue::MESSAGE_BYTES_MAX;
pub use opening::Refused;
pub use whoami::whoami;

/// An upgrade request, as far as behaviours look at it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The whole head.
    pub head: &'a [u8],
    /// What is agreed to.
    pub accepted: Accepted<'a>,
    /// The address and port of the client, where they are known.
    pub peer: Option<crate::protocol::guests::Peer>,
    /// What was agreed on by TLS, where it is spoken.
    pub tls: Option<&'a Facts>,
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

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is answered.
    Talking,
    /// It is told nothing more. What comes is still read, for the Close in it.
    Listening,
    /// The last word waits to be sent, or has been. What comes is thrown away.
    Leaving,
}

/// One connection that behaves as it was asked to, from its upgrade request to its end.
#[derive(Debug)]
pub struct Behaviour {
    ask: Ask,
    change: Change,
    stage: Stage,
    /// None where the upgrade is refused.
    dialogue: Option<Dialogue>,
    /// What to tell of frames, where that is asked for.
    watch: Option<Watch>,
    outlet: Outlet,
    timers: Timers,
    /// How many messages have been answered.
    answered: u32,
    for_room: VecDeque<Message>,
    for_room_cost: usize,
    /// Nobody listens to the peer for now.
    is_unheard: bool,
}

/// A room holds so much of what is said in it, in bytes, before no more is taken in.
const FOR_ROOM_COST_MAX: usize = 1 << 20;

/// What comes right behind a 101 waits so long, since some clients lose a frame that comes with it.
const APART: Duration = Duration::from_millis(20);

/// The code for who falls behind: "try again later".
const FALLEN_BEHIND: u16 = 1013;

impl Behaviour {
    /// Answers the upgrade, or refuses it, as `ask` says. `policy` is the operator's; `seed` decides what is left
    /// to chance.
    pub fn open(ask: Ask, request: &Request<'_>, policy: &Policy, now: Moment, seed: u64) -> Self {
        let opened = now + ask.slow_handshake;
        let mut behaviour = Behaviour {
            change: Change::new(&ask, policy.wall_clock),
            stage: Stage::Talking,
            dialogue: None,
            watch: (ask.source == Source::Frames).then(Watch::default),
            outlet: Outlet::new(&ask, seed),
            timers: Timers::default(),
            answered: 0,
            for_room: VecDeque::new(),
            for_room_cost: 0,
            is_unheard: false,
            ask,
        };
        if let Some(refused) = Refused::of(&behaviour.ask, request.head) {
            let clock = policy.wall_clock.map(|clock| clock.0());
            let response = Item::Opening(refused.render(clock));
            behaviour.leave([response, Item::Fin], opened);
        } else {
            behaviour.dialogue = Some(Dialogue::new(policy, opened));
            behaviour.begin(request, opened);
        }
        behaviour
    }

    /// Answers with a 101, and says what comes first.
    fn begin(&mut self, request: &Request<'_>, opened: Moment) {
        let switching = opening::switching(&self.ask, request.accepted);
        self.outlet.pace.push(Item::Opening(switching), opened);
        if matches!(self.ask.end, Some((End::Bad(Bad::Accept), _))) {
            return self.end(opened);
        }
        if let Some(greeting) = self.ask.greeting.take_if(|greeting| !greeting.glued) {
            let greeting = Item::text(greeting.text);
            self.outlet.pace.push(greeting, opened + APART);
        }
        let first = match self.ask.source {
            Source::Whoami => Some(Item::text(whoami(request.head, request.peer, request.tls))),
            Source::Huge { bytes } => Some(Item::Huge(bytes)),
            _ => None,
        };
        if let Some(first) = first {
            self.outlet.pace.answer(first, opened + APART);
        }
        self.timers.start(&self.ask, opened);
        if matches!(self.ask.end, Some((_, After::Messages(0)))) {
            self.end(opened);
        }
    }

    /// Whether it takes in more bytes at the moment. Where it does not, it will once something was sent.
    pub fn has_room(&self) -> bool {
        self.stage == Stage::Leaving
            || (self.outlet.has_room() && self.for_room_cost < FOR_ROOM_COST_MAX)
    }

    /// How much it keeps, in bytes: what is owed, and of a message what came before its end.
    pub fn kept_bytes(&self) -> usize {
        let unfinished = self.dialogue.as_ref().map_or(0, Dialogue::kept_bytes);
        self.outlet.owed_bytes() + unfinished
    }

    /// How many whole messages have come.
    pub fn received_messages(&self) -> u64 {
        self.dialogue
            .as_ref()
            .map_or(0, Dialogue::received_messages)
    }

    /// Whether nothing of what comes is taken in for now: the peer's silence does not count then.
    pub fn leave_unheard(&mut self, is_unheard: bool, now: Moment) {
        let is_over = std::mem::replace(&mut self.is_unheard, is_unheard) && !is_unheard;
        if let Some(dialogue) = self.dialogue.as_mut().filter(|_| is_over) {
            dialogue.heard(now);
        }
    }

    /// Takes in what came. Nothing of `bytes` is kept. What is answered at once may be many times as long, so
    /// there should be some 16 KiB of them at most.
    pub fn receive(&mut self, bytes: &mut [u8], now: Moment) {
        self.advance(now);
        if self.stage == Stage::Leaving {
            return;
        }
        if let Some(watch) = &mut self.watch {
            watch.watch(bytes);
        }
        let said = self.dialogue.as_mut().map(|it| it.receive(bytes, now));
        for said in said.into_iter().flatten() {
            match self.stage {
                Stage::Talking => self.answer(said, now),
                Stage::Listening if matches!(said, Said::Close(_)) => self.leave([Item::Fin], now),
                Stage::Listening | Stage::Leaving => {}
            }
        }
    }

    /// The peer has sent its FIN.
    pub fn peer_finished(&mut self, now: Moment) {
        self.advance(now);
        if self.stage != Stage::Leaving {
            self.leave([Item::Fin], now);
        }
    }

    /// The server is going down, with this code. Nothing is kept back any more, and what is longer than memory
    /// is cut off.
    pub fn drain(&mut self, code: CloseCode, now: Moment) {
        self.advance(now);
        let can_follow = self.outlet.hurry(now);
        match self.stage {
            Stage::Talking if can_follow => self.close(Ending::Drain(code), now),
            Stage::Talking | Stage::Listening => self.leave([Item::Fin], now),
            Stage::Leaving => {}
        }
    }

    /// What is to be done at this time. To be asked again after each call of another, and at the deadline.
    pub fn transmit(&mut self, now: Moment) -> Transmit<'_> {
        self.advance(now);
        self.outlet.transmit(now)
    }

    /// So many of the bytes of [`Transmit::Bytes`] were sent.
    pub fn sent(&mut self, count: usize) {
        self.outlet.sent(count);
    }

    /// When to ask [`Behaviour::transmit`] again if nothing comes, and the socket takes nothing.
    pub fn deadline(&self) -> Option<Moment> {
        let timer = self.next_timer().map(|(due, _)| due);
        timer.into_iter().chain(self.outlet.deadline()).min()
    }

    /// Why the server ended the conversation, where it did and was not asked to; for the log.
    pub fn cause(&self) -> Option<Cause> {
        self.dialogue.as_ref()?.cause()
    }

    /// The room in which its messages are heard, for those who asked for one.
    pub fn room(&self) -> Option<&str> {
        match &self.ask.source {
            Source::Broadcast { room } if self.dialogue.is_some() => Some(room),
            _ => None,
        }
    }

    /// The next message for the room, which is everybody in it, the sender included.
    pub fn take_for_room(&mut self) -> Option<Message> {
        let message = self.for_room.pop_front()?;
        trim(&mut self.for_room);
        self.for_room_cost -= message.cost();
        Some(message)
    }

    /// Hears a message of the room. Whoever has no room for it has fallen behind.
    pub fn hear(&mut self, message: &Message, now: Moment) {
        self.advance(now);
        if self.stage != Stage::Talking {
            return;
        }
        if !self.outlet.has_room() {
            return self.fall_behind(now);
        }
        self.echo(message.clone(), now);
    }

    /// It did not read what its room said, and missed some: it is told so, and closed.
    pub fn fall_behind(&mut self, now: Moment) {
        self.advance(now);
        if self.stage == Stage::Talking {
            self.outlet.forget();
            let code = CloseCode::from_wire(FALLEN_BEHIND);
            let close = end::close(code, "too slow for the room");
            self.leave([close, Item::Fin], now);
        }
    }
}

/// The longest that anything may be asked to take.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// A queue keeps so many places in any case.
const PLACES_KEPT: usize = 16;

/// Gives back what a queue took when it was long, now that it is short.
fn trim<T>(queue: &mut VecDeque<T>) {
    let places = queue.capacity();
    if places > PLACES_KEPT && queue.len() < places / 4 {
        queue.shrink_to(places / 2);
    }
}

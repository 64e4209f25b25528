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

mod answers;
mod ask;
pub mod table;
mod change;
mod dialogue;
mod end;
mod frames;
mod framing;
mod head;
mod opening;
mod outlet;
mod pace;
mod timers;
mod whoami;

use std::collections::VecDeque;
use std::time::Duration;

use crate::protocol::frame::PONG;
use crate::protocol::handshake::Accepted;
use crate::protocol::{Cause, CloseCode, Ending, Moment, Policy};

use answers::Answer as Said;
use change::Change;
use dialogue::Dialogue;
use frames::Watch;
use framing::Item;
use outlet::Outlet;
use timers::{Timer, Timers};

pub use ask::{After, Answer, Ask, Bad, Credentials, Drip, End, Fault, Greeting, Source, Ticker};
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
    for_room_bytes: usize,
}

/// A room holds so much of what is said in it, in bytes, before no more is taken in.
const FOR_ROOM_BYTES_MAX: usize = 1 << 20;

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
            for_room_bytes: 0,
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
            self.stage = Stage::Listening;
            return;
        }
        if let Some(greeting) = self.ask.greeting.take_if(|greeting| !greeting.glued) {
            let greeting = Item::text(greeting.text);
            self.outlet.pace.push(greeting, opened + APART);
        }
        let first = match self.ask.source {
            Source::Whoami => Some(Item::text(whoami(request.head, request.peer))),
            Source::Huge { bytes } => Some(Item::Huge(bytes)),
            _ => None,
        };
        if let Some(first) = first {
            self.outlet.pace.push(first, opened + APART);
        }
        self.timers.start(&self.ask, opened);
        if matches!(self.ask.end, Some((_, After::Messages(0)))) {
            self.end(opened);
        }
    }

    /// Whether it takes in more bytes at the moment. Where it does not, it will once something was sent.
    pub fn has_room(&self) -> bool {
        self.stage == Stage::Leaving
            || (self.outlet.has_room() && self.for_room_bytes < FOR_ROOM_BYTES_MAX)
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
        self.for_room_bytes -= message.payload.len();
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

/// What it says.
impl Behaviour {
    fn is_silent(&self) -> bool {
        self.ask.source == Source::Silent
    }

    /// Answers what the session would.
    fn answer(&mut self, said: Said, now: Moment) {
        match said {
            Said::Message(message) => match self.ask.source {
                Source::Broadcast { .. } => {
                    self.for_room_bytes += message.payload.len();
                    self.for_room.push_back(message);
                }
                Source::Silent => self.count_answered(now),
                _ => {
                    if let Some(told) = self.watch.as_mut().and_then(Watch::next) {
                        self.outlet.pace.answer(Item::text(told), now);
                    }
                    self.echo(message, now);
                }
            },
            Said::Pong(payload) => {
                if !self.ask.no_pong && !self.is_silent() {
                    self.outlet.pace.answer(Item::frame(PONG, &payload), now);
                }
            }
            Said::Close(_) if self.is_silent() => self.timers.lose_patience(now + WAIT_MAX),
            Said::Close(payload) => {
                let close = Item::frame(crate::protocol::frame::CLOSE, &payload);
                self.outlet.pace.answer(close, now);
                self.leave([Item::Fin], now);
            }
        }
    }

    /// Answers with a message.
    fn echo(&mut self, message: Message, now: Moment) {
        self.say(message, now);
        self.count_answered(now);
    }

    fn say(&mut self, message: Message, now: Moment) {
        let message = self.change.apply(message);
        self.outlet.pace.answer(Item::Message(message), now);
    }

    fn count_answered(&mut self, now: Moment) {
        self.answered = self.answered.saturating_add(1);
        if matches!(self.ask.end, Some((_, After::Messages(count))) if count == self.answered) {
            self.end(now);
        }
    }

    /// Ends as was asked for.
    fn end(&mut self, now: Moment) {
        let Some((end, after)) = self.ask.end.take() else {
            return;
        };
        match (end, after) {
            (End::Close { code, reason }, _) => {
                self.leave([end::close(code, &reason), Item::Fin], now);
            }
            (End::Reset, After::Messages(_)) => self.leave([Item::Reset], now),
            (End::Reset, After::Time(_)) => {
                self.leave([], now);
                self.outlet.reset();
            }
            (End::HalfClose, _) => self.fall_silent(Item::HalfClose, now),
            (End::Bad(bad), _) => self.fall_silent(Item::Bytes(end::malformed(bad).to_vec()), now),
        }
    }

    /// Closes for a reason that is the server's.
    fn close(&mut self, ending: Ending, now: Moment) {
        let gives_reasons = self.dialogue.as_ref().is_some_and(Dialogue::gives_reasons);
        let reason = if gives_reasons { ending.reason() } else { "" };
        if self.is_silent() {
            self.leave([Item::Fin], now);
        } else {
            self.leave([end::close(Some(ending.code()), reason), Item::Fin], now);
        }
    }

    /// Says the last, and listens on.
    fn fall_silent(&mut self, last: Item, now: Moment) {
        self.outlet.pace.push(last, now);
        self.stage = Stage::Listening;
        self.timers = Timers::default();
    }

    /// Says the last behind what is owed.
    fn leave(&mut self, last: impl IntoIterator<Item = Item>, now: Moment) {
        for item in last {
            self.outlet.pace.push(item, now);
        }
        self.stage = Stage::Leaving;
        self.timers = Timers::default();
        self.watch = None;
    }
}

/// What happens by itself.
impl Behaviour {
    /// Lets happen what is due.
    fn advance(&mut self, now: Moment) {
        while let Some((due, timer)) = self.next_timer()
            && due <= now
        {
            self.fire(timer, due, now);
        }
    }

    /// The timer that is due first, of those that may fire as things stand.
    fn next_timer(&self) -> Option<(Moment, Timer)> {
        let together = self.outlet.pace.together_until();
        let session = match (&self.dialogue, self.stage) {
            (Some(dialogue), Stage::Talking | Stage::Listening) => dialogue.deadline(),
            _ => None,
        };
        let own = self.timers.iter().filter(|(_, timer)| match timer {
            // Nothing is made for who does not read.
            Timer::Ping => !self.outlet.has_ping(),
            Timer::Count => self.outlet.has_room(),
            _ => true,
        });
        let others = [(session, Timer::Session), (together, Timer::Together)];
        let others = others
            .into_iter()
            .filter_map(|(due, timer)| Some((due?, timer)));
        own.chain(others).min_by_key(|(due, _)| *due)
    }

    fn fire(&mut self, timer: Timer, due: Moment, now: Moment) {
        match timer {
            Timer::Session => self.pass_deadline(now),
            Timer::Together => self.outlet.pace.let_go(due),
            Timer::Patience => self.leave([Item::Fin], due),
            Timer::End => self.end(due),
            Timer::Ping => {
                if let Some((_, payload)) = &self.ask.ping {
                    self.outlet.ping(payload.as_bytes());
                }
                self.timers.ping_again(now);
            }
            Timer::Count => {
                if let Some((number, is_last)) = self.timers.count(now) {
                    let payload = number.to_string().into_bytes();
                    let is_text = true;
                    self.say(Message { is_text, payload }, due);
                    if is_last {
                        let close = end::close(Some(CloseCode::NORMAL), "");
                        self.leave([close, Item::Fin], due);
                    }
                }
            }
        }
    }

    /// The session has waited for long enough.
    fn pass_deadline(&mut self, now: Moment) {
        let is_owed = self.outlet.owes();
        let Some(dialogue) = &mut self.dialogue else {
            return;
        };
        if is_owed {
            // Whoever has not got all may well be waiting; whether it reads is seen by who sends.
            dialogue.heard(now);
        } else if !dialogue.pass_deadline(now) {
            if self.stage == Stage::Talking && !self.is_silent() {
                self.outlet.ping(b"");
            }
        } else if self.stage == Stage::Talking {
            self.close(Ending::Idle, now);
        } else {
            self.leave([Item::Fin], now);
        }
    }
}

/// The longest that anything may be asked to take.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

//! An engine without sockets: it lends a session each piece in fresh memory with guards around it,
//! collects what comes back in sending order, and keeps every promise an engine makes.

use std::time::Duration;

use ringback::memory::SlabPool;
use ringback::memory::slab::{SLAB_COST_MAX, Slab};
use ringback::protocol::carried::{Damage, Reader, Writer};
use ringback::protocol::policy::Policy;
use ringback::protocol::session::INFLATION_BYTES_MAX;
use ringback::protocol::{
    CloseCode, Inflaters, Moment, Next, Piece, Reply, Session, Tally, Turn, Wake,
};

const GUARD: [u8; 32] = [0xa5; 32];

/// Calls in a row that may take nothing and say nothing before it counts as being stuck.
const IDLE_CALLS_MAX: usize = 8;

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// The FIN is sent; what comes is discarded.
    HalfClosed,
    Closed,
    /// Another owner has it.
    HandedOver,
}

/// One connection and the worker around it.
#[expect(clippy::vec_box, reason = "slabs move in boxes")]
pub(crate) struct Pretend<'a> {
    policy: &'a Policy,
    session: Session,
    pub(crate) slabs: SlabPool,
    inflaters: Inflaters,
    pub(crate) tally: Tally,
    pub(crate) now: Moment,
    /// What every call gets as its room.
    pub(crate) room: usize,
    /// What every call gets as what it may inflate.
    pub(crate) inflation: usize,
    /// The most that is offered again at once after a Hold.
    pub(crate) offer_bytes_max: usize,
    pub(crate) refusing: bool,
    /// Whether the session is written down and read back before every call.
    pub(crate) is_carried: bool,
    /// What another owner was given.
    pub(crate) handed_over: Vec<u8>,
    /// Everything sent so far.
    pub(crate) sent: Vec<u8>,
    pub(crate) state: State,
    /// The most bytes of slabs that were out between two calls.
    pub(crate) held_bytes_max: usize,
    taken_elsewhere: Vec<Box<Slab>>,
    taken_elsewhere_bytes: usize,
}

impl<'a> Pretend<'a> {
    /// A connection that has sent nothing.
    pub(crate) fn open(policy: &'a Policy) -> Self {
        let now = Moment::from_nanos(5_000_000_000);
        Pretend {
            policy,
            session: Session::open(policy, now),
            slabs: SlabPool::new(SlabPool::budget(16 * SLAB_COST_MAX, 1)),
            inflaters: Inflaters::default(),
            tally: Tally::default(),
            now,
            room: 1 << 20,
            inflation: INFLATION_BYTES_MAX,
            offer_bytes_max: usize::MAX,
            refusing: false,
            is_carried: false,
            handed_over: Vec::new(),
            sent: Vec::new(),
            state: State::Open,
            held_bytes_max: 0,
            taken_elsewhere: Vec::new(),
            taken_elsewhere_bytes: 0,
        }
    }

    /// Leaves the worker no memory to hold anything in.
    pub(crate) fn spend_slabs(&mut self) {
        while let Some(slab) = self.slabs.take_to_hold(1) {
            self.taken_elsewhere.push(slab);
        }
        self.taken_elsewhere_bytes = self.slabs.out_bytes();
    }

    /// Bytes of slabs that this connection holds.
    pub(crate) fn held_bytes(&self) -> usize {
        self.slabs.out_bytes() - self.taken_elsewhere_bytes
    }

    /// What the peer sent arrives as one piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        self.feed_counting(piece, |_, _| {});
    }

    /// The same; how many calls that took. `each` looks at it after each call, and is told how many bytes had been
    /// inflated before.
    pub(crate) fn feed_counting(&mut self, piece: &[u8], each: impl Fn(&Self, u64)) -> usize {
        let mut calls = 0;
        self.now = self.now + Duration::from_micros(1);
        let mut rest = piece;
        let mut idle_calls = 0;
        while self.state == State::Open {
            let offered = &rest[..rest.len().min(self.offer_bytes_max)];
            let sent_before = self.sent.len();
            let inflated_before = self.tally.inflated_bytes.get();
            let (consumed, next) = self.lend(offered);
            each(self, inflated_before);
            calls += 1;
            rest = &rest[consumed..];
            let moved = consumed > 0 || self.sent.len() > sent_before;
            idle_calls = if moved { 0 } else { idle_calls + 1 };
            assert!(
                idle_calls < IDLE_CALLS_MAX,
                "stuck with {} bytes and {next:?}",
                rest.len()
            );
            if next == Next::HandOver {
                self.hand_over(rest);
                return calls;
            }
            self.enter(next);
            if rest.is_empty() && !matches!(next, Next::Hold | Next::Yield) {
                break;
            }
        }
        self.pass_deadlines();
        calls
    }

    /// One call of `receive`, and everything it must keep to.
    fn lend(&mut self, offered: &[u8]) -> (usize, Next) {
        self.carry_if_asked();
        let mut memory = [&GUARD, offered, &GUARD].concat();
        let lent_range = GUARD.len()..GUARD.len() + offered.len();
        let mut reply = Reply::default();
        let mut turn = Turn {
            now: self.now,
            policy: self.policy,
            slabs: &mut self.slabs,
            inflaters: &mut self.inflaters,
            tally: &self.tally,
            room: self.room,
            inflation: self.inflation,
            refusing: self.refusing,
            over_tls: false,
            guest: None,
            cause: None,
        };
        let lent = &mut memory[lent_range.clone()];
        let step = self.session.receive(&mut turn, lent, &mut reply);
        assert_eq!(
            memory[..GUARD.len()],
            GUARD,
            "written before the lent bytes"
        );
        assert_eq!(
            memory[lent_range.end..],
            GUARD,
            "written behind the lent bytes"
        );
        assert!(step.consumed <= offered.len());
        assert!(
            step.consumed == offered.len() || step.next != Next::Read,
            "only Hold and Yield leave bytes"
        );
        let lent = &memory[lent_range];
        if step.next == Next::HandOver {
            assert_eq!(
                (step.consumed, lent),
                (0, offered),
                "it belongs to another owner"
            );
            assert!(reply.window.is_empty(), "an answer to another's request");
        }
        if matches!(step.next, Next::Hold | Next::Yield) {
            assert!(
                reply.window.end <= step.consumed,
                "the window covers what is offered again"
            );
            assert_eq!(
                lent[step.consumed..],
                offered[step.consumed..],
                "the rest is changed"
            );
        }
        let beside = reply.before.byte_count() + reply.after.byte_count();
        assert!(
            beside <= self.room + SLAB_COST_MAX,
            "{beside} bytes for room {}",
            self.room
        );
        self.send(std::mem::take(&mut reply.before));
        self.sent.extend_from_slice(&lent[reply.window.clone()]);
        self.send(std::mem::take(&mut reply.after));
        self.held_bytes_max = self.held_bytes_max.max(self.held_bytes());
        (step.consumed, step.next)
    }

    /// Time passes, and the session is woken at each of its deadlines.
    pub(crate) fn wait(&mut self, span: Duration) {
        let end = self.now + span;
        while !matches!(self.state, State::Closed | State::HandedOver) {
            match self.session.deadline() {
                Some(deadline) if deadline <= end => {
                    self.now = self.now.max(deadline);
                    self.pass_deadlines();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn pass_deadlines(&mut self) {
        for _ in 0..IDLE_CALLS_MAX {
            match self.session.deadline() {
                Some(deadline) if deadline <= self.now && self.state != State::Closed => {
                    self.wake(Wake::Deadline);
                }
                _ => return,
            }
        }
        panic!("a deadline that does not move");
    }

    /// When the session wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.session.deadline()
    }

    /// The session as another owner would get it.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new(self.now);
        self.session.write(&mut writer);
        writer.into_bytes()
    }

    /// Goes on with the session in `bytes` instead of its own.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        self.session.release(&mut self.slabs);
        let mut reader = Reader::new(bytes, self.now);
        self.session = Session::read(&mut reader, self.policy, &mut self.slabs)?;
        reader.end()
    }

    fn carry_if_asked(&mut self) {
        if self.is_carried {
            let bytes = self.write();
            self.read(&bytes).expect("what was written can be read");
            assert_eq!(self.write(), bytes, "something is lost on the way");
        }
    }

    /// The server goes down.
    pub(crate) fn drain(&mut self) {
        self.wake(Wake::Drain(CloseCode::GOING_AWAY));
    }

    /// The peer's FIN arrives.
    pub(crate) fn peer_finishes(&mut self) {
        match self.state {
            State::Open => self.wake(Wake::PeerFinished),
            State::HalfClosed => self.state = State::Closed,
            State::Closed | State::HandedOver => {}
        }
    }

    fn wake(&mut self, why: Wake) {
        self.carry_if_asked();
        let mut reply = Reply::default();
        let mut turn = Turn {
            now: self.now,
            policy: self.policy,
            slabs: &mut self.slabs,
            inflaters: &mut self.inflaters,
            tally: &self.tally,
            room: self.room,
            inflation: self.inflation,
            refusing: self.refusing,
            over_tls: false,
            guest: None,
            cause: None,
        };
        let next = self.session.resume(&mut turn, why, &mut reply);
        assert!(reply.window.is_empty(), "a window on nothing");
        self.send(std::mem::take(&mut reply.before));
        self.send(std::mem::take(&mut reply.after));
        self.enter(next);
    }

    /// What came and is not answered here goes to another owner: what is held, and then `rest`.
    fn hand_over(&mut self, rest: &[u8]) {
        self.state = State::HandedOver;
        if let Some(held) = self.session.take_held() {
            self.handed_over.extend_from_slice(held.bytes());
            self.slabs.give(held);
        }
        self.handed_over.extend_from_slice(rest);
    }

    fn enter(&mut self, next: Next) {
        match (self.state, next) {
            (_, Next::Close) => self.state = State::Closed,
            (State::Open, Next::HalfClose) => self.state = State::HalfClosed,
            _ => {}
        }
    }

    fn send(&mut self, piece: Piece) {
        match piece {
            Piece::None => {}
            Piece::Inline(small) => self.sent.extend_from_slice(small.as_slice()),
            Piece::Slabs(mut chain) => {
                while let Some(slab) = chain.pop() {
                    self.sent.extend_from_slice(slab.bytes());
                    self.slabs.give(slab);
                }
            }
        }
    }

    /// The connection is over: every slab must be back.
    pub(crate) fn release(mut self) -> Vec<u8> {
        self.session.release(&mut self.slabs);
        assert_eq!(self.held_bytes(), 0, "slabs that were not given back");
        self.sent
    }
}

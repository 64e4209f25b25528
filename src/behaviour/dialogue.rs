//! The plain session under a behaviour: it reads what comes as strictly as any, and says what an echo would.

use std::time::Duration;

use crate::memory::SlabPool;
use crate::memory::slab::SLAB_COST_MAX;
use crate::protocol::{
    Cause, Inflaters, Moment, Next, Piece, Policy, Reply, Session, Tally, Turn, Wake,
};

use super::answers::{Answer, Answers};

/// The largest message that a behaviour takes, in bytes: it is changed and framed as a whole.
pub const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// The shortest silence for which a peer is given up: less would have it asked all the time.
const IDLE_MIN: Duration = Duration::from_millis(10);

/// What a session may hold of a frame that is not whole, in bytes.
const HELD_BYTES_MAX: usize = 4 * SLAB_COST_MAX;

/// A session with what it needs.
#[derive(Debug)]
pub(super) struct Dialogue {
    session: Session,
    policy: Policy,
    slabs: SlabPool,
    inflaters: Inflaters,
    tally: Tally,
    answers: Answers,
    cause: Option<Cause>,
}

impl Dialogue {
    /// A session behind a 101 that is sent at `now`. Of the operator's policy holds what is not about the answer.
    pub(super) fn new(operators: &Policy, now: Moment) -> Self {
        let message_bytes_max = operators.message_bytes_max.unwrap_or(MESSAGE_BYTES_MAX);
        let policy = Policy {
            message_bytes_max: Some(message_bytes_max.min(MESSAGE_BYTES_MAX)),
            idle_timeout: operators.idle_timeout.map(|idle| idle.max(IDLE_MIN)),
            close_reasons: operators.close_reasons,
            ..Policy::default()
        };
        Dialogue {
            session: Session::upgraded(&policy, now),
            policy,
            slabs: SlabPool::new(SlabPool::budget(HELD_BYTES_MAX, 1)),
            inflaters: Inflaters::default(),
            tally: Tally::default(),
            answers: Answers::default(),
            cause: None,
        }
    }

    /// What the session answers to what came.
    pub(super) fn receive(&mut self, bytes: &mut [u8], now: Moment) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut reply = Reply::default();
        let (session, mut turn) = self.turn(now);
        session.receive(&mut turn, bytes, &mut reply);
        self.cause = turn.cause.or(self.cause);
        self.read(reply.before, &mut answers);
        self.answers.read(&bytes[reply.window], &mut answers);
        self.read(reply.after, &mut answers);
        answers
    }

    /// The deadline has passed; whether the peer is given up.
    pub(super) fn pass_deadline(&mut self, now: Moment) -> bool {
        let mut reply = Reply::default();
        let (session, mut turn) = self.turn(now);
        let next = session.resume(&mut turn, Wake::Deadline, &mut reply);
        self.cause = turn.cause.or(self.cause);
        // A Ping, or a Close, which is missing where the session had begun a frame: both are said by whoever
        // knows what is on its way.
        self.read(reply.before, &mut Vec::new());
        self.read(reply.after, &mut Vec::new());
        next != Next::Read
    }

    /// How many whole messages have come.
    pub(super) fn received_messages(&self) -> u64 {
        self.tally.data_messages()
    }

    /// How much it keeps of a message that is not whole, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        self.answers.kept_bytes()
    }

    /// When [`Dialogue::pass_deadline`] is to be called.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.session.deadline()
    }

    /// The peer is not silent: it waits for what it is owed.
    pub(super) fn heard(&mut self, now: Moment) {
        self.session.heard(&self.policy, now);
    }

    /// Whether a Close says in words why.
    pub(super) fn gives_reasons(&self) -> bool {
        self.policy.close_reasons
    }

    /// Why the session ended, where it was not the peer that ended it.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause
    }

    fn turn(&mut self, now: Moment) -> (&mut Session, Turn<'_>) {
        let turn = Turn {
            now,
            policy: &self.policy,
            slabs: &mut self.slabs,
            inflaters: &mut self.inflaters,
            tally: &self.tally,
            room: usize::MAX,
            inflation: 0,
            refusing: false,
            over_tls: false,
            guest: None,
            cause: None,
        };
        (&mut self.session, turn)
    }

    fn read(&mut self, piece: Piece, answers: &mut Vec<Answer>) {
        match piece {
            Piece::None => {}
            Piece::Inline(small) => self.answers.read(small.as_slice(), answers),
            Piece::Slabs(mut chain) => {
                while let Some(slab) = chain.pop() {
                    self.answers.read(slab.bytes(), answers);
                    self.slabs.give(slab);
                }
            }
        }
    }
}

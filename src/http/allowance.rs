//! How much may still be taken in from a connection, or in a session, that is served here: as on the workers.

use tokio::time::Instant;

use crate::protocol::guests::{Guests, Pace, Tokens};

use super::behaviours::Clock;
use super::stream::READ_BYTES;

/// What somebody may still send, where there is a limit.
#[derive(Debug)]
pub(super) struct Allowance {
    pace: Pace,
    tokens: Tokens,
    clock: Clock,
    /// Until when no more is taken in, if it was too much.
    rests_until: Option<Instant>,
}

impl Allowance {
    /// None: all may send as fast as they like.
    pub(super) fn of(guests: Option<&Guests>) -> Option<Self> {
        let pace = guests?.pace;
        pace.is_limited().then(|| Allowance {
            pace,
            tokens: Tokens::default(),
            clock: Clock::start(),
            rests_until: None,
        })
    }

    /// How many bytes are read at a time at most.
    pub(super) fn bytes_at_once(&self) -> usize {
        let now = self.clock.now();
        let bytes = self.tokens.bytes_at_once(self.pace, now, READ_BYTES);
        bytes.min(READ_BYTES)
    }

    /// So many bytes and whole messages were taken in.
    pub(super) fn use_up(&mut self, bytes: usize, messages: u64) {
        let now = self.clock.now();
        if let Some(until) = self.tokens.owe(self.pace, bytes, messages, now) {
            self.rests_until = self.clock.instant(until);
        }
    }

    /// Until when no more is to be taken in, if it is not yet time.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.rests_until.filter(|until| *until > Instant::now())
    }
}

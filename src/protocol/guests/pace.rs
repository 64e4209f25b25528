//! How fast what comes on a connection is taken in.

use super::rate::{Bucket, Rate};
use crate::protocol::Moment;

/// What is received at a time where messages are counted, in bytes: some hundred of the smallest there are.
const COUNTED_BYTES_MAX: usize = 1024;

/// How fast what comes on a connection is taken in. Who sends faster is read from more slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Whole messages.
    pub messages: Option<Rate>,
    /// Bytes.
    pub bytes: Option<Rate>,
}

impl Pace {
    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        self.messages.is_some() || self.bytes.is_some()
    }
}

/// What somebody may still send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokens {
    bytes: Bucket,
    messages: Bucket,
}

impl Tokens {
    /// So many bytes and whole messages were taken in. Where they were more than may be: until when no more are.
    pub fn owe(&mut self, pace: Pace, bytes: usize, messages: u64, now: Moment) -> Option<Moment> {
        let for_bytes = pace
            .bytes
            .and_then(|rate| self.bytes.owe(rate, bytes as u64, now));
        let for_messages = pace
            .messages
            .and_then(|rate| self.messages.owe(rate, messages, now));
        for_bytes.max(for_messages)
    }

    /// How many bytes are received at a time at most, since they count afterwards; no fewer than `least`, unless messages
    /// are counted.
    pub fn bytes_at_once(&self, pace: Pace, now: Moment, least: usize) -> usize {
        if pace.messages.is_some() {
            return COUNTED_BYTES_MAX;
        }
        let tokens = pace.bytes.map(|rate| self.bytes.tokens(rate, now));
        tokens.map_or(usize::MAX, |tokens| {
            usize::try_from(tokens).unwrap_or(usize::MAX).max(least)
        })
    }
}

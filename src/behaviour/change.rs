//! What becomes of a message before it is answered.

use crate::protocol::WallClock;

use super::{Ask, Message};

/// How messages are changed.
#[derive(Debug)]
pub(super) struct Change {
    upper: bool,
    /// The clock that is put in front; none where it is not asked for, or where there is none.
    clock: Option<WallClock>,
}

impl Change {
    pub(super) fn new(ask: &Ask, clock: Option<WallClock>) -> Self {
        Change {
            upper: ask.upper,
            clock: clock.filter(|_| ask.time),
        }
    }

    /// The message as it is answered.
    pub(super) fn apply(&self, mut message: Message) -> Message {
        if self.upper && message.is_text {
            message.payload.make_ascii_uppercase();
        }
        let Some(clock) = self.clock else {
            return message;
        };
        let microseconds = u64::try_from(clock.0().as_micros()).unwrap_or(u64::MAX);
        if message.is_text {
            let digits = format!("{microseconds} ");
            message.payload.splice(0..0, digits.into_bytes());
        } else {
            message.payload.splice(0..0, microseconds.to_be_bytes());
        }
        message
    }
}

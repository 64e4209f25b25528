//! Pings of ours: one under way at a time, timed apart from the messages.

use super::pending::UNSENT;

/// Begins each payload, so that it has a length that pongs of a server's own accord hardly have.
const NAME: [u8; 8] = *b"ringload";

/// What the pings of one connection have come to.
#[derive(Default)]
pub(super) struct Pings {
    /// Number of the last ping.
    number: u64,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// None is under way.
    #[default]
    None,
    /// One is to be sent.
    Wanted,
    /// One was queued, and given to the kernel at that time or not yet ([`UNSENT`]).
    Waiting(u64),
}

/// What a pong is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pong {
    /// The answer to the ping that was sent at this time.
    Answer(u64),
    /// Nobody asked for it, which is allowed (RFC 6455 section 5.5.3).
    Unasked,
    /// It looks like the answer to a ping of ours and has another payload.
    Wrong,
}

impl Pings {
    /// Asks for a ping; `false` if one is under way.
    pub(super) fn want(&mut self) -> bool {
        let is_free = self.state == State::None;
        if is_free {
            self.state = State::Wanted;
        }
        is_free
    }

    /// Whether one is to be sent.
    pub(super) fn is_wanted(&self) -> bool {
        self.state == State::Wanted
    }

    /// Begins the next ping and returns its payload, in two parts: the name and the number.
    pub(super) fn begin(&mut self) -> [[u8; 8]; 2] {
        self.number += 1;
        self.state = State::Waiting(UNSENT);
        self.payload()
    }

    fn payload(&self) -> [[u8; 8]; 2] {
        [NAME, self.number.to_be_bytes()]
    }

    /// Whether one is under way that was not answered.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// What was queued is given to the kernel now.
    pub(super) fn stamp(&mut self, now: u64) {
        if self.state == State::Waiting(UNSENT) {
            self.state = State::Waiting(now);
        }
    }

    /// Takes a pong.
    pub(super) fn pong(&mut self, payload: &[u8]) -> Pong {
        let sent = match self.state {
            State::Waiting(sent) if sent != UNSENT => sent,
            _ => return Pong::Unasked,
        };
        let expected = self.payload();
        if payload == expected.as_flattened() {
            self.state = State::None;
            Pong::Answer(sent)
        } else if payload.len() == expected.as_flattened().len() {
            Pong::Wrong
        } else {
            Pong::Unasked
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ping_at_a_time_is_sent_timed_and_answered() {
        let mut pings = Pings::default();
        assert_eq!(pings.pong(b"beat"), Pong::Unasked);
        assert!(pings.want() && !pings.want() && pings.is_wanted());
        let payload = pings.begin();
        assert!(!pings.is_wanted() && !pings.want());
        let payload = payload.as_flattened();
        assert_eq!(pings.pong(payload), Pong::Unasked, "not sent yet");
        pings.stamp(7);
        pings.stamp(9);
        assert_eq!(pings.pong(&[]), Pong::Unasked);
        assert_eq!(pings.pong(&[0; 8]), Pong::Unasked, "a heartbeat");
        assert_eq!(pings.pong(&[0; 16]), Pong::Wrong);
        assert_eq!(pings.pong(payload), Pong::Answer(7));
        assert!(pings.want());
        assert_ne!(pings.begin().as_flattened(), payload);
    }
}

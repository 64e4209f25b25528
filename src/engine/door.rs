//! When to accept: what every engine does when it may not, or cannot.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use tracing::warn;

use crate::log::SharedLimit;
use crate::protocol::Moment;

/// How long accepting rests after it failed for want of something.
const REST: Duration = Duration::from_millis(100);

/// Errors of the connection that was to be accepted, not of accepting (`accept(2)`).
const PASSING: [Errno; 11] = [
    Errno::CONNABORTED,
    // It was shut, and has opened again before that was heard of.
    Errno::CANCELED,
    Errno::INTR,
    Errno::NETDOWN,
    Errno::PROTO,
    Errno::NOPROTOOPT,
    Errno::HOSTDOWN,
    Errno::NONET,
    Errno::HOSTUNREACH,
    Errno::OPNOTSUPP,
    Errno::NETUNREACH,
];

/// What is short is the process's, so one worker says it for all.
static WARNINGS: SharedLimit = SharedLimit::new(1);

/// Whether a worker accepts.
#[derive(Debug)]
pub(super) struct Door {
    /// Until when it rests.
    resting: Option<Moment>,
    /// Nobody is accepted, until it opens again.
    shut: bool,
}

impl Door {
    /// One that is open, or shut.
    pub(super) fn new(open: bool) -> Self {
        Door {
            resting: None,
            shut: !open,
        }
    }

    /// Whether it is open is `open` from now on; whether it was not before.
    pub(super) fn set(&mut self, open: bool) -> bool {
        let turns = self.shut == open;
        if turns {
            self.shut = !open;
            self.resting = None;
        }
        turns
    }

    /// Whether nobody is accepted now.
    pub(super) fn is_closed(&self) -> bool {
        self.shut || self.resting.is_some()
    }

    /// Whether it is somebody else who accepts, if anybody.
    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// When to accept again.
    pub(super) fn reopens(&self) -> Option<Moment> {
        self.resting
    }

    /// There are as many connections as there may be.
    pub(super) fn rest(&mut self, now: Moment) {
        self.resting = (!self.shut).then_some(now + REST);
    }

    /// Accepting failed. What a peer or its network did is nothing; a shortage, or whatever else will not
    /// pass at once, is reported, and accepting rests. Once the door is shut, its failure is what was wanted.
    pub(super) fn failed(&mut self, error: &io::Error, now: Moment) {
        if self.shut || Errno::from_io_error(error).is_some_and(|errno| PASSING.contains(&errno)) {
            return;
        }
        self.rest(now);
        if WARNINGS.admits("accepting", now) {
            warn!(
                "cannot accept connections: {error}; those that are open go on, new ones wait until \
                 one ends (see `ulimit -n` and --max-connections)"
            );
        }
    }

    /// Whether the rest is over; the caller then accepts again.
    pub(super) fn reopen(&mut self, now: Moment) -> bool {
        let over = self.resting.is_some_and(|until| until <= now);
        if over {
            self.resting = None;
        }
        over
    }
}

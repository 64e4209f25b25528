//! When to accept: what every engine does when it may not, or cannot.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use tracing::{info, warn};

use crate::protocol::Moment;

/// How long accepting rests after it failed for want of something, unless a connection ends first.
const REST: Duration = Duration::from_millis(100);

/// Whether a worker accepts.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// Until when it rests.
    resting: Option<Moment>,
    /// A shortage has been reported and is not over.
    warned: bool,
}

impl Door {
    /// Whether accepting rests.
    pub(super) fn is_resting(&self) -> bool {
        self.resting.is_some()
    }

    /// When to accept again.
    pub(super) fn reopens(&self) -> Option<Moment> {
        self.resting
    }

    /// There are as many connections as there may be.
    pub(super) fn rest(&mut self, now: Moment) {
        self.resting = Some(now + REST);
    }

    /// Accepting failed. A peer that gave up in the queue is nothing; a shortage is reported once, and
    /// accepting rests.
    pub(super) fn failed(&mut self, error: &io::Error, now: Moment) {
        let shortage = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        if !shortage
            .iter()
            .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
        {
            return;
        }
        self.rest(now);
        if !self.warned {
            self.warned = true;
            warn!(
                "cannot accept connections: {error}; those that are open go on, new ones wait until \
                 one ends (see `ulimit -n` and --max-connections)"
            );
        }
    }

    /// A connection was accepted.
    pub(super) fn succeeded(&mut self) {
        if self.warned {
            self.warned = false;
            info!("accepting connections again");
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

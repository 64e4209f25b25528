//! What the sessions of one thread share.

use std::sync::Arc;

use crate::control::Clock;
use crate::dial::Dialer;
use crate::echo::connection::Turn;
use crate::echo::tally::Tally;
use crate::echo::workload::{Pace, Workload};
use crate::payload::Random;
use crate::target::Protocol;

/// Received at a time.
const RECEIVE_BYTES: usize = 16 * 1024;

/// What the sessions of one thread share: where to, what to say, the clock.
pub(crate) struct Crew {
    pub(crate) clock: Clock,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) tally: Tally,
    /// What TLS agreed on, at the first connection that has it.
    pub(crate) tls: Option<String>,
    pub(super) workload: Workload,
    pub(super) random: Random,
    /// Received, and the same decrypted.
    pub(super) buffer: Vec<u8>,
    pub(super) plain: Vec<u8>,
}

impl Crew {
    /// A crew that sends messages of `workload`.
    pub(crate) fn new(
        clock: Clock,
        dialer: Arc<Dialer>,
        workload: Workload,
        random: Random,
    ) -> Crew {
        Crew {
            clock,
            tally: Tally::new(),
            tls: None,
            // Messages are queued one by one: a connection that rests must not begin to talk by itself.
            workload: Workload {
                pace: Pace::Scheduled,
                ..workload
            },
            dialer,
            random,
            buffer: vec![0; RECEIVE_BYTES],
            plain: Vec::new(),
        }
    }

    /// Randomness beside what the messages need.
    pub(crate) fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// What a connection borrows for one call.
    pub(crate) fn turn(&mut self) -> Turn<'_> {
        Turn {
            connection: 0,
            now: self.clock.now(),
            workload: &self.workload,
            random: &mut self.random,
            tally: &mut self.tally,
        }
    }

    pub(super) fn is_websocket(&self) -> bool {
        self.workload.protocol == Protocol::Websocket
    }
}

//! What the admin listener reads: counters and levels that others write.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

use super::metrics;
use crate::engine::{Exchange, Stop, StopPhase};
use crate::http::{Occupied, Sender};
use crate::memory::Budget;
use crate::protocol::Tally;
use crate::sys::clock;

/// How far the server is, for whoever sends it newcomers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not all workers serve yet.
    Starting,
    /// All do.
    Serving,
    /// It goes down, or will in a moment: newcomers are to go elsewhere.
    Leaving,
}

/// Each state, and its name.
pub(super) const STATES: [(State, &str); 3] = [
    (State::Starting, "starting"),
    (State::Serving, "serving"),
    (State::Leaving, "leaving"),
];

/// What one option is, as `/config` tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Its name.
    pub option: String,
    /// Its values; none: they are not for everybody.
    pub values: Option<Vec<String>>,
    /// Who said it: `default`, a flag, a variable, or a key and its file.
    pub from: String,
}

/// How often something has happened, and when it did last.
#[derive(Debug, Default)]
pub struct Occurrences {
    count: AtomicU64,
    /// Milliseconds since 1970; 0: never.
    last: AtomicU64,
}

impl Occurrences {
    /// It has happened now.
    pub fn note(&self) {
        let now = u64::try_from(clock::since_1970().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Relaxed);
        self.count.fetch_add(1, Relaxed);
    }

    /// How often.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// When last, since 1970; none: never.
    pub(super) fn last(&self) -> Option<Duration> {
        let last = Some(self.last.load(Relaxed)).filter(|last| *last > 0);
        last.map(Duration::from_millis)
    }
}

/// What became of restarts that no peer notices.
#[derive(Debug, Default)]
pub struct Handovers {
    /// Successors that were asked for.
    pub started: Occurrences,
    /// Of these, those that were no good: this process went on.
    pub failed: Occurrences,
    /// This process has succeeded another.
    pub succeeded: Occurrences,
    /// Connections that are a successor's.
    pub handed_over: AtomicU64,
    /// Connections that this process has from the one before it.
    pub taken_over: AtomicU64,
}

/// How often certificates were read again.
#[derive(Debug, Default)]
pub struct Reloads {
    /// New handshakes had what was read.
    pub read: Occurrences,
    /// It was no good, and the old ones stayed.
    pub refused: Occurrences,
}

/// Where everything is counted, and what does not change.
pub struct Sources {
    /// Of each worker.
    pub tallies: Vec<Arc<Tally>>,
    /// Of all workers.
    pub budget: Arc<Budget>,
    /// The limit on what workers serve.
    pub connections_max: Option<NonZeroUsize>,
    /// The HTTP side, if there is one.
    pub http: Option<Sender>,
    /// How far the workers are on their way down.
    pub stop: Arc<Stop>,
    /// What workers are asked by.
    pub exchange: Arc<Exchange>,
    /// The engine's name.
    pub engine: &'static str,
    /// The version, and the commit it was built from.
    pub build: (&'static str, &'static str),
    /// What became of restarts.
    pub handovers: Arc<Handovers>,
    /// What became of certificates, where TLS is spoken.
    pub tls_reloads: Option<Arc<Reloads>>,
    /// Every option.
    pub config: Vec<Told>,
    state: AtomicU8,
}

impl Sources {
    /// Of a server that starts.
    pub fn new(
        tallies: Vec<Arc<Tally>>,
        budget: Arc<Budget>,
        stop: Arc<Stop>,
        exchange: Arc<Exchange>,
        engine: &'static str,
    ) -> Self {
        Sources {
            tallies,
            budget,
            connections_max: None,
            http: None,
            stop,
            exchange,
            engine,
            build: ("", ""),
            handovers: Arc::default(),
            tls_reloads: None,
            config: Vec::new(),
            state: AtomicU8::new(State::Starting as u8),
        }
    }

    /// The server goes on to that state; there is no way back.
    pub fn enter(&self, state: State) {
        self.state.fetch_max(state as u8, Relaxed);
    }

    /// How far it is.
    pub fn state(&self) -> State {
        if self.stop.phase() != StopPhase::Running {
            return State::Leaving;
        }
        STATES[usize::from(self.state.load(Relaxed))].0
    }

    /// Every number that is not zero, under the name that it has at `/metrics`.
    pub fn told_in_short(&self) -> Vec<String> {
        metrics::in_short(self)
    }

    /// What connections take of the places of the HTTP side.
    pub fn occupied(&self) -> Vec<Occupied> {
        self.http.iter().flat_map(Sender::occupied).collect()
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

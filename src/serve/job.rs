//! The thread of a worker.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tracing::warn;

use super::inbox::{Event, Events};
use crate::engine::{Engine, Exchange, Stop, UringTuning, Worker};
use crate::protocol::Tally;
use crate::shard::{Entrance, Settings};
use crate::sys::cpu;

/// A worker's thread.
pub(super) struct Job {
    pub(super) number: usize,
    pub(super) engine: &'static Engine,
    pub(super) settings: Settings,
    pub(super) tally: Arc<Tally>,
    pub(super) listeners: Vec<TcpListener>,
    /// What each listener says of those who come in by it.
    pub(super) entrances: Vec<Entrance>,
    pub(super) stop: Arc<Stop>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) tuning: UringTuning,
    /// The CPU that is its own.
    pub(super) cpu: Option<usize>,
    pub(super) events: Events,
}

impl Job {
    pub(super) fn run(self) {
        let events = self.events.clone();
        let mut last_words = LastWords {
            number: self.number,
            outcome: Err(io::Error::other("it panicked")),
            events: self.events.clone(),
        };
        if let Some(cpu) = self.cpu
            && let Err(error) = cpu::pin(cpu)
        {
            warn!(
                "worker {} cannot be kept on CPU {cpu}: {error}",
                self.number
            );
        }
        let worker = Worker {
            number: self.number,
            settings: self.settings,
            tally: self.tally,
            entrances: self.entrances,
            listeners: self.listeners,
            stop: &self.stop,
            exchange: self.exchange,
            tuning: self.tuning,
        };
        let ready = || {
            events.send(Event::Ready);
        };
        last_words.outcome = (self.engine.run)(&worker, &ready);
    }
}

/// Tells the main thread that a worker has ended, however it did.
struct LastWords {
    number: usize,
    outcome: io::Result<()>,
    events: Events,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        self.events.send(Event::Ended(self.number, outcome));
    }
}

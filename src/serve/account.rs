//! What the server has done and what it holds, over all workers and the HTTP side: gathered when somebody asks.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::http::Sender;
use crate::memory::{Budget, Level};
use crate::protocol::Tally;

/// Where it is counted.
pub(super) struct Account {
    /// Of each worker.
    pub(super) tallies: Vec<Arc<Tally>>,
    /// Of all workers.
    pub(super) budget: Arc<Budget>,
    /// The limit on what workers serve.
    pub(super) connections_max: Option<NonZeroUsize>,
    /// The HTTP side, if there is one.
    pub(super) http: Option<Sender>,
}

/// Something that peers make the server hold.
pub(super) struct Holding {
    what: &'static str,
    /// How much of it is held now.
    taken: usize,
    /// The most that may be; none: no limit of the server's own.
    max: Option<usize>,
}

/// All of it.
pub(super) struct Holdings(Vec<Holding>);

/// What was done since the start.
#[derive(Default)]
pub(super) struct Done {
    accepted: u64,
    messages: u64,
    requests: u64,
    refused: u64,
    violations: u64,
    timeouts: u64,
    shed: u64,
    /// Connections that workers serve.
    open: u64,
}

impl Account {
    /// What was done since the start.
    pub(super) fn done(&self) -> Done {
        let mut done = Done::default();
        for tally in &self.tallies {
            // What ended, first: whoever comes meanwhile is counted, or not.
            let left = tally.ended.get() + tally.put_down.get();
            let came = tally.accepted.get() + tally.picked_up.get();
            done.open += came.saturating_sub(left);
            done.accepted += tally.accepted.get();
            done.messages += tally.messages.get();
            done.refused += tally.refusals.get();
            done.violations += tally.violations.get();
            done.timeouts += tally.timeouts.get();
            done.shed += tally.shed.get();
        }
        if let Some(http) = &self.http {
            done.requests = http.counters().requests.load(Relaxed);
            done.refused += http.counters().refused.load(Relaxed);
        }
        done
    }

    /// What is held now.
    pub(super) fn holdings(&self) -> Holdings {
        let of = |what, level: Level| Holding {
            what,
            taken: level.taken,
            max: Some(level.max),
        };
        let connections = Holding {
            what: "connections",
            taken: usize::try_from(self.done().open).unwrap_or(usize::MAX),
            max: self.connections_max.map(NonZeroUsize::get),
        };
        let mut all = vec![
            connections,
            of("bytes to be sent", self.budget.queued()),
            of("bytes of unfinished input", self.budget.unfinished()),
        ];
        let http = self.http.iter().flat_map(Sender::occupied);
        all.extend(http.map(|it| Holding {
            what: it.what,
            taken: it.taken,
            max: Some(it.max),
        }));
        Holdings(all)
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Holding { what, taken, max }) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{taken}")?;
            if let Some(max) = max {
                write!(f, " of {max}")?;
            }
            write!(f, " {what}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done {
            accepted,
            messages,
            requests,
            refused,
            violations,
            timeouts,
            shed,
            open,
        } = self;
        write!(
            f,
            "served {accepted} connections, {messages} messages and {requests} HTTP requests; refused {refused}, \
             closed {violations} for violations, timed out {timeouts}, reset {shed} for want of memory, left {open} \
             unfinished"
        )
    }
}

//! What the server has done and what it holds, over all workers and the HTTP side, in words: gathered when somebody
//! asks.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::admin::Sources;

/// Tells it.
pub(super) struct Account(pub(super) Arc<Sources>);

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
        for tally in &self.0.tallies {
            done.open += tally.present();
            done.accepted += tally.accepted.get();
            done.messages += tally.data_messages();
            done.refused += tally.refused();
            done.violations += tally.violations.sum();
            done.timeouts += tally.timeouts.sum();
            done.shed += tally.shed.get();
        }
        if let Some(http) = &self.0.http {
            done.requests = http.counters().requests.load(Relaxed);
            done.refused += http.counters().refused.load(Relaxed);
        }
        done
    }

    /// What is held now, in words, each with the most that may be where the server has a limit of its own.
    pub(super) fn holdings(&self) -> String {
        let of = |what: &str, taken: usize, max: Option<usize>| match max {
            Some(max) => format!("{taken} of {max} {what}"),
            None => format!("{taken} {what}"),
        };
        let open = usize::try_from(self.done().open).unwrap_or(usize::MAX);
        let max = self.0.connections_max.map(NonZeroUsize::get);
        let mut all = vec![of("connections", open, max)];
        for (what, level) in [
            ("bytes to be sent", self.0.budget.queued()),
            ("bytes of unfinished input", self.0.budget.unfinished()),
        ] {
            all.push(of(what, level.taken, Some(level.max)));
        }
        let http = self.0.occupied().into_iter();
        all.extend(http.map(|it| of(it.what, it.taken, Some(it.max))));
        all.join(", ")
    }

    /// Every number that is not zero, under the name that it has at `/metrics`.
    pub(super) fn counted(&self) -> String {
        self.0.told_in_short().join(", ")
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

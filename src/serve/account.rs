//! What the server has done and what it holds, over all workers and the HTTP side: gathered when somebody asks.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::http::Sender;
use crate::memory::Budget;
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

    /// What is held now, in words, each with the most that may be where the server has a limit of its own.
    pub(super) fn holdings(&self) -> String {
        let of = |what: &str, taken: usize, max: Option<usize>| match max {
            Some(max) => format!("{taken} of {max} {what}"),
            None => format!("{taken} {what}"),
        };
        let open = usize::try_from(self.done().open).unwrap_or(usize::MAX);
        let max = self.connections_max.map(NonZeroUsize::get);
        let mut all = vec![of("connections", open, max)];
        for (what, level) in [
            ("bytes to be sent", self.budget.queued()),
            ("bytes of unfinished input", self.budget.unfinished()),
        ] {
            all.push(of(what, level.taken, Some(level.max)));
        }
        let http = self.http.iter().flat_map(Sender::occupied);
        all.extend(http.map(|it| of(it.what, it.taken, Some(it.max))));
        all.join(", ")
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

//! `/connections`: the first of all connections, asked of the workers.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, timeout_at};

use super::sources::Sources;
use crate::engine::{Order, Seen, Survey};
use crate::protocol::tally::{Labels, Stage};

/// How many are told where nobody says how many, and at most.
const TOP: usize = 20;
const TOP_MAX: usize = 100;

/// How long workers are waited for, and whoever asks them.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

const WRONG: &str = "Ask for ?top=N&by=kept, slow or age, with N from 1 to 100.\n";

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    order: Order,
    top: usize,
}

/// What is told.
#[derive(Debug, Serialize)]
pub(super) struct Connections {
    /// Workers that did not answer in time: their connections are missing.
    silent_workers: usize,
    connections: Vec<Shown>,
}

/// A connection, as it is told.
#[derive(Debug, Serialize)]
struct Shown {
    connection: String,
    peer: Option<String>,
    worker: usize,
    state: &'static str,
    kept_bytes: usize,
    queued_bytes: usize,
    received_bytes: u64,
    behind: bool,
    /// How long it was not seen to make progress, if something waits to be sent.
    stalled_seconds: Option<f64>,
}

impl Asked {
    /// Reads a query.
    pub(super) fn read(query: &str) -> Result<Asked, &'static str> {
        let mut asked = Asked {
            order: Order::Kept,
            top: TOP,
        };
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').unwrap_or((part, "")) {
                ("top", number) => {
                    let number = number.parse().ok();
                    let number = number.filter(|number| (1..=TOP_MAX).contains(number));
                    asked.top = number.ok_or(WRONG)?;
                }
                ("by", "kept") => asked.order = Order::Kept,
                ("by", "slow") => asked.order = Order::Slow,
                ("by", "age") => asked.order = Order::Age,
                _ => return Err(WRONG),
            }
        }
        Ok(asked)
    }

    /// Asks the workers, and waits for their answers. Given up, the workers do so too.
    pub(super) async fn of(self, sources: &Sources) -> Connections {
        let (answers, mut answered) = unbounded_channel();
        let survey = Survey {
            order: self.order,
            top: self.top,
            answers,
        };
        let mut silent_workers = sources.exchange.survey(&survey);
        // From now on the workers alone hold ends of the channel.
        drop(survey);
        let deadline = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        while silent_workers > 0 {
            // Too late, or those that are missing have ended.
            let Ok(Some(seen)) = timeout_at(deadline, answered.recv()).await else {
                break;
            };
            silent_workers -= 1;
            all.extend(seen);
        }
        let first = self.order.merge(all, self.top);
        Connections {
            silent_workers,
            connections: first.iter().map(show).collect(),
        }
    }
}

fn show(seen: &Seen) -> Shown {
    let Seen { name, peer, view } = seen;
    Shown {
        connection: name.to_string(),
        peer: peer.map(|it| it.to_string()),
        worker: name.worker,
        state: Stage::VALUES[view.stage.index()],
        kept_bytes: view.kept_bytes,
        queued_bytes: view.queued_bytes,
        received_bytes: view.received_bytes,
        behind: view.is_behind,
        stalled_seconds: view.stalls.map(|it| it.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_how_many_and_in_which_order() {
        let asked = |order, top| Ok(Asked { order, top });
        assert_eq!(Asked::read(""), asked(Order::Kept, 20));
        assert_eq!(Asked::read("top=1&by=slow"), asked(Order::Slow, 1));
        assert_eq!(Asked::read("by=age"), asked(Order::Age, 20));
        for wrong in ["top=0", "top=101", "top=-1", "top", "by=", "by=size", "x=1"] {
            assert!(Asked::read(wrong).is_err(), "{wrong}");
        }
    }
}

//! Who is connected: asked of a worker by a letter, and answered within some of its turns, each of which looks at a few
//! connections. So whoever asks makes nobody wait.

use std::cmp::Reverse;
use std::fmt;
use std::net::SocketAddr;

use tokio::sync::mpsc::UnboundedSender;

use crate::shard::{Shard, SlotId, View};

/// How many chunks of slots are looked at in a turn: a thousand connections.
const CHUNKS_MAX: usize = 16;

/// Who comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Who keeps most memory.
    Kept,
    /// Who is owed something and has made no progress for the longest time.
    Slow,
    /// Who came first.
    Age,
}

/// A question: the first so many connections in this order.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The order.
    pub order: Order,
    /// How many, at most.
    pub top: usize,
    /// Where each worker answers, once. Where nobody waits there any more, it looks no further.
    pub answers: UnboundedSender<Vec<Seen>>,
}

/// The name of a connection, which no other has had in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionName {
    /// The worker that serves it.
    pub worker: usize,
    /// Its number there.
    pub number: u32,
}

impl ConnectionName {
    /// Of a connection of that worker.
    pub(super) fn new(worker: usize, id: SlotId) -> Self {
        ConnectionName {
            worker,
            number: id.generation,
        }
    }
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.worker, self.number)
    }
}

/// A connection, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: ConnectionName,
    /// Its address, where the kernel still knows it.
    pub peer: Option<SocketAddr>,
    /// What was seen of it.
    pub view: View,
}

impl Order {
    /// Brings the first `top` of `all` to the front, and drops the others.
    fn keep<T>(self, all: &mut Vec<T>, top: usize, view: impl Fn(&T) -> &View) {
        all.sort_by_key(|it| {
            let view = view(it);
            let weight = match self {
                Order::Kept => view.kept_bytes as u128,
                Order::Slow => view.stalls.unwrap_or_default().as_nanos(),
                Order::Age => 0,
            };
            (Reverse(weight), view.id.generation)
        });
        all.truncate(top);
    }

    /// The first `top` of what several workers have answered.
    pub fn merge(self, mut all: Vec<Seen>, top: usize) -> Vec<Seen> {
        self.keep(&mut all, top, |seen| &seen.view);
        all
    }
}

/// A survey that is under way.
#[derive(Debug)]
pub(super) struct Surveying {
    survey: Survey,
    /// The chunk to go on with.
    next: usize,
    found: Vec<View>,
}

impl Surveying {
    /// One that begins.
    pub(super) fn new(survey: Survey) -> Self {
        Surveying {
            survey,
            next: 0,
            found: Vec::new(),
        }
    }

    /// Goes on for a turn. Whether more is to be done; else it has been answered, or nobody wants to know.
    pub(super) fn go_on<Io>(
        &mut self,
        worker: usize,
        shard: &Shard<Io>,
        peer: impl Fn(&Io) -> Option<SocketAddr>,
    ) -> bool {
        if self.survey.answers.is_closed() {
            return false;
        }
        let Survey { order, top, .. } = self.survey;
        let found = &mut self.found;
        let next = shard.survey(self.next, CHUNKS_MAX, |view| found.push(view));
        order.keep(found, top, |view| view);
        if let Some(next) = next {
            self.next = next;
            return true;
        }
        let seen = self.found.drain(..).map(|view| Seen {
            name: ConnectionName::new(worker, view.id),
            peer: shard.get(view.id).and_then(|it| peer(&it.io)),
            view,
        });
        // Whoever asked may have lost patience.
        let _ = self.survey.answers.send(seen.collect());
        false
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::memory::SlabPool;
    use crate::protocol::Policy;
    use crate::shard::{Admission, Entrance, Protocol, Settings};

    #[test]
    fn a_turn_looks_at_a_few_however_many_there_are() {
        const CONNECTIONS: u32 = 10_000;
        let settings = Settings {
            policy: Policy::default(),
            budget: SlabPool::budget(1 << 20, 1),
            admission: Arc::new(Admission::new(None)),
            tls: None,
        };
        let mut shard = Shard::new(settings, Arc::default());
        let entrance = Entrance {
            protocol: Protocol::Tcp,
            tls: false,
            number: 0,
        };
        let ids: Vec<_> = (0..CONNECTIONS)
            .map(|it| shard.open(it, entrance, None))
            .collect();
        // Whoever is gone is not seen, and whoever comes later came later.
        shard.release(ids[0], |_| {});
        shard.open(CONNECTIONS, entrance, None);
        let (answers, mut answered) = unbounded_channel();
        let order = Order::Age;
        let survey = Survey {
            order,
            top: 3,
            answers,
        };
        let mut surveying = Surveying::new(survey.clone());
        let mut turns = 1;
        let asked = Cell::new(0);
        let peer = |_: &u32| {
            asked.set(asked.get() + 1);
            None
        };
        while surveying.go_on(2, &shard, peer) {
            assert!(answered.try_recv().is_err());
            assert!(surveying.found.len() <= 3);
            turns += 1;
        }
        assert!(
            turns >= CONNECTIONS as usize / (CHUNKS_MAX * 64),
            "{turns} turns"
        );
        assert_eq!(
            asked.get(),
            3,
            "the kernel is asked of those that are told alone"
        );
        let seen = answered.try_recv().unwrap();
        let numbers: Vec<_> = seen.iter().map(|it| it.name.to_string()).collect();
        assert_eq!(numbers, ["2-2", "2-3", "2-4"]);
        assert_eq!(order.merge(seen, 1).len(), 1);
        let mut given_up = Surveying::new(survey);
        drop(answered);
        assert!(
            !given_up.go_on(2, &shard, |_| None),
            "nobody is looked at in vain"
        );
    }
}

//! The HTTP side, beside the workers: they bring it their ordinary requests, and it brings back who asks for a
//! WebSocket after all.

use std::io;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use super::inbox::{Event, Events};
use crate::engine::Exchange;
use crate::http::{self, Caller, Hooks, Sender, Side};
use crate::protocol::Policy;
use crate::shard::{Bytes, Carried, Entrance};

/// The HTTP side, if there is one.
pub(super) struct Http(Option<Side>);

/// Starts the HTTP side, if there are settings for one, and joins it and the workers of `exchange` together.
///
/// # Errors
/// Where there are no descriptors or threads left.
pub(super) fn join(
    exchange: Exchange,
    entrance: Entrance,
    policy: &Policy,
    settings: Option<http::Settings>,
    events: Events,
) -> io::Result<(Http, Arc<Exchange>)> {
    let Some(settings) = settings else {
        return Ok((Http(None), Arc::new(exchange)));
    };
    let workers: Arc<OnceLock<Arc<Exchange>>> = Arc::default();
    let known = workers.clone();
    let of_workers = policy.clone();
    let upgrade = move |caller: Caller| {
        let carried = Carried::fresh(entrance, &of_workers, caller.unread, caller.received);
        let mut carried = carried.over(caller.link, caller.unsent);
        carried.guest = caller.guest;
        if let Some(workers) = known.get() {
            workers.bring(caller.socket, carried);
        }
    };
    let hooks = Hooks {
        upgrade: Box::new(upgrade),
        panicked: Box::new(move || events.send(Event::HttpPanicked)),
    };
    let side = Side::start(settings, policy.clone(), hooks)?;
    let sender = side.sender();
    let exchange = Arc::new(exchange.with_http(move |socket, carried| {
        let Bytes {
            unread,
            unsent,
            received,
            link,
            guest,
        } = carried.into_bytes();
        sender.take(Caller {
            socket,
            unread,
            unsent,
            received,
            link,
            guest,
        });
    }));
    // Nobody has been brought before.
    let _ = workers.set(exchange.clone());
    Ok((Http(Some(side)), exchange))
}

impl Http {
    /// No HTTP side.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Http(None)
    }

    /// Says that the server goes down, to whoever asks, and does all else as ever.
    pub(super) fn announce_end(&self) {
        if let Some(side) = &self.0 {
            side.announce_end();
        }
    }

    /// Asks its thread to say that it is there. How many are asked.
    pub(super) fn call(&self, answers: &mpsc::Sender<usize>) -> usize {
        let asked = self.0.iter().filter(|side| side.call(answers.clone()));
        asked.count()
    }

    /// Keeps no connection any longer, and says that the server goes down.
    pub(super) fn drain(&self) {
        if let Some(side) = &self.0 {
            side.drain();
        }
    }

    /// Where connections are brought, and counted.
    pub(super) fn sender(&self) -> Option<Sender> {
        self.0.as_ref().map(Side::sender)
    }

    /// Ends it, once those that are left have their answer, after `patience` at the latest.
    pub(super) fn finish(self, patience: Duration) {
        if let Some(side) = self.0 {
            side.finish(patience);
        }
    }
}

//! Drives behaviours: what [`crate::behaviour`] decides is done here, to a socket and by a clock.
//!
//! | file | what it is |
//! |---|---|
//! | `drive` | one connection, from its head to its end |
//! | `rooms` | who hears whom |
//! | `listing` | what there is, and what it does over plain HTTP |

mod drive;
pub(super) mod listing;
mod rooms;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use crate::behaviour::table::PATH;
use crate::behaviour::{Ask, Behaviour, Request};
use crate::protocol::Moment;
use crate::protocol::handshake::{self, Answer, Refusal};

use super::Settings;
use super::connection::{Shared, end_with};
use super::head::{below, path};
use super::places::Places;
use super::wire::Wire;
use rooms::Rooms;

/// What the kernel takes for a peer and cannot send yet, in bytes.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;

/// What all of them share.
pub(super) struct Host {
    /// Their places; none: they are not to be had.
    pub(super) places: Option<Arc<Places>>,
    rooms: Arc<Rooms>,
    clock: Clock,
    /// Decides what is left to chance, together with how many there were before.
    chance: RandomState,
    opened: AtomicU64,
}

impl Host {
    pub(super) fn new(settings: &Settings) -> Host {
        Host {
            places: settings.behaviours.as_ref().map(|behaviours| {
                Arc::new(Places::new(
                    ["connections of behaviours", "bytes for behaviours"],
                    behaviours.connections_max,
                    settings.held_bytes_max,
                ))
            }),
            rooms: Arc::default(),
            clock: Clock::start(),
            chance: RandomState::new(),
            opened: AtomicU64::new(0),
        }
    }

    /// The places for the request whose head `unread` begins with, if it is one that may take long or be
    /// much work.
    pub(super) fn places_for(&self, unread: &[u8]) -> Option<&Arc<Places>> {
        let path = path(unread)?;
        // The list of them is neither.
        let is_behaviour = below(path, PATH).is_some_and(|rest| !rest.is_empty());
        let takes_much = path == "/sse" || below(path, "/http").is_some() || is_behaviour;
        self.places.as_ref().filter(|_| takes_much)
    }
}

/// Tells the time as whoever is pure knows it: since a start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    /// One that starts now.
    pub(super) fn start() -> Self {
        Clock(Instant::now())
    }

    pub(super) fn now(self) -> Moment {
        let nanoseconds = self.0.elapsed().as_nanos();
        Moment::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// When `moment` is; none if that is never.
    pub(super) fn instant(self, moment: Moment) -> Option<Instant> {
        let is_ever = moment != Moment::NEVER;
        let since = moment.since(Moment::from_nanos(0));
        self.0.checked_add(since).filter(|_| is_ever)
    }
}

/// Serves a connection whose unread bytes begin with an upgrade request for a path of behaviours, to its end. Its
/// errors are its own: whoever is gone cannot be told.
pub(super) async fn serve(wire: Wire, head_len: usize, ask: Ask, shared: &Shared) {
    let _ = try_to_serve(wire, head_len, ask, shared).await;
}

async fn try_to_serve(
    mut wire: Wire,
    head_len: usize,
    ask: Ask,
    shared: &Shared,
) -> io::Result<()> {
    let host = &shared.behaviours;
    let now = shared.policy.wall_clock.map(|clock| clock.0());
    let places = host.places.as_ref().filter(|places| wire.move_to(places));
    let head = wire.take(head_len);
    let Some(places) = places else {
        let response = Refusal::Unavailable.render(&head, now, wire.tls().is_some());
        return end_with(wire, &response, shared).await;
    };
    let Ok(Answer::Elsewhere(accepted)) = handshake::answer(&head, &shared.policy) else {
        // It was judged before, and said otherwise.
        let response = Refusal::Malformed.render(&head, now, wire.tls().is_some());
        return end_with(wire, &response, shared).await;
    };
    let tls = wire.tls();
    let request = Request {
        head: &head,
        accepted,
        peer: wire.peer(),
        tls: tls.as_ref(),
    };
    let seed = host.chance.hash_one(host.opened.fetch_add(1, Relaxed));
    let behaviour = Behaviour::open(ask, &request, &shared.policy, host.clock.now(), seed);
    let seat = match behaviour.room().map(|name| Rooms::enter(&host.rooms, name)) {
        Some(Err(full)) => {
            return end_with(wire, &full.refused().render(now), shared).await;
        }
        Some(Ok(seat)) => Some(seat),
        None => None,
    };
    drop(head);
    wire.keep_unsent_below(UNSENT_BYTES_MAX);
    drive::run(wire, behaviour, seat, shared, places).await
}

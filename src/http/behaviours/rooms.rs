//! Who hears whom: rooms, their members, and what each has not heard yet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::behaviour::{Message, Refused};

use super::super::places::{Held, Places};

/// Rooms at once.
const ROOMS_MAX: usize = 256;

/// Members of a room at once.
const MEMBERS_MAX: usize = 256;

/// How many messages a member may leave unheard.
const UNHEARD_MAX: usize = 64;

/// How many bytes they may have, unless it is one message. All members of a room keep the same messages, so this is
/// about what a room keeps.
const UNHEARD_BYTES_MAX: usize = 1024 * 1024;

/// All rooms that somebody is in.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    all: Mutex<HashMap<String, Room>>,
    /// How many have entered one: a member is known by it.
    entered: AtomicU64,
}

/// Who is in it.
type Room = HashMap<u64, Inbox>;

/// A message that somebody has not heard yet.
#[derive(Debug)]
pub(super) struct Unheard {
    pub(super) message: Message,
    /// Its bytes, which count as long as that is so.
    _held: Held,
}

/// What a member has not heard, as the room sees it.
#[derive(Debug)]
struct Inbox {
    unheard: mpsc::Sender<Arc<Unheard>>,
    bytes: Arc<AtomicUsize>,
}

impl Inbox {
    /// Whether there was room for `message`.
    fn put(&self, unheard: &Arc<Unheard>) -> bool {
        let (bytes, more) = (self.bytes.load(Relaxed), unheard.message.payload.len());
        let fits = bytes == 0 || bytes + more <= UNHEARD_BYTES_MAX;
        let is_put = fits && self.unheard.try_send(unheard.clone()).is_ok();
        if is_put {
            self.bytes.fetch_add(more, Relaxed);
        }
        is_put
    }
}

/// What there are too many of already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Rooms,
    Members,
}

impl Full {
    /// The response to whoever would have been one more.
    pub(super) fn refused(self) -> Refused {
        let text = match self {
            Full::Rooms => format!(
                "There are {ROOMS_MAX} rooms already. Join one of them, or try again later.\n"
            ),
            Full::Members => format!(
                "There are {MEMBERS_MAX} in this room already. Choose another, or try again later.\n"
            ),
        };
        Refused {
            status: 503,
            fields: vec![("Retry-After", "1".to_owned())],
            text,
        }
    }
}

impl Rooms {
    /// Takes a seat in the room `name`, which is opened if nobody is there.
    ///
    /// # Errors
    /// Where there are too many.
    pub(super) fn enter(rooms: &Arc<Rooms>, name: &str) -> Result<Seat, Full> {
        let mut all = rooms.lock();
        if !all.contains_key(name) && all.len() == ROOMS_MAX {
            return Err(Full::Rooms);
        }
        let room = all.entry(name.to_owned()).or_default();
        if room.len() == MEMBERS_MAX {
            return Err(Full::Members);
        }
        let (unheard, inbox) = mpsc::channel(UNHEARD_MAX);
        let bytes = Arc::<AtomicUsize>::default();
        let number = rooms.entered.fetch_add(1, Relaxed);
        let of_member = Inbox {
            unheard,
            bytes: bytes.clone(),
        };
        room.insert(number, of_member);
        Ok(Seat {
            rooms: rooms.clone(),
            name: name.to_owned(),
            number,
            inbox,
            bytes,
        })
    }

    /// Nobody waits with it in hand: a panic elsewhere has left it whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A member's seat in a room. Dropping it leaves the room, which ends with its last member.
#[derive(Debug)]
pub(super) struct Seat {
    rooms: Arc<Rooms>,
    name: String,
    number: u64,
    inbox: mpsc::Receiver<Arc<Unheard>>,
    bytes: Arc<AtomicUsize>,
}

impl Seat {
    /// Says `message` to everybody in the room, its own member included. Who has left too much unheard is told
    /// nothing any more; so is everybody where no more can be kept among `places`.
    pub(super) fn say(&self, message: Message, places: &Arc<Places>) {
        let mut held = Held::nothing(places);
        let may_be_kept = held.grow(message.payload.len());
        let unheard = Arc::new(Unheard {
            message,
            _held: held,
        });
        if let Some(room) = self.rooms.lock().get_mut(&self.name) {
            room.retain(|_, inbox| may_be_kept && inbox.put(&unheard));
        }
    }

    /// The next message of the room; none once some have been missed.
    pub(super) async fn hear(&mut self) -> Option<Arc<Unheard>> {
        let unheard = self.inbox.recv().await?;
        let bytes = unheard.message.payload.len();
        self.bytes.fetch_sub(bytes, Relaxed);
        Some(unheard)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        if let Entry::Occupied(mut room) = self.rooms.lock().entry(name) {
            room.get_mut().remove(&self.number);
            if room.get().is_empty() {
                room.remove();
            }
        }
    }
}

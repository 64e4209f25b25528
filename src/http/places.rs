//! How many connections there may be, how much they may bring, and what is said to those over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::net::SendFlags;
use tracing::warn;

use crate::log::{SharedLimit, now};
use crate::protocol::Policy;
use crate::protocol::handshake::Refusal;

use super::{Caller, Occupied};

/// The places, and how many are taken.
#[derive(Debug)]
pub(super) struct Places {
    /// What they are, and what is held for them, in words.
    names: [&'static str; 2],
    max: usize,
    present: AtomicUsize,
    held_bytes_max: usize,
    held_bytes: AtomicUsize,
    warnings: SharedLimit,
}

impl Places {
    pub(super) fn new(names: [&'static str; 2], max: usize, held_bytes_max: usize) -> Self {
        Places {
            names,
            max,
            present: AtomicUsize::new(0),
            held_bytes_max,
            held_bytes: AtomicUsize::new(0),
            warnings: SharedLimit::new(1),
        }
    }

    /// A place for a connection that brings so many bytes, if there is one.
    pub(super) fn enter(places: &Arc<Places>, unread_bytes: usize) -> Option<Place> {
        let place = add(&places.present, 1, places.max).then(|| Place {
            unread: Held::nothing(places),
            opening: Held::nothing(places),
        });
        let place = place.and_then(|mut place| place.unread.grow(unread_bytes).then_some(place));
        if place.is_none() && places.warnings.admits("places", now()) {
            warn!(
                "HTTP: connections are turned away; it serves {} at once, for which it holds {} bytes at most",
                places.max, places.held_bytes_max
            );
        }
        place
    }

    /// How many are taken, and how much is held.
    pub(super) fn occupied(&self) -> [Occupied; 2] {
        let [connections, bytes] = self.names;
        let of = |what, taken: &AtomicUsize, max| Occupied {
            what,
            taken: taken.load(Relaxed),
            max,
        };
        [
            of(connections, &self.present, self.max),
            of(bytes, &self.held_bytes, self.held_bytes_max),
        ]
    }

    /// Whether more than half of the places are taken. Then none is kept for a connection that wants
    /// nothing, or not yet: the other half is for those who can be answered at once, such as health checks.
    pub(super) fn are_scarce(&self) -> bool {
        self.present.load(Relaxed) > self.max / 2
    }
}

/// Adds `more` to `count`, where that makes no more than `max`.
fn add(count: &AtomicUsize, more: usize, max: usize) -> bool {
    let added = count.fetch_update(Relaxed, Relaxed, |now| {
        now.checked_add(more).filter(|sum| *sum <= max)
    });
    added.is_ok()
}

/// Bytes that are kept for a connection, a part of what is kept for all. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Held {
    places: Arc<Places>,
    bytes: usize,
}

impl Held {
    /// No bytes yet.
    pub(super) fn nothing(places: &Arc<Places>) -> Held {
        Held {
            places: places.clone(),
            bytes: 0,
        }
    }

    /// Of whose bytes these are a part.
    pub(super) fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// Whether so many bytes more may be kept; from then on they count.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let places = &self.places;
        let may = add(&places.held_bytes, more, places.held_bytes_max);
        self.bytes += if may { more } else { 0 };
        may
    }

    /// Whether so many bytes may be kept in all; where they may not, it is as many as before.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes {
            return self.grow(bytes - self.bytes);
        }
        let fewer = self.bytes - bytes;
        self.bytes = bytes;
        self.places.held_bytes.fetch_sub(fewer, Relaxed);
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A connection's place. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    unread: Held,
    /// What a link keeps of what is not whole, or not read.
    opening: Held,
}

impl Place {
    /// What the connection brought is used up, and its memory given back.
    pub(super) fn unread_is_used(&mut self) {
        self.unread.set(0);
    }

    /// Whether its link may keep so many bytes; from then on they count.
    pub(super) fn holds(&mut self, bytes: usize) -> bool {
        bytes == self.opening.bytes || self.opening.set(bytes)
    }

    /// Goes over to one of those places, taking along so many bytes; whether there was one.
    pub(super) fn move_to(&mut self, places: &Arc<Places>) -> bool {
        if Arc::ptr_eq(places, &self.unread.places) {
            return true;
        }
        let moved = Places::enter(places, self.unread.bytes);
        let opening = self.opening.bytes;
        let moved = moved.and_then(|mut place| place.opening.grow(opening).then_some(place));
        let has_moved = moved.is_some();
        if let Some(place) = moved {
            *self = place;
        }
        has_moved
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unread.places.present.fetch_sub(1, Relaxed);
    }
}

/// Tells `caller` that there is no place, as far as its socket takes it at once.
pub(super) fn turn_away(caller: Caller, policy: &Policy) {
    let now = policy.wall_clock.map(|clock| clock.0());
    let mut response = Refusal::Unavailable.render(&caller.unread, now, caller.link.is_some());
    if let Some(mut link) = caller.link {
        let mut sealed = caller.unsent;
        link.seal_to(&response, &mut sealed);
        link.finish(&mut sealed);
        response = sealed;
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // Who is gone need not be told.
    let _ = rustix::net::send(&caller.socket, &response, flags);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_bytes_are_bounded_and_come_back() {
        let places = Arc::new(Places::new(["", ""], 2, 10));
        let mut first = Places::enter(&places, 10).unwrap();
        assert!(Places::enter(&places, 1).is_none());
        first.unread_is_used();
        assert!(!places.are_scarce());
        let second = Places::enter(&places, 10).unwrap();
        assert!(places.are_scarce());
        assert!(Places::enter(&places, 0).is_none());
        drop((first, second));
        let mut third = Places::enter(&places, 10).unwrap();
        assert!(!places.are_scarce());
        let others = Arc::new(Places::new(["", ""], 1, 10));
        assert!(third.move_to(&others));
        assert_eq!(places.present.load(Relaxed), 0);
        assert_eq!(places.held_bytes.load(Relaxed), 0);
        let mut fourth = Places::enter(&places, 0).unwrap();
        assert!(!fourth.move_to(&others));
        assert_eq!(places.present.load(Relaxed), 1);
    }
}

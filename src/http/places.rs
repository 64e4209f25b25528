//! How many connections there may be, how much they may bring, and what is said to those over it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::SendFlags;
use tracing::warn;

use crate::protocol::Policy;
use crate::protocol::handshake::Refusal;

use super::{Caller, Settings};

/// A shortage of places is reported this often.
const WARNINGS_APART: Duration = Duration::from_secs(60);

/// The places, and how many are taken.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    present: AtomicUsize,
    unread_bytes_max: usize,
    unread_bytes: AtomicUsize,
    /// When a shortage was last reported.
    warned: Mutex<Option<Instant>>,
}

impl Places {
    pub(super) fn new(settings: &Settings) -> Self {
        Places {
            max: settings.connections_max,
            present: AtomicUsize::new(0),
            unread_bytes_max: settings.unread_bytes_max,
            unread_bytes: AtomicUsize::new(0),
            warned: Mutex::new(None),
        }
    }

    /// A place for a connection that brings so many bytes, if there is one.
    pub(super) fn enter(places: &Arc<Places>, unread_bytes: usize) -> Option<Place> {
        let add = |count: &AtomicUsize, more: usize, max: usize| {
            let added = count.fetch_update(Relaxed, Relaxed, |now| {
                now.checked_add(more).filter(|sum| *sum <= max)
            });
            added.is_ok()
        };
        let place = add(&places.present, 1, places.max).then(|| Place {
            places: places.clone(),
            unread_bytes: 0,
        });
        let place = place.and_then(|mut place| {
            add(&places.unread_bytes, unread_bytes, places.unread_bytes_max).then(|| {
                place.unread_bytes = unread_bytes;
                place
            })
        });
        if place.is_none() && places.is_worth_a_warning() {
            warn!(
                "HTTP: connections are turned away; it serves {} at once, which brought {} bytes at most",
                places.max, places.unread_bytes_max
            );
        }
        place
    }

    /// Whether more than half of the places are taken. Then none is kept for a connection that wants
    /// nothing, or not yet: the other half is for those who can be answered at once, such as health checks.
    pub(super) fn are_scarce(&self) -> bool {
        self.present.load(Relaxed) > self.max / 2
    }

    fn is_worth_a_warning(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = warned.is_none_or(|last| last.elapsed() >= WARNINGS_APART);
        if is_due {
            *warned = Some(Instant::now());
        }
        is_due
    }
}

/// A connection's place. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    unread_bytes: usize,
}

impl Place {
    /// What the connection brought is used up, and its memory given back.
    pub(super) fn unread_is_used(&mut self) {
        let bytes = std::mem::take(&mut self.unread_bytes);
        self.places.unread_bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unread_is_used();
        self.places.present.fetch_sub(1, Relaxed);
    }
}

/// Tells `caller` that there is no place, as far as its socket takes it at once.
pub(super) fn turn_away(caller: &Caller, policy: &Policy) {
    let now = policy.wall_clock.map(|clock| clock.0());
    let response = Refusal::Unavailable.render(&caller.unread, now);
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    // Who is gone need not be told.
    let _ = rustix::net::send(&caller.socket, &response, flags);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_bytes_are_bounded_and_come_back() {
        let places = Arc::new(Places::new(&Settings {
            connections_max: 2,
            unread_bytes_max: 10,
            ..Settings::default()
        }));
        let mut first = Places::enter(&places, 10).unwrap();
        assert!(Places::enter(&places, 1).is_none());
        first.unread_is_used();
        assert!(!places.are_scarce());
        let second = Places::enter(&places, 10).unwrap();
        assert!(places.are_scarce());
        assert!(Places::enter(&places, 0).is_none());
        drop((first, second));
        let _third = Places::enter(&places, 10).unwrap();
        assert!(!places.are_scarce());
    }
}

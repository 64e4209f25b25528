//! The limit on connections, over all shards.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts connections against a limit. It is asked when a connection comes and, by one that is over the limit, when
/// something comes from it: never for a message.
#[derive(Debug)]
pub struct Admission {
    present: AtomicUsize,
    max: usize,
}

impl Admission {
    /// Admits up to `max` connections at a time; none: any number.
    pub fn new(max: Option<NonZeroUsize>) -> Self {
        Admission {
            present: AtomicUsize::new(0),
            max: max.map_or(usize::MAX, NonZeroUsize::get),
        }
    }

    /// A place, if there is one.
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        let admitted = self.present.fetch_update(Relaxed, Relaxed, |present| {
            (present < self.max).then(|| present + 1)
        });
        admitted.ok().map(|_| Permit(self.clone()))
    }

    /// A place, even where there is none left: for a connection that has one already, elsewhere.
    pub fn make_room(self: &Arc<Self>) -> Permit {
        self.present.fetch_add(1, Relaxed);
        Permit(self.clone())
    }

    /// How many places are taken.
    pub fn present(&self) -> usize {
        self.present.load(Relaxed)
    }

    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        self.max < usize::MAX
    }

    /// Whether there is a place now.
    pub fn has_room(&self) -> bool {
        self.present() < self.max
    }
}

/// A connection's place. It goes where the connection goes, and gives itself back.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_house_admits_again_when_someone_has_left() {
        let admission = Arc::new(Admission::new(NonZeroUsize::new(2)));
        let (one, other) = (admission.enter(), admission.enter());
        assert!(one.is_some() && other.is_some());
        assert!(admission.enter().is_none());
        drop(one);
        assert!(admission.enter().is_some(), "and gives its place back");
        assert!(admission.has_room());
    }
}

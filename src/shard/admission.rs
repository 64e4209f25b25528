//! The limit on connections, over all shards.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts connections against a limit. It is asked once per connection, never on the hot path.
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

    /// Whether there is a place, which is then taken.
    pub fn enter(&self) -> bool {
        let admitted = self.present.fetch_update(Relaxed, Relaxed, |present| {
            (present < self.max).then(|| present + 1)
        });
        admitted.is_ok()
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.present.fetch_sub(1, Relaxed);
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
        self.present.load(Relaxed) < self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_house_admits_again_when_someone_has_left() {
        let admission = Admission::new(NonZeroUsize::new(2));
        assert!(admission.enter() && admission.enter());
        assert!(!admission.enter());
        admission.leave();
        assert!(admission.enter());
        assert!(!admission.has_room());
    }
}

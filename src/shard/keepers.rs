//! Who keeps most, where what waits for peers is more than may be kept.
//!
//! A heap, looked at lazily: what a connection keeps changes with every send, but it is entered again only
//! when that has doubled, and an entry that has become too large is put back as what it is when it comes to
//! the top. So one that keeps at least half of the most is found without asking all.

use std::collections::BinaryHeap;

use super::slots::SlotId;

/// Entries below which a sweep is not worth while.
const SWEEP_ENTRIES_MIN: usize = 1024;

/// Connections and what they kept when they were entered, in bytes.
#[derive(Debug, Default)]
pub(super) struct Keepers {
    heap: BinaryHeap<(u32, SlotId)>,
}

impl Keepers {
    /// Enters a connection that keeps `bytes`, unless it is here with at least half of that. `ranked` is what
    /// it was last entered with: an entry with another number does not count.
    pub(super) fn enter(&mut self, id: SlotId, bytes: usize, ranked: &mut u32) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes / 2 > *ranked || (*ranked == 0 && bytes > 0) {
            *ranked = bytes;
            self.heap.push((bytes, id));
        }
    }

    /// Takes out the entry with the most. It may be from earlier, or of a connection that is gone.
    pub(super) fn pop(&mut self) -> Option<(u32, SlotId)> {
        self.heap.pop()
    }

    /// Drops the entries for which `counts` is false, if there are many more than `live` connections.
    pub(super) fn sweep(&mut self, live: usize, counts: impl Fn(u32, SlotId) -> bool) {
        if self.heap.len() > SWEEP_ENTRIES_MIN + 4 * live {
            self.heap.retain(|(entered, id)| counts(*entered, *id));
            self.heap.shrink_to(SWEEP_ENTRIES_MIN + 4 * live);
        }
    }
}

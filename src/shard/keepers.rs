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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_top_keeps_at_least_half_of_the_most(
            changes in proptest::collection::vec((0..8_u32, 0..1_000_000_usize), 1..200),
        ) {
            let mut keepers = Keepers::default();
            let mut kept = [(0_usize, 0_u32); 8];
            for (index, bytes) in changes {
                let place = &mut kept[index as usize];
                place.0 = bytes;
                let id = SlotId { index, generation: 1 };
                keepers.enter(id, bytes, &mut place.1);
            }
            let most = kept.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0);
            while let Some((entered, id)) = keepers.pop() {
                let (bytes, ranked) = &mut kept[id.index as usize];
                if *ranked != entered {
                    continue;
                }
                *ranked = 0;
                if *bytes > 0 && *bytes >= entered as usize {
                    prop_assert!(*bytes >= most / 2, "{bytes} of {most}");
                    return Ok(());
                }
                keepers.enter(id, *bytes, ranked);
            }
            prop_assert_eq!(most, 0);
        }
    }
}

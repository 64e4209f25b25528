//! A small seeded generator, so that a recorded seed repeats an order and an interval.

/// SplitMix64.
pub struct Random {
    state: u64,
}

impl Random {
    /// Of a seed.
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// Puts `items` into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// A number below `bound`, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The bias of a remainder is beyond notice for a handful of items.
        (self.next() % bound as u64) as usize
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_repeats_its_order_and_every_order_comes() {
        let shuffled = |seed| {
            let mut items = [0, 1, 2, 3];
            Random::new(seed).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(7), shuffled(7));
        let orders: HashSet<_> = (0..2000).map(shuffled).collect();
        assert_eq!(orders.len(), 24);
    }
}

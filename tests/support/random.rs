//! Chance, the same for the same seed.

use std::ops::Range;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// SplitMix64: small, and good enough to be surprising.
pub(crate) struct Random {
    state: u64,
    /// What decides the coarse of the next words: a byte each, from the last on.
    guide: Vec<u8>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random::guided(seed, &[])
    }

    /// The first words begin with these bytes: a byte decides one of up to 256 choices, and so one that is changed
    /// changes one of them. What it decides no further, and all that follows, is the seed's.
    pub(crate) fn guided(seed: u64, guide: &[u8]) -> Self {
        Random {
            state: seed,
            guide: guide.iter().rev().copied().collect(),
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        match self.guide.pop() {
            Some(coarse) => word >> 8 | u64::from(coarse) << 56,
            None => word,
        }
    }

    /// A number below `end`, which must not be zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number of `range`, which must not be empty.
    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + self.below((range.end - range.start) as u64) as usize
    }

    /// True once in `count` times; never for zero.
    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        count > 0 && self.below(count) == 0
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// What a strategy makes of it.
    pub(crate) fn sample<S: Strategy>(&mut self, strategy: S) -> S::Value {
        let mut seed = [0; 32];
        for word in seed.chunks_mut(8) {
            word.copy_from_slice(&self.next().to_le_bytes());
        }
        let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(Config::default(), chance);
        let tree = strategy.new_tree(&mut runner);
        tree.expect("no strategy here filters much").current()
    }
}

//! Medians, spreads and paired ratios of a handful of rounds.
//!
//! With this few rounds the honest interval is the whole range, so a spread is the median with the
//! smallest and the largest value, not a standard deviation.

use serde::Serialize;
use std::collections::BTreeMap;

/// Fewer rounds than this settle nothing: with no difference at all, two rounds fall on the same side
/// of 1 every other time, six once in 32 times (the sign test).
const ROUNDS_TO_RESOLVE: usize = 6;

/// One value per round, by the number of the round.
pub(crate) type ByRound = BTreeMap<u32, f64>;

/// The middle of several values, with their whole range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// How many values there were.
    pub(crate) count: usize,
}

impl Spread {
    /// `None` when there is no finite value.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        };
        Some(Spread {
            median,
            min,
            max,
            count: sorted.len(),
        })
    }

    /// Whether a ratio with this spread says on which side of 1 it lies: all rounds on one side, and
    /// enough of them.
    pub(crate) fn is_resolved(&self) -> bool {
        (self.max < 1.0 || self.min > 1.0) && self.count >= ROUNDS_TO_RESOLVE
    }
}

/// The ratios `these / those` of the rounds that have both.
///
/// A ratio is taken inside a round, where both met the same machine in the same minute; noise that
/// slows a whole round cancels out. The ratio of two medians would keep it.
pub(crate) fn paired_ratio(these: &ByRound, those: &ByRound) -> Option<Spread> {
    let pairs = these.iter().filter_map(|(round, this)| {
        let that = those.get(round).filter(|that| **that > 0.0)?;
        Some(this / that)
    });
    Spread::of(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64]) -> ByRound {
        (1..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn median_of_odd_even_and_none() {
        let odd = Spread::of([9.0, 1.0, 5.0]).unwrap();
        assert_eq!(
            (odd.median, odd.min, odd.max, odd.count),
            (5.0, 1.0, 9.0, 3)
        );
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn values_that_are_not_numbers_are_left_out() {
        assert_eq!(Spread::of([f64::NAN, 2.0, f64::INFINITY]).unwrap().count, 1);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn pairing_cancels_what_slows_a_whole_round() {
        // The machine was three times slower in round 2; each server took half of Node's time.
        let ratio = paired_ratio(&rounds(&[5.0, 15.0, 5.0]), &rounds(&[10.0, 30.0, 10.0])).unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (0.5, 0.5, 0.5));
    }

    #[test]
    fn the_median_is_of_the_ratios_not_the_ratio_of_the_medians() {
        let ratio = paired_ratio(&rounds(&[1.0, 2.0, 9.0]), &rounds(&[4.0, 2.0, 3.0])).unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (1.0, 0.25, 3.0));
    }

    #[test]
    fn only_rounds_with_both_count() {
        let these = ByRound::from([(1, 1.0), (2, 8.0), (4, 3.0)]);
        let those = ByRound::from([(2, 4.0), (3, 5.0), (4, 0.0)]);
        let ratio = paired_ratio(&these, &those).unwrap();
        assert_eq!((ratio.median, ratio.count), (2.0, 1));
        assert_eq!(paired_ratio(&these, &ByRound::new()), None);
    }

    #[test]
    fn a_difference_needs_all_rounds_on_one_side_and_enough_of_them() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        assert!(spread(&[0.90, 0.95, 0.99, 0.97, 0.98, 0.99]).is_resolved());
        assert!(spread(&[1.01, 1.10, 1.20, 1.30, 1.05, 1.07, 1.02]).is_resolved());
        assert!(!spread(&[0.90, 0.95, 0.99, 0.97, 0.98]).is_resolved());
        assert!(!spread(&[0.90, 0.95, 0.99, 0.97, 0.98, 1.01]).is_resolved());
        assert!(!spread(&[1.0, 1.1, 1.1, 1.1, 1.1, 1.1]).is_resolved());
    }
}

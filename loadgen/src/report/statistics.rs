//! The middle of a few rounds, and ratios taken inside a round.
//!
//! With so few values the honest interval is the whole range: a spread is the median with the smallest
//! and the largest value. A ratio is settled by the sign test: with no difference at all, six rounds fall
//! on the same side of 1 once in 32 times, fewer more often.

use std::collections::BTreeMap;

/// Fewer rounds than this settle nothing, however well they agree.
const ROUNDS_TO_RESOLVE: usize = 6;

/// One value per round, by the number of the round.
pub(super) type ByRound = BTreeMap<u32, f64>;

/// The middle of several values, with their whole range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Values that there were.
    pub(super) count: usize,
}

impl Spread {
    /// `None` when there is no finite value.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => sorted[middle - 1].midpoint(sorted[middle]),
        };
        Some(Spread {
            median,
            min,
            max,
            count: sorted.len(),
        })
    }

    /// Whether a ratio with this spread lies on one side of 1 in every round, and the rounds are enough.
    pub(super) fn is_resolved(&self) -> bool {
        (self.max < 1.0 || self.min > 1.0) && self.count >= ROUNDS_TO_RESOLVE
    }

    /// Whether two spreads have no value in common.
    pub(super) fn is_apart_from(&self, other: &Spread) -> bool {
        self.max < other.min || self.min > other.max
    }
}

/// The ratios `these / those` of the rounds that have both: what slows a whole round cancels out.
pub(super) fn paired_ratio(these: &ByRound, those: &ByRound) -> Option<Spread> {
    Spread::of(these.iter().filter_map(|(round, this)| {
        let that = those.get(round).filter(|that| **that > 0.0)?;
        Some(this / that)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_what_is_finite() {
        let odd = Spread::of([9.0, f64::NAN, 1.0, 5.0, f64::INFINITY]).unwrap();
        assert_eq!(
            (odd.median, odd.min, odd.max, odd.count),
            (5.0, 1.0, 9.0, 3)
        );
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn ratios_are_taken_inside_a_round() {
        // Round 2 was three times slower for both; round 3 has only one of them.
        let these = ByRound::from([(1, 5.0), (2, 15.0), (3, 5.0)]);
        let those = ByRound::from([(1, 10.0), (2, 30.0), (4, 1.0)]);
        let ratio = paired_ratio(&these, &those).unwrap();
        assert_eq!(
            (ratio.median, ratio.min, ratio.max, ratio.count),
            (0.5, 0.5, 0.5, 2)
        );
        assert_eq!(paired_ratio(&these, &ByRound::from([(1, 0.0)])), None);
    }

    #[test]
    fn a_difference_needs_all_rounds_on_one_side_and_enough_of_them() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        assert!(spread(&[0.9, 0.95, 0.99, 0.97, 0.98, 0.99]).is_resolved());
        assert!(!spread(&[0.9, 0.95, 0.99, 0.97, 0.98]).is_resolved());
        assert!(!spread(&[0.9, 0.95, 0.99, 0.97, 0.98, 1.01]).is_resolved());
        assert!(spread(&[1.0, 2.0]).is_apart_from(&spread(&[2.5])));
        assert!(!spread(&[1.0, 2.0]).is_apart_from(&spread(&[2.0, 3.0])));
    }
}

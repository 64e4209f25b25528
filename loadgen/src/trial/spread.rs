//! The middle of a handful of rounds, with their whole range.
//!
//! With this few values the honest interval is the whole range, so a spread is the median with the
//! smallest and the largest value, not a standard deviation.

/// Fewer values than this on either side tell nothing, however far apart they are. What differs in nothing
/// has no value in common all the same: of one and one always, of three and three once in ten times, of four
/// and four once in 35.
const VALUES_TO_COMPARE: usize = 4;

/// The middle of several values, with their whole range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one, or between the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Values that there were.
    pub count: usize,
}

impl Spread {
    /// `None` when there is no finite value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
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

    /// Whether two spreads have no value in common, and values enough.
    pub fn is_apart_from(&self, other: &Spread) -> bool {
        self.count.min(other.count) >= VALUES_TO_COMPARE
            && (self.max < other.min || self.min > other.max)
    }
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
        assert_eq!(Spread::of([7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn spreads_are_apart_if_they_share_nothing_and_have_values_enough() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        let (low, high) = (spread(&[1.0, 1.1, 1.2, 2.0]), spread(&[2.1, 2.5, 2.6, 3.0]));
        assert!(low.is_apart_from(&high) && high.is_apart_from(&low));
        assert!(!low.is_apart_from(&spread(&[2.0, 2.5, 2.6, 3.0])));
        for few in [&[9.0][..], &[8.0, 9.0, 9.5]] {
            assert!(!low.is_apart_from(&spread(few)) && !spread(few).is_apart_from(&low));
        }
    }
}

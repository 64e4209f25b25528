//! The middle of a handful of rounds, with their whole range: of so few values it is shown whole. Whether two things
//! differ is for [`super::estimate`].

use statrs::statistics::{Data, Max, Median, Min};

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
        let finite = values.into_iter().filter(|value| value.is_finite());
        let values = Data::new(finite.collect::<Vec<_>>());
        (!values.is_empty()).then(|| Spread {
            median: values.median(),
            min: values.min(),
            max: values.max(),
            count: values.len(),
        })
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
}

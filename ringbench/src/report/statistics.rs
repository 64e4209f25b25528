//! Ratios taken inside a round.
//!
//! A ratio is settled by the two-sided sign test: without any difference each round
//! falls on either side of 1 as a coin does, and so few on one of them must then be rarer than 5 %.

use std::collections::BTreeMap;

use ringload::trial::spread::Spread;

/// How often what differs in nothing may be called different.
const SIGNIFICANCE: f64 = 0.05;

/// One value per round, by the number of the round.
pub(super) type ByRound = BTreeMap<u32, f64>;

/// A ratio, taken inside each round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) spread: Spread,
    /// Rounds that do not lie on the side of 1 that most do. One that is 1 itself is on neither.
    against: usize,
}

impl Ratio {
    fn of(ratios: &[f64]) -> Option<Ratio> {
        let spread = Spread::of(ratios.iter().copied())?;
        let side = |is_there: fn(&f64) -> bool| {
            let there = ratios.iter().filter(|ratio| ratio.is_finite());
            there.filter(|ratio| is_there(ratio)).count()
        };
        let most = side(|ratio| *ratio < 1.0).max(side(|ratio| *ratio > 1.0));
        Some(Ratio {
            spread,
            against: spread.count - most,
        })
    }

    /// Whether the rounds settle on which side of 1 it lies.
    pub(super) fn is_resolved(&self) -> bool {
        sign_test(self.spread.count, self.against) <= SIGNIFICANCE
    }
}

/// How often one side, whichever it is, comes up no more than `against` times when a coin is tossed `count`
/// times.
fn sign_test(count: usize, against: usize) -> f64 {
    let n = count as f64;
    // Logarithms, since the share of a single outcome may be too small to be told.
    let mut log_share = -n * 2f64.ln();
    let mut sum = 0.0;
    for k in 0..=against.min(count) {
        sum += log_share.exp();
        let k = k as f64;
        log_share += ((n - k) / (k + 1.0)).ln();
    }
    2.0 * sum
}

/// The ratios `these / those` of the rounds that have both: what slows a whole round cancels out.
pub(super) fn paired_ratio(these: &ByRound, those: &ByRound) -> Option<Ratio> {
    let ratios: Vec<f64> = these
        .iter()
        .filter_map(|(round, this)| {
            let that = those.get(round).filter(|that| **that > 0.0)?;
            Some(this / that)
        })
        .collect();
    Ratio::of(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_inside_a_round() {
        // Round 2 was three times slower for both; round 3 has only one of them.
        let these = ByRound::from([(1, 5.0), (2, 15.0), (3, 5.0)]);
        let those = ByRound::from([(1, 10.0), (2, 30.0), (4, 1.0)]);
        let ratio = paired_ratio(&these, &those).unwrap().spread;
        assert_eq!(
            (ratio.median, ratio.min, ratio.max, ratio.count),
            (0.5, 0.5, 0.5, 2)
        );
        assert_eq!(paired_ratio(&these, &ByRound::from([(1, 0.0)])), None);
    }

    #[test]
    fn as_many_rounds_may_disagree_as_the_sign_test_has_it() {
        // The tables of the two-sided test at 5 %: of so many rounds so many at most.
        for (count, most) in [
            (5usize, None),
            (6, Some(0)),
            (8, Some(0)),
            (9, Some(1)),
            (11, Some(1)),
            (12, Some(2)),
            (15, Some(3)),
            (20, Some(5)),
            (100, Some(39)),
        ] {
            let found = (0..=count / 2)
                .take_while(|&against| {
                    let ratios = |below: f64, above: f64| {
                        let side = |at: usize| if at < against { below } else { above };
                        let ratios: Vec<f64> = (0..count).map(side).collect();
                        Ratio::of(&ratios).unwrap().is_resolved()
                    };
                    // Whichever side it is, and what is the same on both sides speaks for neither.
                    let is_resolved = ratios(0.9, 1.1);
                    assert_eq!(ratios(1.1, 0.9), is_resolved);
                    assert_eq!(ratios(1.0, 0.9), is_resolved);
                    is_resolved
                })
                .last();
            assert_eq!(found, most, "{count}");
        }
        assert!((sign_test(6, 0) - 1.0 / 32.0).abs() < 1e-12);
        // Far more rounds than a share of 2^-n could be told of.
        assert!(sign_test(5000, 2500) > 1.0 && sign_test(5000, 2000) < 1e-9);
        assert!(!Ratio::of(&[1.0; 20]).unwrap().is_resolved());
    }
}

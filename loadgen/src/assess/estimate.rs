//! A ratio of two things, from paired rounds, with an interval: the one rule that says whether they differ.
//!
//! The ratio is taken inside each round, where both met the same machine in the same seconds. Its logarithm is what
//! is averaged, so that *twice* and *half* weigh the same and the mean is the geometric one. The interval is
//! Student's. Of several figures that are judged together each has a wider one (Bonferroni's correction), so that
//! all of them hold at once as often as one alone would.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::statistics::Statistics;

/// How often, in percent, all intervals that are judged together hold the truth.
const CONFIDENCE_PERCENT: f64 = 95.0;

/// Fewer rounds than this settle nothing, however well they agree.
pub const ROUNDS_TO_DECIDE: usize = 6;

/// What the rounds say about a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Estimate {
    /// Geometric mean of the rounds' ratios.
    pub ratio: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// Rounds that had a ratio.
    pub rounds: usize,
}

impl Estimate {
    /// The estimate from one ratio per round, one of `figures` that are judged together; `None` without any ratio
    /// that is finite and above 0.
    pub fn of(ratios: impl IntoIterator<Item = f64>, figures: usize) -> Option<Estimate> {
        let logs = ratios.into_iter().map(f64::ln);
        let logs: Vec<f64> = logs.filter(|log| log.is_finite()).collect();
        if logs.is_empty() {
            return None;
        }
        let count = logs.len() as f64;
        let mean = (&logs).mean();
        // One round has no spread, and too few settle nothing.
        let reach = StudentsT::new(0.0, 1.0, count - 1.0).map_or(0.0, |student| {
            let beyond = 1.0 - confidence_percent(figures) / 100.0;
            let error = (&logs).std_dev() / count.sqrt();
            student.inverse_cdf(1.0 - beyond / 2.0) * error
        });
        Some(Estimate {
            ratio: mean.exp(),
            low: (mean - reach).exp(),
            high: (mean + reach).exp(),
            rounds: logs.len(),
        })
    }

    /// Whether the rounds are enough to settle anything.
    pub(crate) fn is_of_enough_rounds(&self) -> bool {
        self.rounds >= ROUNDS_TO_DECIDE
    }

    /// Whether the ratio is on one side of 1 for certain, as far as an interval is.
    pub fn is_resolved(&self) -> bool {
        self.is_of_enough_rounds() && (self.low > 1.0 || self.high < 1.0)
    }
}

/// How often one interval of `figures` that are judged together holds the truth, in percent.
pub(crate) fn confidence_percent(figures: usize) -> f64 {
    100.0 - (100.0 - CONFIDENCE_PERCENT) / figures.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt as _;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;

    fn estimate(ratios: &[f64]) -> Estimate {
        Estimate::of(ratios.iter().copied(), 1).unwrap()
    }

    #[test]
    fn a_constant_ratio_is_a_point() {
        let found = estimate(&[1.25; 16]);
        for value in [found.ratio, found.low, found.high] {
            assert!((value - 1.25).abs() < 1e-12, "{value}");
        }
        assert!(found.rounds == 16 && found.is_resolved());
    }

    #[test]
    fn twice_and_half_cancel() {
        let found = estimate(&[2.0, 0.5, 2.0, 0.5]);
        assert!((found.ratio - 1.0).abs() < 1e-12);
        // Four logarithms of ±ln 2: their error is ln 2 / √3, and Student's quantile of three degrees 3.182.
        let expected = 3.182 * 2f64.ln() / 3f64.sqrt();
        assert!((found.high.ln() - expected).abs() < 0.001, "{found:?}");
        assert!((found.low.ln() + expected).abs() < 0.001, "{found:?}");
    }

    #[test]
    fn more_figures_have_wider_intervals() {
        let ratios = [1.01, 1.02, 1.03, 1.02, 1.01, 1.02];
        let width = |figures| {
            let found = Estimate::of(ratios, figures).unwrap();
            found.high - found.low
        };
        assert!(width(1) < width(4) && width(4) < width(100));
        assert_eq!(confidence_percent(4), 98.75);
    }

    /// Comparisons of `rounds` rounds whose two sides are `gain` apart: in how many any of four figures differs, of
    /// all. What slows a round slows all figures of it, and now and then one a lot.
    fn share_that_differs(rounds: usize, gain: f64) -> f64 {
        const COMPARISONS: usize = 2000;
        const FIGURES: usize = 4;
        let mut random = ChaCha8Rng::seed_from_u64(7);
        // Nearly normal: the sum of twelve uniform numbers, less six.
        let mut noise = || {
            let sum = (0..12)
                .map(|_| random.random_range(0..1 << 20))
                .sum::<usize>();
            sum as f64 / f64::from(1 << 20) - 6.0
        };
        let mut differ = || {
            let mut ratios = [const { Vec::new() }; FIGURES];
            for _ in 0..rounds {
                let of_the_round = 0.02 * noise();
                for ratios in &mut ratios {
                    let tail = if noise() > 1.9 { 4.0 } else { 1.0 };
                    let log: f64 = gain.ln() + of_the_round + 0.03 * tail * noise();
                    ratios.push(log.exp());
                }
            }
            let mut estimates = ratios
                .into_iter()
                .map(|ratios| Estimate::of(ratios, FIGURES));
            estimates.any(|estimate| estimate.is_some_and(|estimate| estimate.is_resolved()))
        };
        let differing = (0..COMPARISONS).filter(|_| differ()).count();
        differing as f64 / COMPARISONS as f64
    }

    #[test]
    fn what_is_the_same_differs_in_one_comparison_of_twenty() {
        for rounds in [ROUNDS_TO_DECIDE, 15] {
            // Known to half a per cent, of 2,000 comparisons; one interval each without correction would say 18 %.
            let share = share_that_differs(rounds, 1.0);
            assert!(share < 0.06, "{rounds} rounds: {share}");
        }
        // And what differs is found.
        assert!(share_that_differs(15, 1.1) > 0.95);
    }

    #[test]
    fn what_is_no_ratio_does_not_count_and_few_rounds_settle_nothing() {
        let found = estimate(&[f64::NAN, 0.0, f64::INFINITY, -1.0, 3.0]);
        assert_eq!((found.rounds, found.low.is_finite()), (1, true));
        assert_eq!(Estimate::of([0.0], 1), None);
        assert!(!estimate(&[2.0; ROUNDS_TO_DECIDE - 1]).is_resolved());
        assert!(estimate(&[2.0; ROUNDS_TO_DECIDE]).is_resolved());
    }
}

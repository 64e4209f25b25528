//! A ratio of two things, from paired rounds, with an interval.
//!
//! The ratio is taken inside each round, where both met the same machine in the same seconds. Its
//! logarithm is what is averaged, so that *twice* and *half* weigh the same and the mean is the geometric
//! one. The interval is the bootstrap's: the rounds drawn again and again with replacement, and the middle
//! 95 % of their means. Of few rounds that is too narrow, since their spread is itself drawn from them: it
//! is widened as Hesterberg proposes ("What Teachers Should Know About the Bootstrap", 2015), by Student's
//! quantile over the normal one and by the root of n/(n-1).

use serde::{Deserialize, Serialize};

use super::random::Random;

/// Draws per interval: its ends are then steady to a fiftieth of its width.
const RESAMPLES: usize = 20_000;

/// Share of the means that lies within the interval.
pub(crate) const CONFIDENCE_PERCENT: f64 = 95.0;

/// The normal quantile of that, two-sided.
const NORMAL_QUANTILE: f64 = 1.959_963_985;

/// Fewer rounds than this settle nothing, however well they agree.
pub(crate) const ROUNDS_TO_DECIDE: usize = 6;

/// What the rounds say about a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Estimate {
    /// Geometric mean of the rounds' ratios.
    pub(crate) ratio: f64,
    /// Lower end of its interval.
    pub(crate) low: f64,
    /// Upper end of its interval.
    pub(crate) high: f64,
    /// Rounds that had a ratio.
    pub(crate) rounds: usize,
}

impl Estimate {
    /// The estimate from one ratio per round; `None` without any that is finite and above 0.
    pub(crate) fn of(ratios: &[f64], random: &mut Random) -> Option<Estimate> {
        Estimate::with(ratios, random, RESAMPLES)
    }

    fn with(ratios: &[f64], random: &mut Random, resamples: usize) -> Option<Estimate> {
        let logs: Vec<f64> = ratios
            .iter()
            .map(|ratio| ratio.ln())
            .filter(|log| log.is_finite())
            .collect();
        if logs.is_empty() {
            return None;
        }
        let mut means: Vec<f64> = (0..resamples)
            .map(|_| mean((0..logs.len()).map(|_| logs[random.below(logs.len())])))
            .collect();
        means.sort_by(f64::total_cmp);
        let tail = (1.0 - CONFIDENCE_PERCENT / 100.0) / 2.0;
        let middle = mean(logs.iter().copied());
        let widened = |end: f64| middle + (end - middle) * widening(logs.len());
        Some(Estimate {
            ratio: middle.exp(),
            low: widened(quantile(&means, tail)).exp(),
            high: widened(quantile(&means, 1.0 - tail)).exp(),
            rounds: logs.len(),
        })
    }

    /// Whether the rounds are enough to settle anything.
    pub(crate) fn is_of_enough_rounds(&self) -> bool {
        self.rounds >= ROUNDS_TO_DECIDE
    }

    /// Whether the ratio is on one side of 1 for certain, as far as an interval is.
    pub(crate) fn is_resolved(&self) -> bool {
        self.is_of_enough_rounds() && (self.low > 1.0 || self.high < 1.0)
    }
}

/// By how much the interval of `rounds` means is too narrow.
fn widening(rounds: usize) -> f64 {
    if rounds < 2 {
        return 1.0;
    }
    let n = rounds as f64;
    student_quantile(n - 1.0) / NORMAL_QUANTILE * (n / (n - 1.0)).sqrt()
}

/// Student's 97.5 % quantile, by its Cornish-Fisher expansion around the normal one: right to a
/// thousandth from five degrees of freedom on.
fn student_quantile(freedom: f64) -> f64 {
    let z = NORMAL_QUANTILE;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    terms
        .into_iter()
        .rev()
        .fold(0.0, |sum, term| (sum + term) / freedom)
        + z
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The value below which `share` of `sorted` lies, between two neighbours in proportion.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = sorted[at.floor() as usize];
    let above = sorted[at.ceil() as usize];
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(ratios: &[f64]) -> Estimate {
        Estimate::of(ratios, &mut Random::new(1)).unwrap()
    }

    #[test]
    fn a_constant_ratio_is_a_point() {
        let found = estimate(&[1.25; 16]);
        for value in [found.ratio, found.low, found.high] {
            assert!((value - 1.25).abs() < 1e-12, "{value}");
        }
        assert_eq!(found.rounds, 16);
        assert!(found.is_resolved());
    }

    #[test]
    fn twice_and_half_cancel() {
        let found = estimate(&[2.0, 0.5, 2.0, 0.5]);
        assert!((found.ratio - 1.0).abs() < 1e-12);
        assert!((found.low.ln() + found.high.ln()).abs() < 1e-12);
        // The mean of four draws of ±ln 2 is at an end of its range once in sixteen, more than the
        // 2.5 % that are cut off: so the interval is that whole range, widened.
        assert!((found.high.ln() / 2f64.ln() - widening(4)).abs() < 1e-9);
    }

    #[test]
    fn students_quantiles_are_those_of_the_tables() {
        for (freedom, quantile) in [(5.0, 2.571), (9.0, 2.262), (14.0, 2.145), (100.0, 1.984)] {
            let found: f64 = student_quantile(freedom);
            assert!((found - quantile).abs() < 0.005, "{freedom}: {found}");
        }
    }

    #[test]
    fn the_interval_is_the_normal_one_where_there_are_many_rounds() {
        // 400 logarithms of ±0.1: the mean's standard error is 0.1 / 20, and 95 % is 1.96 of it.
        let ratios: Vec<f64> = (0..400)
            .map(|round| if round % 2 == 0 { 0.1f64 } else { -0.1 }.exp())
            .collect();
        let found = estimate(&ratios);
        assert!((found.high.ln() - 0.0098).abs() < 0.0006, "{found:?}");
        assert!((found.low.ln() + 0.0098).abs() < 0.0006, "{found:?}");
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        let mut random = Random::new(7);
        // Nearly normal: the sum of twelve uniform numbers, less six.
        let mut noise = || (0..12).map(|_| random.below(1 << 20)).sum::<usize>() as f64;
        let samples: Vec<Vec<f64>> = (0..1000)
            .map(|_| {
                let log = |sum: f64| 0.05 * (sum / f64::from(1 << 20) - 6.0);
                (0..15).map(|_| log(noise()).exp()).collect()
            })
            .collect();
        let mut random = Random::new(8);
        let holds = |ratios: &Vec<f64>| {
            let found = Estimate::with(ratios, &mut random, 800).unwrap();
            found.low <= 1.0 && 1.0 <= found.high
        };
        let share = samples.iter().map(holds).filter(|holds| *holds).count() as f64 / 1000.0;
        // Its own standard error is 0.7 %.
        assert!((0.93..=0.975).contains(&share), "{share}");
    }

    #[test]
    fn a_seed_repeats_its_interval() {
        let ratios = [1.01, 0.99, 1.02, 1.0, 0.98, 1.01, 9.0];
        assert_eq!(estimate(&ratios), estimate(&ratios));
        assert!(!estimate(&ratios).is_resolved());
    }

    #[test]
    fn what_is_no_ratio_does_not_count_and_few_rounds_settle_nothing() {
        let found = estimate(&[f64::NAN, 0.0, f64::INFINITY, -1.0, 3.0]);
        assert_eq!(found.rounds, 1);
        assert_eq!(Estimate::of(&[0.0], &mut Random::new(1)), None);
        assert!(!estimate(&[2.0; ROUNDS_TO_DECIDE - 1]).is_resolved());
        assert!(estimate(&[2.0; ROUNDS_TO_DECIDE]).is_resolved());
    }
}

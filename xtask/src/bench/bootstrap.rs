//! Whether two costs are equal within a margin, from paired rounds.
//!
//! The ratio is taken inside each round, where both met the same machine in the same seconds. Its
//! logarithm is what is averaged, so that *twice* and *half* weigh the same and the mean is the
//! geometric one. The interval is the bootstrap's: the rounds drawn again and again with
//! replacement, and the middle 95 % of their means (percentile method; with sixteen rounds it
//! covers the truth somewhat less often than it says, in about 92 of 100 comparisons).

use super::random::Random;
use serde::Serialize;

/// Draws per interval: its ends are then steady to a fiftieth of its width.
const RESAMPLES: usize = 20_000;

/// Share of the means that lies within the interval.
const CONFIDENCE: f64 = 0.95;

/// Fewer rounds than this settle nothing, however well they agree.
pub(crate) const ROUNDS_TO_DECIDE: usize = 15;

/// What the rounds say about a ratio of costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Estimate {
    /// Geometric mean of the rounds' ratios.
    pub(crate) ratio: f64,
    /// Lower end of its interval.
    pub(crate) low: f64,
    /// Upper end of its interval.
    pub(crate) high: f64,
    /// Median of the rounds' ratios, which no single round can bend.
    pub(crate) median: f64,
    pub(crate) rounds: usize,
}

/// Whether a ratio is 1 within a margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// The whole interval lies within the margin.
    Within,
    /// The whole interval lies outside.
    Outside,
    /// Half the interval is wider than half the margin, or the margin's edge lies in it, or the
    /// rounds are too few.
    Unresolved,
}

impl Estimate {
    /// The estimate from one ratio per round; `None` without any that is finite and above 0.
    pub(crate) fn of(ratios: &[f64], random: &mut Random) -> Option<Estimate> {
        let mut logs: Vec<f64> = ratios
            .iter()
            .map(|ratio| ratio.ln())
            .filter(|log| log.is_finite())
            .collect();
        if logs.is_empty() {
            return None;
        }
        logs.sort_by(f64::total_cmp);
        let mut means: Vec<f64> = (0..RESAMPLES)
            .map(|_| mean((0..logs.len()).map(|_| logs[random.below(logs.len())])))
            .collect();
        means.sort_by(f64::total_cmp);
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Some(Estimate {
            ratio: mean(logs.iter().copied()).exp(),
            low: quantile(&means, tail).exp(),
            high: quantile(&means, 1.0 - tail).exp(),
            median: quantile(&logs, 0.5).exp(),
            rounds: logs.len(),
        })
    }

    /// Whether the ratio is 1 within `margin`, a share such as 0.03: at most 1 + `margin`, and at
    /// least its reciprocal.
    pub(crate) fn verdict(&self, margin: f64) -> Verdict {
        let (cheapest, dearest) = (1.0 / (1.0 + margin), 1.0 + margin);
        let half_width = (self.high - self.low) / 2.0;
        if half_width > margin / 2.0 || self.rounds < ROUNDS_TO_DECIDE {
            Verdict::Unresolved
        } else if self.low >= cheapest && self.high <= dearest {
            Verdict::Within
        } else if self.low > dearest || self.high < cheapest {
            Verdict::Outside
        } else {
            Verdict::Unresolved
        }
    }
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

    fn interval(low: f64, high: f64) -> Estimate {
        Estimate {
            ratio: (low * high).sqrt(),
            low,
            high,
            median: 1.0,
            rounds: ROUNDS_TO_DECIDE,
        }
    }

    #[test]
    fn a_constant_ratio_is_a_point() {
        let Estimate {
            ratio,
            low,
            high,
            median,
            rounds,
        } = estimate(&[1.25; 16]);
        for value in [ratio, low, high, median] {
            assert!((value - 1.25).abs() < 1e-12, "{value}");
        }
        assert_eq!(rounds, 16);
    }

    #[test]
    fn twice_and_half_cancel() {
        let found = estimate(&[2.0, 0.5, 2.0, 0.5]);
        assert!((found.ratio - 1.0).abs() < 1e-12 && (found.median - 1.0).abs() < 1e-12);
        // The mean of four draws of ±ln 2 is at an end of its range once in sixteen, more than
        // the 2.5 % that are cut off: so the interval is that whole range.
        assert!((found.low - 0.5).abs() < 1e-12 && (found.high - 2.0).abs() < 1e-12);
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
    fn a_seed_repeats_its_interval_and_one_wild_round_moves_no_median() {
        let ratios = [
            1.01, 0.99, 1.02, 1.0, 0.98, 1.01, 1.0, 1.0, 0.99, 1.0, 1.01, 1.0, 1.0, 0.99, 9.0,
        ];
        assert_eq!(estimate(&ratios), estimate(&ratios));
        assert!((estimate(&ratios).median - 1.0).abs() < 1e-12);
        assert_eq!(estimate(&ratios).verdict(0.03), Verdict::Unresolved);
    }

    #[test]
    fn what_is_no_ratio_does_not_count() {
        assert_eq!(
            estimate(&[f64::NAN, 0.0, f64::INFINITY, -1.0, 3.0]).rounds,
            1
        );
        assert_eq!(Estimate::of(&[0.0], &mut Random::new(1)), None);
    }

    #[test]
    fn the_margin_decides_up_to_its_edges() {
        let margin = 0.03;
        let cases = [
            (1.005, 1.025, Verdict::Within),
            (1.01, 1.03, Verdict::Within),
            (1.0 / 1.03, 0.99, Verdict::Within),
            (1.01, 1.031, Verdict::Unresolved),
            (1.03, 1.05, Verdict::Unresolved),
            (1.031, 1.05, Verdict::Outside),
            (0.90, 0.92, Verdict::Outside),
            (0.96, 0.98, Verdict::Unresolved),
        ];
        for (low, high, verdict) in cases {
            assert_eq!(interval(low, high).verdict(margin), verdict, "{low} {high}");
        }
    }

    #[test]
    fn an_interval_wider_than_the_margin_or_too_few_rounds_decide_nothing() {
        assert_eq!(interval(0.98, 1.009).verdict(0.03), Verdict::Within);
        assert_eq!(interval(0.98, 1.011).verdict(0.03), Verdict::Unresolved);
        assert_eq!(interval(2.0, 2.1).verdict(0.03), Verdict::Unresolved);
        let few = Estimate {
            rounds: ROUNDS_TO_DECIDE - 1,
            ..interval(1.0, 1.0)
        };
        assert_eq!(few.verdict(0.03), Verdict::Unresolved);
    }
}

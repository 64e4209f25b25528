//! Which rate to try next. No clock, no socket: outcomes come in, rates go out.
//!
//! From the lowest rate on, each is twice the last, until one misses the objective; then the middle of
//! what is left, until the lowest that missed is close enough to the highest that met. Noise must not
//! decide: a rate counts as missed when two of at most three trials missed, so every miss is repeated;
//! and the knee must have met twice.

/// Most trials of a search: doubling twenty times, three trials each, would do.
const TRIALS_MAX: usize = 64;

/// Significant digits of a rate that is tried.
const DIGITS: f64 = 3.0;

/// Why a trial missed. The first of these is what several misses of a rate are put down to: one clear miss is enough
/// to blame the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// It was no slow step: something went wrong.
    Fault,
    /// As far as can be told, the server.
    Server,
    /// The generator could do no more.
    Generator,
    /// Others on the machine may have done it.
    Noise,
}

/// A search under way.
pub(crate) struct Search {
    /// Lowest rate, above 0.
    pub(crate) from: f64,
    /// Highest rate; infinite if there is none.
    pub(crate) to: f64,
    /// How far apart the highest that met and the lowest that missed may stay, as a share of the former.
    pub(crate) precision: f64,
    /// The rates tried, in order, and why they missed if they did.
    pub(crate) trials: Vec<(f64, Option<Cause>)>,
}

impl Search {
    /// The rate to try next; `None` when there is nothing left to try, or too much was tried.
    pub(crate) fn next(&self) -> Option<f64> {
        if self.trials.len() >= TRIALS_MAX {
            return None;
        }
        let in_doubt = |rate: &f64| self.met(*rate) == 0 && !self.is_missed(*rate);
        if let Some(rate) = self.rates().find(in_doubt) {
            return Some(rate);
        }
        let confirm = |rate| (self.met(rate) < 2).then_some(rate);
        match (self.highest_met(), self.lowest_missed()) {
            (None, None) => Some(self.from.min(self.to)),
            // Nothing below the lowest rate is tried.
            (None, Some(_)) => None,
            (Some(met), None) if met >= self.to => confirm(met),
            (Some(met), None) => Some((2.0 * met).min(self.to)),
            (Some(met), Some((missed, _))) if missed <= met * (1.0 + self.precision) => {
                confirm(met)
            }
            (Some(met), Some((missed, _))) => Some(between(met, missed)),
        }
    }

    /// Whether there is nothing left to try. Else what was found is not confirmed.
    pub(crate) fn is_over(&self) -> bool {
        self.next().is_none() && self.trials.len() < TRIALS_MAX
    }

    /// The highest rate that met and was not missed, so that it is good enough to go on from, below all that missed.
    pub(crate) fn highest_met(&self) -> Option<f64> {
        let below = self.lowest_missed().map_or(f64::INFINITY, |(rate, _)| rate);
        let is_met = |rate: &f64| self.met(*rate) >= 1 && !self.is_missed(*rate);
        let met = self.rates().filter(|rate| *rate < below && is_met(rate));
        met.reduce(f64::max)
    }

    /// The lowest rate that was missed, and what that is put down to.
    pub(crate) fn lowest_missed(&self) -> Option<(f64, Cause)> {
        let missed = self.rates().filter(|rate| self.is_missed(*rate));
        let lowest = missed.reduce(f64::min)?;
        Some((lowest, self.misses(lowest).min()?))
    }

    fn rates(&self) -> impl Iterator<Item = f64> {
        self.trials.iter().map(|(rate, _)| *rate)
    }

    /// How often `rate` met.
    fn met(&self, rate: f64) -> usize {
        let met = self.trials.iter().filter(|trial| **trial == (rate, None));
        met.count()
    }

    /// Why `rate` missed, each time that it did.
    fn misses(&self, rate: f64) -> impl Iterator<Item = Cause> {
        let trials = self.trials.iter().filter(move |trial| trial.0 == rate);
        trials.filter_map(|(_, missed)| *missed)
    }

    fn is_missed(&self, rate: f64) -> bool {
        self.misses(rate).count() >= 2
    }
}

/// The middle of the two, with few digits if such a number lies between them.
fn between(low: f64, high: f64) -> f64 {
    let middle = f64::midpoint(low, high);
    let step = 10f64.powf(middle.log10().floor() + 1.0 - DIGITS);
    let rounded = (middle / step).round() * step;
    // A rate below 100 has tenths: dividing and multiplying must not leave more.
    let rounded = (rounded * 1e6).round() / 1e6;
    match low < rounded && rounded < high {
        true => rounded,
        false => middle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Search = Search {
        from: 1_000.0,
        to: f64::INFINITY,
        precision: 0.05,
        trials: Vec::new(),
    };

    /// Searches with a pretended server; yields what was tried, in order, and what was found.
    fn search(
        mut search: Search,
        mut trial: impl FnMut(f64, usize) -> Option<Cause>,
    ) -> (Vec<f64>, Search) {
        let mut rates = Vec::new();
        while let Some(rate) = search.next() {
            rates.push(rate);
            search.trials.push((rate, trial(rate, rates.len())));
            assert!(rates.len() <= TRIALS_MAX);
        }
        (rates, search)
    }

    fn blamed(search: &Search) -> Option<Cause> {
        search.lowest_missed().map(|(_, cause)| cause)
    }

    fn capacity(most: f64) -> impl FnMut(f64, usize) -> Option<Cause> {
        move |rate, _| match rate <= most {
            true => None,
            false => Some(Cause::Server),
        }
    }

    #[test]
    fn the_knee_is_found_within_the_precision() {
        for most in [
            1_000.0,
            1_049.0,
            1_999.0,
            2_000.0,
            44_444.0,
            123_456.0,
            9_999_999.0,
        ] {
            let (rates, found) = search(RANGE, capacity(most));
            let best = found.highest_met().unwrap();
            assert!(best <= most && most < best * 1.051, "{most}: {best}");
            assert_eq!(
                (found.is_over(), blamed(&found)),
                (true, Some(Cause::Server))
            );
            assert!(rates.len() < 40, "{most}: {rates:?}");
            // Whatever missed was tried twice, and the best as well.
            for rate in &rates {
                let times = rates.iter().filter(|other| *other == rate).count();
                let expected = if *rate > most || *rate == best { 2 } else { 1 };
                assert_eq!(times, expected, "{most}: {rate} in {rates:?}");
            }
        }
    }

    #[test]
    fn rates_double_and_then_halve_what_is_left() {
        let (rates, _) = search(RANGE, capacity(5_000.0));
        assert_eq!(
            rates,
            [
                1_000.0, 2_000.0, 4_000.0, 8_000.0, 8_000.0, 6_000.0, 6_000.0, 5_000.0, 5_500.0,
                5_500.0, 5_250.0, 5_250.0, 5_000.0
            ]
        );
    }

    #[test]
    fn a_finer_precision_is_kept_too() {
        let range = Search {
            precision: 0.001,
            ..RANGE
        };
        let (_, found) = search(range, capacity(1_234.5));
        let best = found.highest_met().unwrap();
        assert!(best <= 1_234.5 && 1_234.5 < best * 1.002, "{best}");
    }

    #[test]
    fn the_range_ends_the_search() {
        let range = Search {
            to: 3_000.0,
            ..RANGE
        };
        let (rates, found) = search(range, capacity(1e9));
        assert_eq!(rates, [1_000.0, 2_000.0, 3_000.0, 3_000.0]);
        assert_eq!(found.highest_met(), Some(3_000.0));
        assert_eq!((found.is_over(), blamed(&found)), (true, None));
        let one = Search { to: 500.0, ..RANGE };
        assert_eq!(search(one, capacity(1e9)).0, [500.0, 500.0]);
        // Without an end, and with a server that meets everything, it ends all the same.
        let (rates, found) = search(RANGE, capacity(f64::INFINITY));
        assert_eq!((rates.len(), found.is_over()), (TRIALS_MAX, false));
    }

    #[test]
    fn no_rate_may_meet() {
        let (rates, found) = search(RANGE, capacity(900.0));
        assert_eq!(rates, [1_000.0, 1_000.0]);
        assert_eq!(found.highest_met(), None);
        assert_eq!(
            (found.is_over(), blamed(&found)),
            (true, Some(Cause::Server))
        );
    }

    #[test]
    fn a_single_miss_is_noise() {
        // Trial number 2 misses for no reason of the rate's.
        let mut server = capacity(5_000.0);
        let (rates, found) = search(RANGE, |rate, trial| match trial {
            2 => Some(Cause::Noise),
            _ => server(rate, trial),
        });
        assert_eq!(rates[..4], [1_000.0, 2_000.0, 2_000.0, 4_000.0]);
        assert_eq!(found.highest_met(), Some(5_000.0));
    }

    #[test]
    fn a_lucky_rate_is_found_out() {
        // The first trial above the capacity meets by luck.
        let mut lucky = Some(());
        let (rates, found) = search(RANGE, |rate, _| {
            match rate <= 5_000.0 || (rate > 5_900.0 && rate < 6_100.0 && lucky.take().is_some()) {
                true => None,
                false => Some(Cause::Server),
            }
        });
        let best = found.highest_met().unwrap();
        assert!(best <= 5_000.0 && best > 4_750.0, "{best} after {rates:?}");
    }

    #[test]
    fn whoever_stopped_it_is_named() {
        let stopped = |first, second| {
            let mut causes = [first, second].into_iter().cycle();
            let (_, found) = search(RANGE, |rate, _| match rate <= 1_000.0 {
                true => None,
                false => Some(causes.next().unwrap()),
            });
            assert!(found.is_over());
            blamed(&found).unwrap()
        };
        let (server, generator, noise) = (Cause::Server, Cause::Generator, Cause::Noise);
        assert_eq!(stopped(generator, generator), generator);
        assert_eq!(stopped(generator, server), server);
        assert_eq!(stopped(noise, generator), generator);
        assert_eq!(stopped(noise, noise), noise);
    }

    #[test]
    fn a_search_cut_short_knows_what_it_knows() {
        let mut search = RANGE;
        assert!(!search.is_over());
        search.trials.push((1_000.0, None));
        search.trials.push((2_000.0, Some(Cause::Server)));
        assert_eq!(
            (search.highest_met(), search.is_over()),
            (Some(1_000.0), false)
        );
    }

    #[test]
    fn any_outcomes_lead_to_an_end() {
        for seed in 0..2_000_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let (rates, found) = search(RANGE, |_, _| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                match state % 3 {
                    0 => Some(Cause::Server),
                    _ => None,
                }
            });
            assert!(
                rates
                    .iter()
                    .all(|rate| rate.is_finite() && *rate >= 1_000.0)
            );
            let below = |best| rates.contains(&best);
            assert!(
                found.highest_met().is_none_or(below),
                "{seed}: {:?}",
                found.trials
            );
        }
    }
}

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

/// What a trial at some rate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that was asked for held.
    Met,
    /// Something did not.
    Missed(Cause),
}

/// Why a trial missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// As far as can be told, the server.
    Server,
    /// The generator could do no more.
    Generator,
    /// Others on the machine may have done it.
    Noise,
}

/// Where to search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    /// Lowest rate, above 0.
    pub(crate) from: f64,
    /// Highest rate; infinite if there is none.
    pub(crate) to: f64,
    /// How far apart the highest that met and the lowest that missed may stay, as a share of the former.
    pub(crate) precision: f64,
}

/// What a search has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Finding {
    /// The highest rate that met.
    pub(crate) best: Option<f64>,
    /// What lies above it.
    pub(crate) above: Above,
}

/// What ended the search above the best rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Above {
    /// A rate that missed for this reason.
    Missed(Cause),
    /// Nothing: the best is the highest that was to be tried.
    Range,
    /// Not known: the search was cut short.
    Unknown,
}

/// A rate that was tried.
struct Tried {
    rate: f64,
    met: usize,
    missed: Vec<Cause>,
}

impl Tried {
    fn is_missed(&self) -> bool {
        self.missed.len() >= 2
    }

    /// Met at least once, and not missed: good enough to go on from.
    fn is_met(&self) -> bool {
        self.met >= 1 && !self.is_missed()
    }
}

/// A search under way.
pub(crate) struct Search {
    range: Range,
    tried: Vec<Tried>,
    trials: usize,
}

impl Search {
    /// A search that has not begun.
    pub(crate) fn new(range: Range) -> Search {
        Search {
            range,
            tried: Vec::new(),
            trials: 0,
        }
    }

    /// The rate to try next; `None` when the search is over.
    pub(crate) fn next(&self) -> Option<f64> {
        if self.trials >= TRIALS_MAX {
            return None;
        }
        let in_doubt = |tried: &&Tried| tried.met == 0 && !tried.is_missed();
        if let Some(tried) = self.tried.iter().find(in_doubt) {
            return Some(tried.rate);
        }
        let (met, missed) = (self.highest_met(), self.lowest_missed());
        let confirm = |met: &Tried| (met.met < 2).then_some(met.rate);
        match (met, missed) {
            (None, None) => Some(self.range.from.min(self.range.to)),
            // Nothing below the lowest rate is tried.
            (None, Some(_)) => None,
            (Some(met), None) if met.rate >= self.range.to => confirm(met),
            (Some(met), None) => Some((2.0 * met.rate).min(self.range.to)),
            (Some(met), Some(missed)) if missed.rate <= met.rate * (1.0 + self.range.precision) => {
                confirm(met)
            }
            (Some(met), Some(missed)) => Some(between(met.rate, missed.rate)),
        }
    }

    /// The trial at `rate` came to `outcome`.
    pub(crate) fn record(&mut self, rate: f64, outcome: Outcome) {
        self.trials += 1;
        let index = self.tried.iter().position(|tried| tried.rate == rate);
        let index = index.unwrap_or_else(|| {
            self.tried.push(Tried {
                rate,
                met: 0,
                missed: Vec::new(),
            });
            self.tried.len() - 1
        });
        match outcome {
            Outcome::Met => self.tried[index].met += 1,
            Outcome::Missed(cause) => self.tried[index].missed.push(cause),
        }
    }

    /// What is known by now.
    pub(crate) fn finding(&self) -> Finding {
        let is_over = self.next().is_none() && self.trials < TRIALS_MAX;
        let above = match self.lowest_missed() {
            _ if !is_over => Above::Unknown,
            Some(missed) => Above::Missed(worst(&missed.missed)),
            None => Above::Range,
        };
        Finding {
            best: self.highest_met().map(|tried| tried.rate),
            above,
        }
    }

    fn lowest_missed(&self) -> Option<&Tried> {
        let missed = self.tried.iter().filter(|tried| tried.is_missed());
        missed.min_by(|a, b| a.rate.total_cmp(&b.rate))
    }

    /// The highest rate that met, below all that missed.
    fn highest_met(&self) -> Option<&Tried> {
        let below = self
            .lowest_missed()
            .map_or(f64::INFINITY, |tried| tried.rate);
        let met = self
            .tried
            .iter()
            .filter(|tried| tried.is_met() && tried.rate < below);
        met.max_by(|a, b| a.rate.total_cmp(&b.rate))
    }
}

/// The cause that a rate's misses are put down to: one clear miss is enough to blame the server.
fn worst(causes: &[Cause]) -> Cause {
    let order = [Cause::Server, Cause::Generator, Cause::Noise];
    let found = order.into_iter().find(|cause| causes.contains(cause));
    found.unwrap_or(Cause::Server)
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

    const RANGE: Range = Range {
        from: 1_000.0,
        to: f64::INFINITY,
        precision: 0.05,
    };

    /// Searches with a pretended server; yields what was tried, in order, and what was found.
    fn search(range: Range, mut trial: impl FnMut(f64, usize) -> Outcome) -> (Vec<f64>, Finding) {
        let mut search = Search::new(range);
        let mut rates = Vec::new();
        while let Some(rate) = search.next() {
            rates.push(rate);
            search.record(rate, trial(rate, rates.len()));
            assert!(rates.len() <= TRIALS_MAX);
        }
        (rates, search.finding())
    }

    fn capacity(most: f64) -> impl FnMut(f64, usize) -> Outcome {
        move |rate, _| match rate <= most {
            true => Outcome::Met,
            false => Outcome::Missed(Cause::Server),
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
            let (rates, finding) = search(RANGE, capacity(most));
            let best = finding.best.unwrap();
            assert!(best <= most && most < best * 1.051, "{most}: {best}");
            assert_eq!(finding.above, Above::Missed(Cause::Server));
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
        let range = Range {
            precision: 0.001,
            ..RANGE
        };
        let (_, finding) = search(range, capacity(1_234.5));
        let best = finding.best.unwrap();
        assert!(best <= 1_234.5 && 1_234.5 < best * 1.002, "{best}");
    }

    #[test]
    fn the_range_ends_the_search() {
        let range = Range {
            to: 3_000.0,
            ..RANGE
        };
        let (rates, finding) = search(range, capacity(1e9));
        assert_eq!(rates, [1_000.0, 2_000.0, 3_000.0, 3_000.0]);
        assert_eq!((finding.best, finding.above), (Some(3_000.0), Above::Range));
        let one = Range { to: 500.0, ..RANGE };
        assert_eq!(search(one, capacity(1e9)).0, [500.0, 500.0]);
        // Without an end, and with a server that meets everything, it ends all the same.
        let (rates, finding) = search(RANGE, capacity(f64::INFINITY));
        assert_eq!((rates.len(), finding.above), (TRIALS_MAX, Above::Unknown));
    }

    #[test]
    fn no_rate_may_meet() {
        let (rates, finding) = search(RANGE, capacity(900.0));
        assert_eq!(rates, [1_000.0, 1_000.0]);
        assert_eq!(finding.best, None);
        assert_eq!(finding.above, Above::Missed(Cause::Server));
    }

    #[test]
    fn a_single_miss_is_noise() {
        // Trial number 2 misses for no reason of the rate's.
        let mut server = capacity(5_000.0);
        let (rates, finding) = search(RANGE, |rate, trial| match trial {
            2 => Outcome::Missed(Cause::Noise),
            _ => server(rate, trial),
        });
        assert_eq!(rates[..4], [1_000.0, 2_000.0, 2_000.0, 4_000.0]);
        assert_eq!(finding.best, Some(5_000.0));
    }

    #[test]
    fn a_lucky_rate_is_found_out() {
        // The first trial above the capacity meets by luck.
        let mut lucky = Some(());
        let (rates, finding) = search(RANGE, |rate, _| {
            match rate <= 5_000.0 || (rate > 5_900.0 && rate < 6_100.0 && lucky.take().is_some()) {
                true => Outcome::Met,
                false => Outcome::Missed(Cause::Server),
            }
        });
        let best = finding.best.unwrap();
        assert!(best <= 5_000.0 && best > 4_750.0, "{best} after {rates:?}");
    }

    #[test]
    fn whoever_stopped_it_is_named() {
        let stopped = |first, second| {
            let mut causes = [first, second].into_iter().cycle();
            let (_, finding) = search(RANGE, |rate, _| match rate <= 1_000.0 {
                true => Outcome::Met,
                false => Outcome::Missed(causes.next().unwrap()),
            });
            finding.above
        };
        let (server, generator, noise) = (Cause::Server, Cause::Generator, Cause::Noise);
        assert_eq!(stopped(generator, generator), Above::Missed(generator));
        assert_eq!(stopped(generator, server), Above::Missed(server));
        assert_eq!(stopped(noise, generator), Above::Missed(generator));
        assert_eq!(stopped(noise, noise), Above::Missed(noise));
    }

    #[test]
    fn a_search_cut_short_knows_what_it_knows() {
        let mut search = Search::new(RANGE);
        assert_eq!(search.finding().above, Above::Unknown);
        search.record(1_000.0, Outcome::Met);
        search.record(2_000.0, Outcome::Missed(Cause::Server));
        let finding = search.finding();
        assert_eq!(
            (finding.best, finding.above),
            (Some(1_000.0), Above::Unknown)
        );
    }

    #[test]
    fn any_outcomes_lead_to_an_end() {
        for seed in 0..2_000_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let (rates, finding) = search(RANGE, |_, _| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                match state % 3 {
                    0 => Outcome::Missed(Cause::Server),
                    _ => Outcome::Met,
                }
            });
            assert!(
                rates
                    .iter()
                    .all(|rate| rate.is_finite() && *rate >= 1_000.0)
            );
            let below = |best| rates.contains(&best);
            assert!(finding.best.is_none_or(below), "{seed}: {finding:?}");
        }
    }
}

//! What latencies must hold: `p99<1ms`, or several bounds with commas.

use std::fmt;

use hdrhistogram::Histogram;

use crate::assess::condition::{Condition, Side, Unit, quantile};
use crate::quantity::time;

/// Bounds that must all hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Objective {
    text: String,
    bounds: Vec<Bound>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    /// As written, such as `p99.9`.
    pub(crate) name: String,
    /// 0 to 1; 1 is the largest.
    pub(crate) quantile: f64,
    pub(crate) below_ns: u64,
}

impl Objective {
    /// Reads `p99<1ms` or `p50<200us,p99.9<5ms,max<1s`. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Objective, String> {
        let bounds = text.split(',').map(parse_bound);
        Ok(Objective {
            text: text.to_owned(),
            bounds: bounds.collect::<Result<_, _>>()?,
        })
    }

    /// The bounds that these latencies, in nanoseconds, break, each with what was seen instead; nothing if all
    /// holds. Without any latency nothing holds.
    pub(crate) fn broken(&self, latency: &Histogram<u64>) -> Vec<(&Bound, String)> {
        if let Some(bound) = self.bounds.first().filter(|_| latency.is_empty()) {
            return vec![(bound, "no message was answered".to_owned())];
        }
        self.bounds
            .iter()
            .filter_map(|bound| {
                let value = latency.value_at_quantile(bound.quantile);
                let is_broken = value >= bound.below_ns;
                is_broken.then(|| (bound, format!("{} is {}", bound.name, time(value as f64))))
            })
            .collect()
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_bound(text: &str) -> Result<Bound, String> {
    let wrong = || {
        format!(
            "{text:?} is no objective; write p50<200us, p99<1ms, p99.9<5ms or max<1s, several with commas"
        )
    };
    let condition = Condition::parse(text).map_err(|_| wrong())?;
    let is_time_below = condition.side == Side::Below && condition.unit == Unit::Time;
    let limits = 1.0..=u64::MAX as f64 / 2.0;
    if !is_time_below || !limits.contains(&condition.bound) {
        return Err(wrong());
    }
    let name = condition.name;
    let quantile = quantile(&name).ok_or_else(|| {
        format!("{name:?} is no percentile; write one such as p50 or p99.9, or max")
    })?;
    Ok(Bound {
        name,
        quantile,
        below_ns: condition.bound as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;

    fn ns(text: &str) -> u64 {
        let objective = Objective::parse(text).unwrap();
        let bounds = objective.bounds.iter();
        bounds.map(|bound| bound.below_ns).min().unwrap()
    }

    #[test]
    fn objectives_are_read_with_their_units() {
        assert_eq!(ns("p99<1ms"), 1_000_000);
        assert_eq!(ns("p99.9<500us"), 500_000);
        assert_eq!(ns("p50 < 20µs"), 20_000);
        assert_eq!(ns("p50<20μs"), 20_000);
        assert_eq!(ns("max<1.5s"), 1_500_000_000);
        assert_eq!(ns("p99<1ms, p50<200 us ,max<1s"), 200_000);
        let objective = Objective::parse("p99<1ms,max<2s").unwrap();
        assert_eq!(objective.to_string(), "p99<1ms,max<2s");
    }

    #[test]
    fn what_is_no_objective_is_refused_with_an_example() {
        for wrong in [
            "",
            ",",
            "p99",
            "p99<",
            "<1ms",
            "p99<1",
            "p99>1ms",
            "p99<=1ms",
            "p99<-1ms",
            "p99<0ms",
            "p0<1ms",
            "p100<1ms",
            "p-1<1ms",
            "pinf<1s",
            "pNaN<1s",
            "mean<1ms",
            "p99<1h",
            "p99<infs",
            "p99<1e99s",
            "p99<NaNms",
            "p99<1ms,",
            "p99<1msms",
            "p+5<1ms",
        ] {
            let error = Objective::parse(wrong).expect_err(wrong);
            assert!(error.contains("p50"), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn every_bound_must_hold() {
        let mut latency = latency_histogram();
        // 100 values: 1 to 100 µs.
        (1..=100).for_each(|us| latency.saturating_record(us * 1000));
        let broken = |text: &str| -> Vec<String> {
            let objective = Objective::parse(text).unwrap();
            let broken = objective.broken(&latency).into_iter();
            broken.map(|(_, seen)| seen).collect()
        };
        assert!(broken("p99<101us,max<1ms").is_empty());
        assert_eq!(broken("p50<10us,p90<1ms").len(), 1);
        let both = broken("p50<10us,max<50us");
        assert_eq!(both.len(), 2);
        assert!(both[0].starts_with("p50 is 50.0"), "{both:?}");
        assert!(both[1].starts_with("max is 100."), "{both:?}");
        // Below means below.
        let p50 = latency.value_at_quantile(0.5);
        assert_eq!(broken(&format!("p50<{p50}ns")).len(), 1);
        assert!(broken(&format!("p50<{}ns", p50 + 1)).is_empty());
        let empty = Objective::parse("max<1h").or(Objective::parse("max<1s"));
        assert_eq!(empty.unwrap().broken(&latency_histogram()).len(), 1);
    }
}

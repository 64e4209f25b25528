//! `ringload capacity`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::assess::objective::Objective;
use crate::quantity::parse_duration;
use crate::run::options::{
    LoadArgs, LoopArgs, ReportOptions, RunOptions, TimingArgs, TrafficArgs, not_zero,
};
use crate::run::place::PlaceArgs;
use crate::schedule::{Arrivals, Rates, parse_rate};
use crate::usage::{UsageError, refuse_if};

/// Fewest messages of a step: with less, a percentile is a handful of them.
const MESSAGES_MIN: f64 = 100.0;

/// `ringload capacity`.
#[derive(Args, Clone, Debug)]
pub struct CapacityOptions {
    #[command(flatten)]
    pub(crate) load: LoadArgs,

    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,

    /// What a rate must meet, such as p99<1ms or p99.9<500us; several with commas
    #[arg(long, default_value = "p99<1ms", value_name = "OBJECTIVE", value_parser = Objective::parse)]
    pub(crate) slo: Objective,

    /// Rate to begin with, in messages per second over all connections; none below it is tried
    #[arg(long, default_value = "1k", value_name = "RATE", value_parser = parse_rate)]
    pub(crate) from: f64,

    /// Highest rate to try [default: whatever the server and the generator can do]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) to: Option<f64>,

    /// How close the lowest rate that misses must come to the highest that meets
    #[arg(long, default_value = "5%", value_name = "PERCENT", value_parser = parse_percent)]
    pub(crate) precision: f64,

    /// When messages are due
    #[arg(long, value_enum, default_value_t = Arrivals::Even)]
    pub(crate) arrivals: Arrivals,

    /// How long to measure at each rate
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) step: Duration,

    /// Load before each of them, which does not count
    #[arg(long, default_value = "500ms", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) warmup: Duration,

    /// Write the curve as CSV, a row a step, in the order measured
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    #[command(flatten)]
    pub(crate) report: ReportOptions,
}

impl CapacityOptions {
    /// Refuses what cannot be searched. The error says what would be right.
    pub fn check(&self) -> Result<(), UsageError> {
        self.load.check(self.traffic.kinds(&self.load), 1)?;
        self.traffic.check(&self.load)?;
        not_zero("step", self.step)?;
        let (from, step) = (self.from, self.step.as_secs_f64());
        let enough = (MESSAGES_MIN / step).ceil();
        let why = format!(
            "--from {from} makes too few messages in a --step of {step} s; begin with at least {enough}"
        );
        refuse_if(from * step < MESSAGES_MIN, why)?;
        let to = self.to.unwrap_or(f64::INFINITY);
        let why = format!("--to {to} is below --from {from}; give the lower rate to --from");
        refuse_if(to < from, why)
    }

    /// The run that is one step at `rate`.
    pub(crate) fn run_at(&self, rate: f64) -> RunOptions {
        let timing = TimingArgs {
            rate: Some(Rates::constant(rate)),
            arrivals: self.arrivals,
            duration: Some(self.step),
            warmup: self.warmup,
        };
        let (load, traffic) = (self.load.clone(), self.traffic.clone());
        let place = self.place.clone();
        RunOptions {
            report: self.report.clone(),
            ..RunOptions::within(load, traffic, LoopArgs::default(), timing, place)
        }
    }
}

/// Reads `5%` or `5`; yields percent.
fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    let percent = number.parse().ok();
    let percent = percent.filter(|percent| (0.1..=100.0).contains(percent));
    percent.ok_or_else(|| format!("{text:?} is no precision; write 0.1% to 100%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precisions() {
        assert_eq!(parse_percent("5%"), Ok(5.0));
        assert_eq!(parse_percent(" 0.5 % "), Ok(0.5));
        assert_eq!(parse_percent("100"), Ok(100.0));
        for wrong in ["", "%", "0", "-1%", "101%", "NaN", "five"] {
            assert!(parse_percent(wrong).is_err(), "{wrong:?}");
        }
    }
}

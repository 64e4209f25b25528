//! `ringload knee`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::run::{OutputOptions, TrafficOptions};
use super::target::TargetOptions;
use crate::quantity::parse_duration;
use crate::schedule::Arrivals;

/// `ringload knee`.
#[derive(Args, Clone, Debug)]
pub(crate) struct KneeOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    #[command(flatten)]
    pub(crate) traffic: TrafficOptions,

    /// What a rate must meet, such as p99<1ms or p99.9<500us; several with commas
    #[arg(long, default_value = "p99<1ms", value_name = "OBJECTIVE")]
    pub(crate) slo: String,

    /// When messages are due
    #[arg(long, value_enum, default_value_t = Arrivals::Even)]
    pub(crate) arrivals: Arrivals,

    /// How long to measure at each rate
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) step: Duration,

    /// Load before each of them, which does not count
    #[arg(long, default_value = "500ms", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) warmup: Duration,

    /// Write the curve as CSV, a row a rate
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

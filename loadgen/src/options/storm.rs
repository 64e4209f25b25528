//! `ringload storm`.

use std::time::Duration;

use clap::Args;

use super::run::OutputOptions;
use super::target::TargetOptions;
use crate::quantity::{CpuList, parse_cpu_list, parse_duration};

/// `ringload storm`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StormOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    /// Connections at a time
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub(crate) connections: usize,

    /// How long to measure
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub(crate) duration: Duration,

    /// Load before that, which does not count
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub(crate) warmup: Duration,

    /// Measure no more than this many visits: each leaves a port in TIME_WAIT for a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) visits: Option<u64>,

    /// Number of the first visit. Towards 127.0.0.0/8 every 20,000 numbers have a source address
    /// of their own, so a storm numbered on from the last one needs none of its ports
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) first_visit: u32,

    /// Run on these CPUs only: 1 or 0,2-3
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) cpu: Option<CpuList>,

    /// A process of the server, for its CPU time; repeatable
    #[arg(long = "server-pid", value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pids: Vec<i32>,

    /// Seed of payloads and masking keys [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

//! `ringbench selftest`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ringload::quantity::{CpuList, parse_cpu_list, parse_duration};
use ringload::usage::UsageError;

/// `ringbench selftest`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SelftestOptions {
    /// CPU of the thread that answers; of a list, the first [default: the first that may be used]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) server_cpu: Option<CpuList>,

    /// CPU of the generator's thread [default: the next one on a core of its own]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) generator_cpu: Option<CpuList>,

    /// How long to measure each of the six loads
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Duration,

    /// How to move bytes [default: io_uring where it works]
    #[arg(long, default_value = "auto", value_parser = ["auto", "epoll", "uring"])]
    pub(crate) engine: String,

    /// Write the result as JSON; - is standard output, which then gets no table
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Print no progress and no table
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl SelftestOptions {
    /// Refuses what cannot be run. The error says what would be right.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        let shortest = Duration::from_millis(100);
        if self.duration >= shortest {
            return Ok(());
        }
        Err(UsageError(
            "--duration is too short; give 100ms or more".to_owned(),
        ))
    }
}

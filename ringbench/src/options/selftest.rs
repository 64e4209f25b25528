//! `ringbench selftest`.

use std::time::Duration;

use clap::Args;
use ringload::engine::Choice;
use ringload::output::OutputOptions;
use ringload::quantity::{CpuList, parse_cpu_list, parse_duration};
use ringload::usage::UsageError;

/// `ringbench selftest`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SelftestOptions {
    /// CPU of the generator's thread; of a list, the first [default: the last that may be used]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) cpu: Option<CpuList>,

    /// CPU of the thread that answers [default: the first that the generator does not use]
    #[arg(long, value_name = "N", value_parser = parse_cpu_list)]
    pub(crate) peer_cpu: Option<CpuList>,

    /// How long to measure each of the seven loads; the schedule is held for twice as long
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Duration,

    /// How to move bytes; auto takes io_uring where it works
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub(crate) engine: Choice,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

impl SelftestOptions {
    /// Refuses what cannot be run. The error says what would be right.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        match self.duration.is_zero() {
            true => Err(UsageError(
                "--duration is 0; give a time such as 1s".to_owned(),
            )),
            false => Ok(()),
        }
    }
}

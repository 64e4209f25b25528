//! `ringload merge`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::output::OutputOptions;
use crate::output::gate::GateOptions;
use crate::quantity::parse_duration;
use crate::usage::{UsageError, at_least_one};

/// `ringload merge`.
#[derive(Args, Clone, Debug)]
pub struct MergeOptions {
    /// Results that `ringload run --json` wrote at the same time; of a directory, every *.json in it
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Wait until there are so many results
    #[arg(long, value_name = "N")]
    pub(crate) wait: Option<usize>,

    /// Wait no longer than this
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration, requires = "wait")]
    pub(crate) timeout: Duration,

    /// Combine results of different loads all the same
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) gate: GateOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,

    /// Write the series of all parts as CSV, a row a slice
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write the combined latency distribution as .hgrm text, in microseconds
    #[arg(long, value_name = "FILE")]
    pub(crate) histogram: Option<PathBuf>,
}

impl MergeOptions {
    /// Refuses what cannot be done. The error says what would be right.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        at_least_one("wait", self.wait.unwrap_or(1))?;
        self.gate.check("merge")
    }
}

//! `ringbench report`.

use std::path::PathBuf;

use clap::Args;
use ringload::usage::UsageError;

/// `ringbench report`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportOptions {
    /// A directory that `ringbench suite` wrote; with --compare two, the earlier first
    #[arg(required = true, num_args = 1..=2, value_name = "DIR")]
    pub(crate) directories: Vec<PathBuf>,

    /// Set two results side by side and say what changed
    #[arg(long)]
    pub(crate) compare: bool,

    /// Write the pages into this directory [default: the results' own, of two the later]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

impl ReportOptions {
    /// Refuses what cannot be done. The error says what would be right.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        match (self.compare, self.directories.len()) {
            (true, 2) | (false, 1) => Ok(()),
            (true, _) => Err(UsageError(
                "--compare needs two results; give both directories, the earlier first".to_owned(),
            )),
            (false, _) => Err(UsageError(
                "two results were given; add --compare, or give one".to_owned(),
            )),
        }
    }
}

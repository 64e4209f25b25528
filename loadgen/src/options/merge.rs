//! `ringload merge`.

use std::path::PathBuf;

use clap::Args;

use super::run::OutputOptions;

/// `ringload merge`.
#[derive(Args, Clone, Debug)]
pub(crate) struct MergeOptions {
    /// Results that `ringload run --json` wrote
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

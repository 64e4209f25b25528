//! `ringload report`.

use std::path::PathBuf;

use clap::Args;

/// `ringload report`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportOptions {
    /// A directory that `ringload suite` wrote
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

//! `ringload suite`.

use std::path::PathBuf;

use clap::Args;

/// `ringload suite`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SuiteOptions {
    /// The suite, such as scripts/suites/quick.toml
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

//! `ringload compare`.

use clap::Args;

use super::run::OutputOptions;

/// `ringload compare`.
#[derive(Args, Clone, Debug)]
pub(crate) struct CompareOptions {
    /// The first command; {port} in it becomes a free port
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// The second one
    #[arg(value_name = "B")]
    pub(crate) b: String,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

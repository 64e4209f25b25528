//! `ringload selftest`.

use clap::Args;

use super::run::OutputOptions;
use crate::engine::Choice;

/// `ringload selftest`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SelftestOptions {
    /// How to move bytes; auto takes io_uring where it works
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub(crate) engine: Choice,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

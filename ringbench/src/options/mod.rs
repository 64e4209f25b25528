//! The command line, and what it means. A file for each command.

pub(crate) mod report;
pub(crate) mod selftest;
pub(crate) mod suite;

use clap::{Parser, Subcommand};

/// Measures WebSocket servers beside one another: the laboratory around ringload.
#[derive(Debug, Parser)]
#[command(name = "ringbench", version, about, arg_required_else_help = true)]
pub(crate) struct Options {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measures many servers under many workloads, interleaved in random order, as a file says
    Suite(Box<suite::SuiteOptions>),
    /// Makes one HTML page and a summary of a suite's results
    Report(report::ReportOptions),
    /// Measures what the generator can do on this machine at most
    Selftest(selftest::SelftestOptions),
}

//! The command line: which commands there are.

use clap::{Parser, Subcommand};

use crate::check::options::CheckOptions;
use crate::compare::options::CompareOptions;
use crate::idle::options::IdleOptions;
use crate::knee::options::KneeOptions;
use crate::merge::options::MergeOptions;
use crate::run::options::RunOptions;
use crate::storm::options::StormOptions;

/// A WebSocket load generator that checks every echoed byte.
#[derive(Debug, Parser)]
#[command(name = "ringload", version, about, arg_required_else_help = true)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Loads a server, in a closed loop, an open one (--rate) or full duplex, and reports throughput,
    /// latency, CPU time per message, and who was the limit
    Run(Box<RunOptions>),
    /// Opens connections, holds them idle, and reports the server's memory per connection
    Idle(Box<IdleOptions>),
    /// Connect, handshake, echo, close, over and over; reports connections per second, the times of
    /// each step, and the server's CPU time per connection
    Storm(Box<StormOptions>),
    /// Finds the highest rate that meets an objective such as p99<1ms, and reports the whole curve
    Knee(Box<KneeOptions>),
    /// Combines the results of several machines that ran at the same time, histogram by histogram
    Merge(Box<MergeOptions>),
    /// Starts two commands in turn, measures them in interleaved rounds, and says with an interval how
    /// they differ
    Compare(Box<CompareOptions>),
    /// Puts any WebSocket echo server to the test: raw bytes, right and wrong ones, each case with the
    /// requirement that it rests on
    Check(Box<CheckOptions>),
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;

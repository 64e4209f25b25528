//! The command line: which commands there are.

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

use crate::capacity::options::KneeOptions;
use crate::check::options::CheckOptions;
use crate::churn::options::StormOptions;
use crate::compare::options::CompareOptions;
use crate::idle::options::IdleOptions;
use crate::merge::options::MergeOptions;
use crate::run::options::RunOptions;

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

/// The same error, without advice to take another option whose name is hardly like the one that was given.
pub(crate) fn without_odd_advice(mut error: clap::Error) -> clap::Error {
    let given = error.get(ContextKind::InvalidArg);
    let advised = error.get(ContextKind::SuggestedArg);
    if let (Some(ContextValue::String(given)), Some(ContextValue::String(advised))) =
        (given, advised)
        && !is_similar(given, advised)
    {
        error.remove(ContextKind::SuggestedArg);
    }
    error
}

/// Whether one of two options is the beginning of the other, or hardly anything in them differs.
fn is_similar(given: &str, advised: &str) -> bool {
    let [given, advised] = [given, advised].map(|name| name.trim_start_matches('-'));
    let shorter = given.len().min(advised.len());
    let is_beginning = advised.starts_with(given) || given.starts_with(advised);
    is_beginning || edits(given, advised) <= shorter / 3
}

/// The fewest letters to put in, to take out or to change that make one word of the other.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, from) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (index, to) in to.chars().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(row[index] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;

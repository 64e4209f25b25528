//! The command line: which commands there are.

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};
use strsim::levenshtein;

use crate::capacity::options::CapacityOptions;
use crate::check::options::CheckOptions;
use crate::churn::options::ChurnOptions;
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
    /// Connect, handshake, echo, close, over and over; reports sessions per second, the times of
    /// each step, and the server's CPU time per session
    #[command(alias = "storm")]
    Churn(Box<ChurnOptions>),
    /// Finds the highest rate that meets an objective such as p99<1ms, and reports the whole curve
    #[command(alias = "knee")]
    Capacity(Box<CapacityOptions>),
    /// Combines the results of several machines that ran at the same time, histogram by histogram
    Merge(Box<MergeOptions>),
    /// Starts two commands in turn, measures them in interleaved rounds, and says with an interval how
    /// they differ
    Compare(Box<CompareOptions>),
    /// Puts any WebSocket echo server to the test: raw bytes, right and wrong ones, each case with the
    /// requirement that it rests on
    Check(Box<CheckOptions>),
}

/// Old spellings, which are taken until the next release, and what they are now.
const RENAMED: [(&str, &str); 7] = [
    ("storm", "churn"),
    ("knee", "capacity"),
    ("--depth", "--in-flight"),
    ("--tolerate", "--keep-going"),
    ("--visits", "--sessions"),
    ("--first-visit", "--first-session"),
    ("--visit-timeout", "--session-timeout"),
];

/// A line for each old spelling among the words of a command line.
pub(crate) fn hints(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut words = words.into_iter().skip(1);
    let command = words.next();
    let options = words.filter(|word| word.starts_with("--"));
    let names = command.into_iter().chain(options);
    let hint = |word: String| {
        let name = word.split('=').next().unwrap_or_default();
        let (old, new) = RENAMED.iter().find(|(old, _)| *old == name)?;
        Some(format!(
            "ringload: {old} is called {new} now; the next release takes nothing else"
        ))
    };
    names.filter_map(hint).collect()
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
    is_beginning || levenshtein(given, advised) <= shorter / 3
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;

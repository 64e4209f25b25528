//! The command line, and what it means. A file for each command.

pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod idle;
pub(crate) mod knee;
pub(crate) mod merge;
pub mod run;
pub(crate) mod storm;
pub(crate) mod target;

use std::fmt;

use clap::{Parser, Subcommand};

/// File descriptors kept for everything that is not a connection.
const SPARE_FDS: u64 = 64;

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
    Run(Box<run::RunOptions>),
    /// Opens connections, holds them idle, and reports the server's memory per connection
    Idle(Box<idle::IdleOptions>),
    /// Connect, handshake, echo, close, over and over; reports connections per second, the times of
    /// each step, and the server's CPU time per connection
    Storm(Box<storm::StormOptions>),
    /// Finds the highest rate that meets an objective such as p99<1ms, and reports the whole curve
    Knee(Box<knee::KneeOptions>),
    /// Combines the results of several machines that ran at the same time, histogram by histogram
    Merge(Box<merge::MergeOptions>),
    /// Starts two commands in turn, measures them in interleaved rounds, and says with an interval how
    /// they differ
    Compare(Box<compare::CompareOptions>),
    /// Puts any WebSocket echo server to the test: raw bytes, right and wrong ones, each case with the
    /// requirement that it rests on
    Check(Box<check::CheckOptions>),
}

/// Refuses 0.
pub(crate) fn at_least_one(name: &str, value: usize) -> Result<(), UsageError> {
    match value {
        0 => Err(UsageError(format!("--{name} is 0; give at least 1"))),
        _ => Ok(()),
    }
}

/// Arguments that cannot be followed: exit status 2.
#[derive(Debug)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Raises the soft limit of open files to the hard one and refuses more connections than fit.
pub fn make_room_for(connections: usize) -> Result<(), UsageError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Raising soft to hard is always allowed; should it fail, the soft limit is what there is.
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
    .is_ok();
    let usable = if raised { limit.maximum } else { limit.current };
    let needed = (connections as u64).saturating_add(SPARE_FDS);
    match usable {
        Some(usable) if usable < needed => Err(UsageError(format!(
            "--connections {connections} needs {needed} open files and the limit is {usable}; \
             raise it (ulimit -Hn) or ask for at most {}",
            usable.saturating_sub(SPARE_FDS)
        ))),
        _ => Ok(()),
    }
}

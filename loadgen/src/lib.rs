//! `ringload`: a WebSocket load generator that checks every echoed byte. Its binary is [`main`]; what is public
//! besides is what `ringbench` is built on, and changes with it.
//!
//! ```text
//! cli ── run ── load (threads) ── engine (epoll, uring) ── worker ── echo ── wire, payload (sans-IO)
//!           ├── measure (/proc, window, verdict)
//!           └── output (JSON, table, histogram)
//! ```
//!
//! No module imports one above it: `tests/layers.rs` has the order.
//!
//! Exit status: 0 all went well, 1 the run failed, 2 bad arguments, 3 what was asked for
//! (`--fail-if`, `--slo`) is not met, 130 interrupted.
#![deny(unsafe_code)]
// They panic where nobody reads; `output` has what tells of it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod alarm;
pub mod assess;
mod capacity;
mod check;
mod churn;
pub mod cli;
mod compare;
pub mod control;
mod dial;
mod echo;
pub mod engine;
mod fault;
mod idle;
pub mod interrupt;
mod link;
pub mod live;
pub mod load;
mod merge;
pub mod observe;
pub mod output;
mod pacer;
pub mod payload;
pub mod quantity;
pub mod result;
pub mod run;
pub mod schedule;
mod session;
mod slow;
mod sys;
pub mod target;
pub mod trial;
mod tunnel;
pub mod usage;
mod wire;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Command, Options};
use crate::interrupt::Interrupted;
use crate::output::tell;
use crate::result::Status;
use crate::usage::UsageError;

/// Of arguments that cannot be followed.
const EXIT_USAGE: u8 = 2;

/// Commands that went to `ringbench`.
const MOVED: [&str; 3] = ["suite", "report", "selftest"];

/// A panic in any thread ends the process, in every build as in a released one: nobody waits for what
/// that thread would have done.
pub fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        live::restore();
        tell(panic);
        std::process::abort();
    }));
}

/// The program, from its arguments to its exit status.
pub fn main() -> ExitCode {
    end_on_panic();
    let command = std::env::args().nth(1).unwrap_or_default();
    if MOVED.contains(&command.as_str()) {
        let why = format!("{command} is a command of ringbench now: write ringbench {command}");
        return conclude("ringload", Err(UsageError(why).into()));
    }
    let options =
        Options::try_parse().unwrap_or_else(|error| cli::without_odd_advice(error).exit());
    let result = match &options.command {
        Command::Run(options) => run::run(options),
        Command::Idle(options) => idle::run(options),
        Command::Storm(options) => churn::run(options),
        Command::Knee(options) => capacity::run(options),
        Command::Merge(options) => merge::run(options),
        Command::Compare(options) => compare::run(options),
        Command::Check(options) => check::run(options),
    };
    conclude("ringload", result)
}

/// The exit status of a command of `program`, once the error is told if it ended with one.
pub fn conclude(program: &str, result: anyhow::Result<Status>) -> ExitCode {
    let error = match result {
        Ok(status) => return ExitCode::from(status.exit_code()),
        Err(error) => error,
    };
    tell(format_args!("{program}: {error:#}"));
    ExitCode::from(if error.is::<UsageError>() {
        EXIT_USAGE
    } else if error.is::<Interrupted>() {
        Status::Interrupted.exit_code()
    } else {
        Status::Failed.exit_code()
    })
}

//! `ringload`: a WebSocket load generator that checks every echoed byte, hides no stall, and says who was the limit.
//!
//! As a library it makes a load of a test or of a program. [`Load`] takes what the command `ringload run` takes, and
//! answers with the document that the command writes as JSON:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! let document = ringload::Load::to("ws://127.0.0.1:3000")
//!     .connections(64)
//!     .in_flight(1)
//!     .message_size(32)
//!     .duration(Duration::from_secs(5))
//!     .fail_if("p99>5ms")
//!     .run()?;
//! assert_eq!(document.error, None);
//! let figures = document.figures().expect("it was measured");
//! println!("{:.0} messages/s, p99 {} ns", figures.completed_per_second, figures.latency.p99_ns);
//! println!("{}", document.summary);
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! A load has threads of its own and leaves signals alone; measure with a release build. `examples/load_test.rs` is a
//! whole program. What is stable is [`Load`], and of the document what `docs/ringload-json.md` has: a field may be
//! added, and keeps its meaning. All else that is public is for the binary and for `ringbench`, and changes with them.
//!
//! ```text
//! cli api ── run ── load (threads) ── engine (epoll, uring) ── worker ── echo ── wire, payload (sans-IO)
//!              ├── live (what is seen meanwhile)
//!              ├── observe (/proc), assess (what it means)
//!              └── output (JSON, table, histogram)
//! ```
//!
//! No module imports one above it: `tests/layers.rs` has the order.
//!
//! Exit status of the program: 0 all went well, 1 the run failed, 2 bad arguments, 3 what was asked for
//! (`--fail-if`, `--slo`) is not met, 130 interrupted.
#![deny(unsafe_code)]
// They panic where nobody reads; `output` has what tells of it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod alarm;
mod api;
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

pub use crate::api::Load;
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
    cli::hints(std::env::args()).iter().for_each(tell);
    let result = match &options.command {
        Command::Run(options) => run::run(options),
        Command::Idle(options) => idle::run(options),
        Command::Churn(options) => churn::run(options),
        Command::Capacity(options) => capacity::run(options),
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

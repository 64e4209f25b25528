//! `ringload`: a WebSocket load generator that checks every echoed byte.
//!
//! ```text
//! options ── run ── load (threads) ── worker ── echo (sans-IO: codec, payloads, verification)
//!              │                        │
//!              │                     engine (epoll, uring)
//!              ├── measure (/proc, window, verdict)
//!              └── output (JSON, table, histogram)
//! ```
//!
//! Exit status: 0 all went well, 1 the run failed, 2 bad arguments, 3 what was asked for
//! (`--fail-if`, `--slo`) is not met, 130 interrupted.
#![deny(unsafe_code)]
// They panic where nobody reads; `output` has what tells of it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod alarm;
mod check;
mod compare;
mod control;
mod dial;
mod echo;
mod engine;
mod fault;
mod idle;
mod interrupt;
mod knee;
mod link;
mod load;
mod measure;
mod merge;
mod options;
mod output;
mod pacer;
mod progress;
mod quantity;
mod report;
mod run;
mod schedule;
mod selftest;
mod slow;
mod storm;
mod suite;
mod sys;
mod target;
mod trial;
mod tunnel;
mod visit;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::interrupt::Interrupted;
use crate::options::{Command, Options, UsageError};
use crate::output::document::Status;
use crate::output::tell;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_MISSED: u8 = 3;
/// 128 and the number of SIGINT, as a shell reports it.
const EXIT_INTERRUPTED: u8 = 130;

/// A panic in any thread ends the process, in every build as in a released one: nobody waits for what
/// that thread would have done.
fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

fn main() -> ExitCode {
    end_on_panic();
    let options = Options::parse();
    let result = match &options.command {
        Command::Run(options) => run::run(options),
        Command::Idle(options) => idle::run(options),
        Command::Storm(options) => storm::run(options),
        Command::Knee(options) => knee::run(options),
        Command::Selftest(options) => selftest::run(options),
        Command::Merge(options) => merge::run(options),
        Command::Compare(options) => compare::run(options),
        Command::Suite(options) => suite::run(options),
        Command::Report(options) => report::run(options),
        Command::Check(options) => check::run(options),
    };
    match result {
        Ok(Status::Ok) => ExitCode::SUCCESS,
        Ok(Status::Failed) => ExitCode::from(EXIT_FAILED),
        Ok(Status::Interrupted) => ExitCode::from(EXIT_INTERRUPTED),
        Ok(Status::Missed) => ExitCode::from(EXIT_MISSED),
        Err(error) => {
            tell(format_args!("ringload: {error:#}"));
            ExitCode::from(if error.is::<UsageError>() {
                EXIT_USAGE
            } else if error.is::<Interrupted>() {
                EXIT_INTERRUPTED
            } else {
                EXIT_FAILED
            })
        }
    }
}

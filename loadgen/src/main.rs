//! `ringload`: a WebSocket load generator that checks every echoed byte.
//!
//! ```text
//! options ── run ── load (threads) ── worker ── echo (sans-IO: codec, payloads, verification)
//!              │                        │
//!              │                     engine (epoll, uring)
//!              ├── measure (/proc, window, verdict)
//!              └── report (JSON, table, histogram)
//! ```
//!
//! Exit status: 0 all went well, 1 the run failed or was interrupted, 2 bad arguments.
#![deny(unsafe_code)]

mod control;
mod dial;
mod echo;
mod engine;
mod idle;
mod interrupt;
mod load;
mod measure;
mod options;
mod progress;
mod quantity;
mod report;
mod run;
mod storm;
mod sys;
mod target;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Command, Options, UsageError};
use crate::report::document::Status;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.command {
        Command::Run(options) => run::run(options),
        Command::Idle(options) => idle::run(options),
        Command::Storm(options) => storm::run(options),
    };
    match result {
        Ok(Status::Ok) => ExitCode::SUCCESS,
        Ok(Status::Failed | Status::Interrupted) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            eprintln!("ringload: {error:#}");
            let usage = error.is::<UsageError>();
            ExitCode::from(if usage { EXIT_USAGE } else { EXIT_FAILED })
        }
    }
}

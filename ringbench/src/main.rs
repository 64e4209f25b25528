//! `ringbench`: the laboratory around `ringload`. It measures servers beside one another, makes a page of what came
//! out, and tells what the generator itself can do.
//!
//! ```text
//! options ── suite ── generator (ringload, a process for each measurement)
//!              ├── report (HTML, Markdown, SVG)
//!              └── selftest ── generator
//! ```
//!
//! Called by the name `ringload`, this program is `ringload`: so a measurement is a process of its own, which a
//! time limit can end, and never of another version than what reads its result.
#![forbid(unsafe_code)]
// They panic where nobody reads; `ringload::output` has what tells of it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod generator;
mod options;
mod report;
mod selftest;
mod suite;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Command, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::args_os()
        .next()
        .is_some_and(|name| name == "ringload")
    {
        return ringload::main();
    }
    ringload::end_on_panic();
    let result = match &Options::parse().command {
        Command::Suite(options) => suite::run(options),
        Command::Report(options) => report::run(options),
        Command::Selftest(options) => selftest::run(options),
    };
    ringload::conclude("ringbench", result)
}

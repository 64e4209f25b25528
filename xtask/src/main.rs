//! The project's own chores, run as `cargo run --release -p xtask -- CHORE`.
//!
//! `bench` compares the servers; `scripts/bench` builds what it needs and calls it.
#![forbid(unsafe_code)]

mod bench;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "xtask", about = "The project's own chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Measure Ringback beside the RFC 862 echo on the same engine and beside its peers
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let Chore::Bench(options) = Arguments::parse().chore;
    match bench::run(&options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

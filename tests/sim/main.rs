//! The seeded simulation: see `docs/SIMULATION.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | `run.rs` | one run, from its seed to its end |
//! | `checks.rs` | what must hold at any moment |
//! | `history.rs` | what must hold over time |
//! | `scenario.rs` | the circumstances |
//! | `moves.rs` | connections that are put down and picked up |
//! | `world.rs` | the clock, the crowd, the trace |
//! | `network.rs` | TCP |
//! | `peer.rs`, `script.rs`, `reader.rs` | how a peer behaves, what it says, what it must be answered |
//! | `readiness.rs` | an epoll |
//! | `ring/` | an io_uring and its receive buffers |
//! | `tasks/` | an executor, and what its tasks wait for |

#[path = "../support/mod.rs"]
mod support;

mod checks;
mod history;
mod moves;
mod network;
mod peer;
mod reader;
mod readiness;
mod ring;
mod run;
mod scenario;
mod script;
mod tasks;
mod world;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use run::{Style, run};
use support::random;

/// Seeds tried by default, for each style.
const SEEDS: u64 = 10_000;

fn option(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is no number")),
    )
}

/// Runs the seeds that are asked for.
fn simulate(style: Style, test: &str) {
    if let Some(seed) = option("SIM_SEED") {
        println!("{}", run(seed, style, true));
        return;
    }
    let minutes = option("SIM_MINUTES");
    let seeds = option("SIM_SEEDS").unwrap_or(if minutes.is_some() { u64::MAX } else { SEEDS });
    let first = option("SIM_FIRST").unwrap_or(0);
    let ends = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    for (number, seed) in (first..).zip(0..seeds).map(|(seed, number)| (number, seed)) {
        if ends.is_some_and(|ends| ends < Instant::now()) {
            println!("{style:?}: {number} seeds");
            return;
        }
        if catch_unwind(|| run(seed, style, false)).is_err() {
            panic!(
                "seed {seed}, {style:?}, after {number} that hold; again, with the whole trace:\n  \
                 SIM_SEED={seed} cargo test --test sim -- --nocapture {test}"
            );
        }
    }
}

#[test]
fn readiness_under_faults() {
    simulate(Style::Readiness, "readiness_under_faults");
}

#[test]
fn completion_under_faults() {
    simulate(Style::Completion, "completion_under_faults");
}

#[test]
fn tasks_under_faults() {
    simulate(Style::Tasks, "tasks_under_faults");
}

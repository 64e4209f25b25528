//! The simulation over seeds: all of them, one, or as many as there is time for (`docs/SIMULATION.md`).

#[path = "mod.rs"]
mod sim;
#[path = "../support/mod.rs"]
mod support;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use sim::{Chance, Style, run};

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
        println!("{}", run(&Chance::of(seed), style, true));
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
        if catch_unwind(|| run(&Chance::of(seed), style, false)).is_err() {
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

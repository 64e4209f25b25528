//! Two commands in interleaved rounds, and how they differ.

use serde::{Deserialize, Serialize};

use super::latency::Latency;
use crate::assess::finding::Finding;
use crate::observe::placement::Placement;

/// What a comparison found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CompareResult {
    pub placement: Placement,
    pub rounds_asked: u32,
    pub a: Contestant,
    pub b: Contestant,
    /// Those that both finished.
    pub rounds: Vec<Round>,
    /// B over A; empty without a finished round.
    pub ratios: Vec<Ratio>,
    /// Whether what the rounds cannot tell counts as a failure.
    pub strict: bool,
}

/// One of the two.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Contestant {
    /// As it was given.
    pub command: String,
    /// The first line that its program prints when asked for `--version`; `None` if it does not.
    pub version: Option<String>,
}

/// One round.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Round {
    /// From 1 on.
    pub round: u32,
    /// `ab` or `ba`.
    pub order: String,
    pub a: RoundFigures,
    pub b: RoundFigures,
}

/// What one run of one of the two found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RoundFigures {
    pub window_start_unix_seconds: f64,
    pub window_seconds: f64,
    pub completed_per_second: f64,
    /// `None` if there was no message to share it.
    pub server_cpu_ns_each: Option<f64>,
    pub generator_cpu_ns_each: Option<f64>,
    /// Of an open loop, from when a message was due.
    pub latency: Latency,
    pub steal_percent: Option<f64>,
    pub others_percent: Option<f64>,
    pub findings: Vec<Finding>,
}

/// How B differs from A in one respect.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Ratio {
    /// `throughput`, `cpu`, `p50` or `p99`.
    pub metric: String,
    /// Geometric mean of the rounds' ratios B/A.
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
    pub confidence_percent: f64,
    /// Rounds that had it.
    pub rounds: usize,
    /// `b is higher`, `b is lower`, `unresolved` or `not compared`.
    pub verdict: String,
    /// Why it was not compared, or what the rounds cannot tell; one phrase.
    pub reason: Option<String>,
}

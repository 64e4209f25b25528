//! The highest rate that meets an objective, and the whole curve.

use serde::{Deserialize, Serialize};

use crate::assess::finding::Finding;

/// What a capacity search found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CapacityResult {
    /// As it was asked for, such as `p99<1ms`.
    pub objective: String,
    /// How close the lowest rate that missed it had to come to the highest that met it.
    pub precision_percent: f64,
    /// The highest rate that met it; `None` if none did.
    pub best: Option<Best>,
    /// Whether the server might do more than `best`: something else ended the search.
    pub is_lower_bound: bool,
    /// Every step, in the order measured.
    pub points: Vec<Point>,
}

impl CapacityResult {
    /// The last step at the best rate that met the objective.
    pub fn best_point(&self) -> Option<&Point> {
        self.last_met(self.best?.rate)
    }

    /// The last step at this rate that met it.
    pub(crate) fn last_met(&self, rate: f64) -> Option<&Point> {
        let is_it = |point: &&Point| point.rate == rate && point.meets;
        self.points.iter().rev().find(is_it)
    }
}

/// The last step at the highest rate that met the objective.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Best {
    /// Messages per second over all connections.
    pub rate: f64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub p99_9_ns: u64,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Point {
    /// Messages per second that were due.
    pub rate: f64,
    /// `None`, as all figures below, if the window never opened.
    pub completed_per_second: Option<f64>,
    /// Of the corrected latency; `None` as well if no message was answered.
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub p99_9_ns: Option<u64>,
    pub max_ns: Option<u64>,
    /// Messages due and not given to the kernel at the end.
    pub backlog_end: Option<u64>,
    /// How late the generator took up one message in a thousand, at least; `None` as well if it took up none.
    pub send_lag_p99_9_ns: Option<u64>,
    /// `None` without a readable `--server-pid`.
    pub server_cpu_ns_each: Option<f64>,
    /// Of this step alone.
    pub findings: Vec<Finding>,
    /// Whether it met the objective, at the rate asked for, without a fault.
    pub meets: bool,
    /// What it did not meet.
    pub why: Option<String>,
}

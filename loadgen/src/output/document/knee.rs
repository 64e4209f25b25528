//! The JSON of `ringload knee`, schema `ringload-knee/1`: documented in `docs/ringload-json.md`.

use serde::{Deserialize, Serialize};

use super::gate::GateResult;
use super::run::Load;
use super::verdict::Verdict;
use super::{Environment, Status};

/// Name and version of the schema.
pub const KNEE_SCHEMA: &str = "ringload-knee/1";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KneeDocument {
    /// Always [`KNEE_SCHEMA`].
    pub schema: String,
    pub status: Status,
    /// One sentence, unless the status is `ok`.
    pub error: Option<String>,
    /// What `--fail-if` asked for, and what came of it.
    #[serde(default)]
    pub gate: Vec<GateResult>,
    pub environment: Environment,
    /// The load of every step; its `rate.text` is the range that was searched. `None` if no step was
    /// finished.
    pub load: Option<Load>,
    /// As it was asked for, such as `p99<1ms`.
    pub objective: String,
    /// How close the lowest rate that missed it had to come to the highest that met it.
    pub precision_percent: f64,
    /// The highest rate that met it; `None` if none did.
    pub best: Option<Best>,
    /// Whether the server might do more than `best`: something else ended the search.
    pub is_lower_bound: bool,
    /// Who set the knee.
    pub verdict: Verdict,
    pub verdict_reason: String,
    /// Every step, in the order measured.
    pub points: Vec<Point>,
}

/// The knee, as in the last step at its rate that met the objective.
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
    pub achieved_messages_per_second: Option<f64>,
    /// Of the latency from when messages were due; `None` as well if none was answered.
    pub p50_ns: Option<u64>,
    pub p90_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub p99_9_ns: Option<u64>,
    pub max_ns: Option<u64>,
    /// Messages due and not given to the kernel at the end.
    pub backlog_end: Option<u64>,
    /// How late the generator took up one message in a thousand, at least; `None` as well if it took up
    /// none.
    pub lateness_p99_9_ns: Option<u64>,
    /// `None` without a readable `--server-pid`.
    pub server_cpu_ns_per_message: Option<f64>,
    /// Of this step alone.
    pub verdict: Verdict,
    /// Whether it met the objective, at the rate asked for, without a fault.
    pub meets: bool,
    /// What it did not meet.
    pub why: Option<String>,
}

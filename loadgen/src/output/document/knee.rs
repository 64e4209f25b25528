//! The JSON of `ringload knee`, schema `ringload-knee/1`: documented in `docs/ringload-json.md`.

use serde::{Deserialize, Serialize};

use super::run::Load;
use super::{Environment, Status};
use crate::measure::verdict::Verdict;

/// Name and version of the schema.
pub(crate) const KNEE_SCHEMA: &str = "ringload-knee/1";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KneeDocument {
    /// Always [`KNEE_SCHEMA`].
    pub(crate) schema: String,
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    /// The load of every step; its `rate.text` is the range that was searched. `None` if no step was
    /// finished.
    pub(crate) load: Option<Load>,
    /// As it was asked for, such as `p99<1ms`.
    pub(crate) objective: String,
    /// How close the lowest rate that missed it had to come to the highest that met it.
    pub(crate) precision_percent: f64,
    /// The highest rate that met it; `None` if none did.
    pub(crate) best: Option<Best>,
    /// Whether the server might do more than `best`: something else ended the search.
    pub(crate) is_lower_bound: bool,
    /// Who set the knee.
    pub(crate) verdict: Verdict,
    pub(crate) verdict_reason: String,
    /// Every step, in the order measured.
    pub(crate) points: Vec<Point>,
}

/// The knee, as in the last step at its rate that met the objective.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Best {
    /// Messages per second over all connections.
    pub(crate) rate: f64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p99_9_ns: u64,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Point {
    /// Messages per second that were due.
    pub(crate) rate: f64,
    /// `None`, as all figures below, if the window never opened.
    pub(crate) achieved_messages_per_second: Option<f64>,
    /// Of the latency from when messages were due; `None` as well if none was answered.
    pub(crate) p50_ns: Option<u64>,
    pub(crate) p90_ns: Option<u64>,
    pub(crate) p99_ns: Option<u64>,
    pub(crate) p99_9_ns: Option<u64>,
    pub(crate) max_ns: Option<u64>,
    /// Messages due and not given to the kernel at the end.
    pub(crate) backlog_end: Option<u64>,
    /// How late the generator took up one message in a thousand, at least; `None` as well if it took up
    /// none.
    pub(crate) lateness_p99_9_ns: Option<u64>,
    /// `None` without a readable `--server-pid`.
    pub(crate) server_cpu_ns_per_message: Option<f64>,
    /// Of this step alone.
    pub(crate) verdict: Verdict,
    /// Whether it met the objective, at the rate asked for, without a fault.
    pub(crate) meets: bool,
    /// What it did not meet.
    pub(crate) why: Option<String>,
}

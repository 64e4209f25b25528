//! The JSON of `ringload merge`, schema `ringload-merge/1`: documented in `docs/ringload-json.md`.
//!
//! It is a schema of its own and no `ringload-run/2`: much of a run has no meaning for several machines
//! (one engine, one set of threads, one window), and what is made up must not look measured.

use serde::{Deserialize, Serialize};

use super::latency::Latency;
use super::run::{Backlog, Checks, Load};
use super::{Environment, Status};
use crate::assess::verdict::Verdict;

/// Name and version of the schema.
pub(crate) const MERGE_SCHEMA: &str = "ringload-merge/1";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MergeDocument {
    /// Always [`MERGE_SCHEMA`].
    pub(crate) schema: String,
    /// The worst of the parts'; `failed` as well if they measured at different times.
    pub(crate) status: Status,
    /// The first part's that has one, with its name, or that they measured at different times; `None`
    /// if the status is `ok`.
    pub(crate) error: Option<String>,
    /// Of this merging, not of the runs; theirs are in `parts`.
    pub(crate) environment: Environment,
    /// What a reader must know before believing the figures.
    pub(crate) warnings: Vec<String>,
    pub(crate) parts: Vec<Part>,
    /// Added up over the parts.
    pub(crate) checks: Checks,
    /// `None` if no part has a result.
    pub(crate) result: Option<MergeResult>,
}

/// What one machine reported.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Part {
    /// The file, without its folders.
    pub(crate) file: String,
    pub(crate) status: Status,
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) load: Load,
    /// `None` if that run failed before its window opened.
    pub(crate) result: Option<PartResult>,
}

/// A part's own figures; its distributions and series stay in its file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PartResult {
    pub(crate) window_start_unix_seconds: f64,
    pub(crate) window_seconds: f64,
    pub(crate) messages: u64,
    pub(crate) messages_per_second: f64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
    pub(crate) generator_cpu_ns_per_message: Option<f64>,
    /// Of the server's CPU time over this part's messages only.
    pub(crate) server_cpu_ns_per_message: Option<f64>,
    pub(crate) verdict: Verdict,
    pub(crate) verdict_reason: String,
}

/// All parts with a result together.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MergeResult {
    /// Connections of all parts.
    pub(crate) connections: usize,
    pub(crate) window: MergeWindow,
    pub(crate) messages: u64,
    pub(crate) payload_bytes: u64,
    /// The sum of what each part reached in its own window.
    pub(crate) messages_per_second: f64,
    pub(crate) payload_bytes_per_second: f64,
    /// Everything that the kernels took and gave, frame headers included.
    pub(crate) wire_bytes_sent_per_second: f64,
    pub(crate) wire_bytes_received_per_second: f64,
    /// `None` unless every part's loop is open.
    pub(crate) offered_messages_per_second: Option<f64>,
    /// The parts' histograms, added value by value.
    pub(crate) latency: Latency,
    pub(crate) service: Latency,
    /// `None` if no part pinged.
    pub(crate) ping: Option<Latency>,
    /// `None` unless a loop is open.
    pub(crate) lateness: Option<Latency>,
    /// The sums; that of the maxima is an upper bound, since they need not have been at one time.
    pub(crate) backlog: Option<Backlog>,
    /// CPU time of all generators over all messages; `None` unless every part has its own.
    pub(crate) generator_cpu_ns_per_message: Option<f64>,
    /// CPU time of the server over all messages; `None` unless some part observed it.
    pub(crate) server_cpu_ns_per_message: Option<f64>,
    /// How the figure above was come by.
    pub(crate) server_cpu_reason: String,
    pub(crate) verdict: Verdict,
    /// Whose it was, and why.
    pub(crate) verdict_reason: String,
}

/// When the parts measured, by their own clocks.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct MergeWindow {
    /// When the first opened.
    pub(crate) start_unix_seconds: f64,
    /// From then until the last closed.
    pub(crate) union_seconds: f64,
    /// While all were open.
    pub(crate) overlap_seconds: f64,
    /// Of the union; under 90 there is a warning, under 50 the verdict is `invalid`.
    pub(crate) overlap_percent: f64,
}

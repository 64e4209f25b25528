//! Several runs at the same time, as one. Percentiles are read from the sum of the histograms.

use serde::{Deserialize, Serialize};

use super::figures::{Backlog, Figures, Traffic};
use super::latency::Latency;
use super::load::Load;
use super::{Environment, Status};
use crate::assess::finding::Finding;

/// What the parts come to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MergeResult {
    pub parts: Vec<Part>,
    /// What a reader must know before believing the figures.
    pub warnings: Vec<String>,
    /// `None` if no part has a result.
    pub sum: Option<Sum>,
}

/// What one machine reported.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Part {
    /// The file, without its folders.
    pub file: String,
    pub status: Status,
    pub error: Option<String>,
    pub environment: Environment,
    pub load: Load,
    pub findings: Vec<Finding>,
    /// `None` if that run failed before its window opened.
    pub figures: Option<PartFigures>,
}

/// A part's own figures; its distributions and series stay in its file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PartFigures {
    pub window_start_unix_seconds: f64,
    pub window_seconds: f64,
    pub completed: u64,
    pub completed_per_second: f64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    pub generator_cpu_ns_each: Option<f64>,
    /// Of the server's CPU time over this part's messages only.
    pub server_cpu_ns_each: Option<f64>,
}

impl PartFigures {
    /// What a part's document says of it.
    pub(crate) fn of(figures: &Figures) -> PartFigures {
        PartFigures {
            window_start_unix_seconds: figures.window_start_unix_seconds,
            window_seconds: figures.window_seconds,
            completed: figures.completed,
            completed_per_second: figures.completed_per_second,
            p50_ns: figures.latency.p50_ns,
            p99_ns: figures.latency.p99_ns,
            max_ns: figures.latency.max_ns,
            generator_cpu_ns_each: figures.generator.cpu_ns_each,
            server_cpu_ns_each: figures.server.as_ref().and_then(|it| it.cpu_ns_each),
        }
    }
}

/// All parts with a result together. What [`Figures`] has by the same name is added up; the rest is found out beside it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sum {
    #[serde(default)]
    pub window: MergeWindow,
    pub completed: u64,
    /// The sum of what each part reached in its own window.
    pub completed_per_second: f64,
    /// `None` unless every part's loop is open.
    pub offered_per_second: Option<f64>,
    pub traffic: Option<Traffic>,
    pub latency: Latency,
    pub uncorrected_latency: Option<Latency>,
    pub ping: Option<Latency>,
    pub send_lag: Option<Latency>,
    /// The sums; that of the maxima is an upper bound, since they need not have been at one time.
    pub backlog: Option<Backlog>,
    /// CPU time of all generators over all messages; `None` unless every part has its own.
    pub generator_cpu_ns_each: Option<f64>,
    /// CPU time of the server over all messages; `None` unless some part observed it.
    pub server_cpu_ns_each: Option<f64>,
    /// How the figure above was come by.
    #[serde(default)]
    pub server_cpu_reason: String,
}

/// When the parts measured, by their own clocks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct MergeWindow {
    /// When the first opened.
    pub start_unix_seconds: f64,
    /// From then until the last closed.
    pub union_seconds: f64,
    /// While all were open.
    pub overlap_seconds: f64,
    /// Of the union; under 90 there is a warning, under 50 the sum is no result.
    pub overlap_percent: f64,
}

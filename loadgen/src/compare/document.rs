//! The JSON of `ringload compare`, schema `ringload-compare/1`: documented in `docs/ringload-json.md`.

use serde::{Deserialize, Serialize};

use crate::assess::finding::{Finding, Id};
use crate::observe::placement::Placement;
use crate::result::gate::GateResult;
use crate::result::latency::Latency;
use crate::result::{Document, Environment, Outcome, Status};

/// Name and version of the schema.
pub(crate) const COMPARE_SCHEMA: &str = "ringload-compare/1";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CompareDocument {
    /// Always [`COMPARE_SCHEMA`].
    pub(crate) schema: String,
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) placement: Placement,
    /// Of the order and of the intervals.
    pub(crate) seed: u64,
    pub(crate) rounds_asked: u32,
    /// Arguments of each `ringload run`, without the URL and what differs from run to run.
    pub(crate) load: Vec<String>,
    pub(crate) a: Contestant,
    pub(crate) b: Contestant,
    /// Those that both finished.
    pub(crate) rounds: Vec<Round>,
    /// B over A; empty without a finished round.
    pub(crate) ratios: Vec<Ratio>,
    /// What `--fail-if` asked for, and what came of it.
    pub(crate) gate: Vec<GateResult>,
    /// Whether what the rounds cannot tell counts as a failure.
    pub(crate) strict: bool,
}

/// One of the two.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Contestant {
    /// As it was given.
    pub(crate) command: String,
    /// The first line that its program prints when asked for `--version`; `None` if it does not.
    pub(crate) version: Option<String>,
}

/// One round.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Round {
    /// From 1 on.
    pub(crate) round: u32,
    /// `ab` or `ba`.
    pub(crate) order: String,
    pub(crate) a: Figures,
    pub(crate) b: Figures,
}

/// What one run of one of the two found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Figures {
    pub(crate) started_unix_seconds: f64,
    pub(crate) window_seconds: f64,
    pub(crate) messages_per_second: f64,
    pub(crate) server_cpu_ns_per_message: Option<f64>,
    pub(crate) generator_cpu_ns_per_message: Option<f64>,
    /// Of an open loop, from when a message was due.
    pub(crate) latency: Latency,
    pub(crate) steal_percent: Option<f64>,
    pub(crate) others_percent: Option<f64>,
    pub(crate) findings: Vec<Finding>,
}

/// How B differs from A in one respect.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Ratio {
    /// `throughput`, `cpu`, `p50` or `p99`.
    pub(crate) metric: String,
    /// Geometric mean of the rounds' ratios B/A.
    pub(crate) estimate: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) confidence_percent: f64,
    /// Rounds that had it.
    pub(crate) rounds: usize,
    /// `b is higher`, `b is lower` or `unresolved`.
    pub(crate) verdict: String,
}

impl Figures {
    /// Takes them out of what a run wrote; `None` if it has no window.
    pub(crate) fn of(document: Document) -> Option<Figures> {
        let Outcome::Run(figures) = document.outcome else {
            return None;
        };
        let figures = *figures?;
        Some(Figures {
            started_unix_seconds: figures.window_start_unix_seconds,
            window_seconds: figures.window_seconds,
            messages_per_second: figures.completed_per_second,
            server_cpu_ns_per_message: figures.server.and_then(|server| server.cpu_ns_each),
            generator_cpu_ns_per_message: figures.generator.cpu_ns_each,
            latency: figures.latency,
            steal_percent: figures.steal_percent,
            others_percent: figures.others_percent,
            findings: document.findings,
        })
    }

    /// Whether this was found.
    pub(crate) fn has(&self, ids: &[Id]) -> bool {
        self.findings
            .iter()
            .any(|finding| ids.contains(&finding.id))
    }
}

//! The files of `ringbench suite`: `suite.json`, schema `ringload-suite/1`, and the lines of `runs.jsonl`. What is
//! missing is empty when it is read: half a result is worth looking at.

use std::collections::BTreeMap;

use ringload::observe::placement::Placement;
use ringload::output::document::{Environment, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name and version of the schema.
pub(crate) const SUITE_SCHEMA: &str = "ringload-suite/1";

/// `suite.json`: what was to be done, and what became of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct SuiteDocument {
    /// Always [`SUITE_SCHEMA`].
    pub(crate) schema: String,
    /// `interrupted` until it is finished.
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) name: String,
    pub(crate) title: String,
    /// Of the order.
    pub(crate) seed: u64,
    /// RFC 3339, as the next.
    pub(crate) started: String,
    pub(crate) finished: Option<String>,
    /// Of the workload that has most.
    pub(crate) rounds: u32,
    /// The server that others are compared with.
    pub(crate) baseline: Option<String>,
    pub(crate) placement: Placement,
    pub(crate) servers: Vec<ServerEntry>,
    pub(crate) workloads: Vec<WorkloadEntry>,
    /// What a reader should know, a sentence each.
    pub(crate) notes: Vec<String>,
    /// What went wrong while it was measured, a sentence each.
    pub(crate) failures: Vec<String>,
}

/// A server of the suite.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ServerEntry {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) what: String,
    pub(crate) source: String,
    pub(crate) speed: String,
    /// `ours`, `limit`, `baseline` or `peer`.
    pub(crate) role: String,
    /// `one` or `all`: the CPUs that it has.
    pub(crate) threads: String,
    /// The first line that its version command prints.
    pub(crate) version: Option<String>,
    /// As in its peer.toml.
    pub(crate) command: Vec<String>,
    pub(crate) status: ServerStatus,
    /// Why, unless it is `ok`.
    pub(crate) reason: Option<String>,
}

/// What became of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerStatus {
    /// It takes part.
    #[default]
    Ok,
    /// It cannot be had here, or does not echo: it was never measured.
    Skipped,
    /// It was given up while it was measured.
    Failed,
}

impl ServerStatus {
    /// The same in a word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ServerStatus::Ok => "ok",
            ServerStatus::Skipped => "skipped",
            ServerStatus::Failed => "failed",
        }
    }
}

/// A workload of the suite.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct WorkloadEntry {
    pub(crate) name: String,
    /// `run`, `storm`, `idle` or `knee`.
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) rounds: u32,
    /// Over `wss://`.
    pub(crate) tls: bool,
    /// Those that it is measured with.
    pub(crate) servers: Vec<String>,
    /// Options of the command, by their long names.
    pub(crate) options: BTreeMap<String, Value>,
}

/// A line of `runs.jsonl`: a run that is over.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RunLine {
    pub(crate) round: u32,
    pub(crate) server: String,
    pub(crate) workload: String,
    /// The document, below the directory.
    pub(crate) raw: String,
    /// `ok` or `failed`.
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) started_unix_seconds: u64,
}

//! What ringload writes for machines: one JSON document, `ringload/3`, whatever the command; `kind` says which.
//!
//! Every number has its unit in its name; `_percent` is 0 to 100. A field is added without a new version of the
//! schema; a change of meaning or a removal needs one. `docs/ringload-json.md` documents them all.

#![expect(
    missing_docs,
    reason = "docs/ringload-json.md has every field, and a test that it does"
)]

pub mod capacity;
pub mod compare;
pub mod figures;
pub mod gate;
pub mod idle;
pub mod latency;
pub mod load;
pub mod merge;

use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use self::capacity::CapacityResult;
use self::compare::CompareResult;
use self::figures::Figures;
use self::gate::GateResult;
use self::idle::IdleResult;
use self::load::Load;
use self::merge::MergeResult;
use crate::assess::finding::Finding;
use crate::observe::host::Host;
use crate::observe::process::cpus_online;

/// What is said first of what was cut short, and of what went wrong.
pub(crate) const PARTIAL: &str = "It was interrupted, and the figures are partial.";
pub(crate) const NO_RESULT: &str = "It failed, and is no result.";

/// Name and version of the schema.
pub const SCHEMA: &str = "ringload/3";

/// What a command found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Document {
    /// Always [`SCHEMA`].
    pub schema: String,
    pub status: Status,
    /// One sentence, unless the status is `ok`.
    pub error: Option<String>,
    pub environment: Environment,
    pub load: Load,
    pub checks: Checks,
    /// One plain sentence that the findings come to.
    pub summary: String,
    pub findings: Vec<Finding>,
    /// What came of each `--fail-if`.
    pub gate: Vec<GateResult>,
    /// `kind` and `result`.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was measured, by the kind of work; `None` where it failed before there was anything to measure.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", content = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// Messages over connections that stay.
    Run(Option<Box<Figures>>),
    /// Sessions: connections that come, echo and go.
    Churn(Option<Box<Figures>>),
    /// Connections that do nothing.
    Idle(Option<Box<IdleResult>>),
    /// The highest rate that meets an objective.
    Capacity(Option<CapacityResult>),
    /// Several runs at the same time, as one.
    Merge(Option<Box<MergeResult>>),
    /// Two commands in interleaved rounds, and how they differ.
    Compare(Box<CompareResult>),
}

impl Outcome {
    /// The command, as `kind` says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Outcome::Run(_) => "run",
            Outcome::Churn(_) => "churn",
            Outcome::Idle(_) => "idle",
            Outcome::Capacity(_) => "capacity",
            Outcome::Merge(_) => "merge",
            Outcome::Compare(_) => "compare",
        }
    }
}

impl Document {
    /// What was measured just now, on this machine; there is nothing to say of it yet.
    pub fn new(
        (status, error): (Status, Option<String>),
        load: Load,
        checks: Checks,
        outcome: Outcome,
    ) -> Document {
        Document {
            schema: SCHEMA.to_owned(),
            status,
            error,
            environment: Environment::read(),
            load,
            checks,
            summary: String::new(),
            findings: Vec::new(),
            gate: Vec::new(),
            outcome,
        }
    }

    /// The figures of a run or of churn.
    pub fn figures(&self) -> Option<&Figures> {
        match &self.outcome {
            Outcome::Run(figures) | Outcome::Churn(figures) => figures.as_deref(),
            _ => None,
        }
    }
}

/// How a command ended, and the status that it exits with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As planned.
    #[default]
    Ok = 0,
    /// Something was wrong with the server or the way to it; figures are partial.
    Failed = 1,
    /// All went well, and what was asked for (`--fail-if`, `--slo`) is not met.
    Missed = 3,
    /// A signal cut it short; figures are partial. 128 and the number of SIGINT, as a shell reports it.
    Interrupted = 130,
}

impl Status {
    /// What a command that ended so exits with.
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

/// Circumstances without which a number is not a result.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Environment {
    pub command_line: Vec<String>,
    pub ringload_version: String,
    pub kernel: String,
    pub machine: String,
    pub cpus_online: usize,
    pub host: Option<Host>,
    /// When the program wrote this, seconds since 1970.
    pub written_unix_seconds: u64,
}

impl Environment {
    /// Reads it.
    pub fn read() -> Environment {
        let uname = rustix::system::uname();
        Environment {
            command_line: std::env::args().collect(),
            ringload_version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            machine: uname.machine().to_string_lossy().into_owned(),
            cpus_online: cpus_online(),
            host: Some(Host::read()),
            written_unix_seconds: UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()),
        }
    }
}

/// What was checked over the whole command, warm-up and drain included.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Checks {
    /// Messages that came back right; compared byte for byte unless `verify` is `sample`.
    pub messages_verified: u64,
    /// With `--keep-going`: messages whose reply was wrong.
    pub messages_wrong: u64,
    /// Some of those, at most twenty: of each thread the first ones.
    pub mismatches: Vec<String>,
    /// Payload bytes compared.
    pub payload_bytes_verified: u64,
    /// Replies that came in several frames.
    pub replies_fragmented: u64,
    /// Replies that came compressed.
    pub replies_compressed: u64,
    /// Pings of the server's.
    pub pings_answered: u64,
    /// Pings of ours that had no pong when it was over.
    pub pings_unanswered: u64,
    /// Pongs that nobody asked for.
    pub pongs_received: u64,
    /// Messages still without their whole reply when it was over.
    pub messages_unanswered: u64,
    pub oldest_unanswered_seconds: f64,
    /// Open loop: messages that were due within the window and could not be sent at all.
    pub messages_unsent: u64,
    /// Of churn: sessions that ended well.
    pub sessions_verified: u64,
    /// Connections that had ended before their time and were made again (`--reconnect`).
    pub reconnects: u64,
    /// Slow readers that the server had closed before the end.
    pub slow_readers_closed: usize,
    /// The first fault of each thread, which ends it; at most twenty.
    pub faults: Vec<String>,
}

//! The JSON of `ringload storm`, schema `ringload-storm/2`.

use serde::{Deserialize, Serialize};

use super::gate::GateResult;
use super::latency::Latency;
use super::run::{Rate, echo};
use super::verdict::Verdict;
use super::{Environment, Status};
use crate::assess::busy::Busy;
use crate::observe::process::CpuSource;

/// Name and version of the schema.
pub const STORM_SCHEMA: &str = "ringload-storm/2";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StormDocument {
    /// Always [`STORM_SCHEMA`].
    pub schema: String,
    pub status: Status,
    /// One sentence, unless the status is `ok`.
    pub error: Option<String>,
    /// What `--fail-if` asked for, and what came of it.
    #[serde(default)]
    pub gate: Vec<GateResult>,
    pub environment: Environment,
    pub load: StormLoad,
    /// Visits that ended well, warm-up and drain included.
    pub visits_verified: u64,
    /// `None` if the storm ended before the window opened.
    pub result: Option<StormResult>,
}

/// What was asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StormLoad {
    pub urls: Vec<String>,
    /// Where that was; empty if never connected.
    pub addresses: Vec<String>,
    /// `websocket` or `tcp`.
    pub protocol: String,
    /// What TLS was agreed on; `None` without TLS.
    pub tls: Option<String>,
    /// Connections at a time, of an open storm at most.
    pub connections: usize,
    /// Visits per second of an open storm; `None` for a closed one.
    pub rate: Option<Rate>,
    /// Messages of each visit.
    pub messages: u64,
    /// Payload of each.
    pub message_bytes: usize,
    /// The message as it was given; `None` if payloads were generated.
    #[serde(default)]
    pub message: Option<String>,
    /// What answered a message: `echo`, `prefix:TEXT`, `any` or `3x`.
    #[serde(default = "echo")]
    pub expect: String,
    /// Most visits measured; `None` if unbounded.
    pub visits_max: Option<u64>,
    /// Number of the first visit.
    pub first_visit: u32,
    /// How long a visit could take.
    pub visit_timeout_seconds: f64,
    /// Whether the storm went on when a visit failed.
    pub tolerate: bool,
    pub threads: usize,
    pub cpus: Vec<usize>,
    pub seed: u64,
    pub warmup_seconds: f64,
    pub duration_seconds: f64,
}

/// Figures of the window.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StormResult {
    /// When the window opened, seconds since 1970.
    pub window_start_unix_seconds: f64,
    pub window_seconds: f64,
    /// Visits that ended well within the window.
    pub visits: u64,
    pub visits_per_second: f64,
    /// Of an open storm: what the schedule asked for within the window.
    pub offered_visits_per_second: Option<f64>,
    /// From the connect to the connection. These four are of visits begun in the window (of an open
    /// storm: due in it), also if they ended after it.
    pub connect: Latency,
    /// From there to the open WebSocket: TLS and the upgrade. Empty over bare TCP.
    pub handshake: Latency,
    /// From the send of the first message to its reply.
    pub first_echo: Latency,
    /// Whole visits, from the connect, of an open storm from when each was due, to the server's end of
    /// stream. Visits due and never begun are in it with the time they had waited when the window closed.
    pub visit: Latency,
    /// Of an open storm: how late the generator itself took up what was due and had room.
    pub lateness: Option<Latency>,
    /// Of an open storm.
    pub backlog: Option<StormBacklog>,
    /// How connections ended, from the opening of the window until all had ended.
    pub closes: Closes,
    /// Visits that failed, in the same time.
    pub visits_failed: u64,
    /// Why, by kind, the most frequent first; at most twenty kinds.
    pub failures: Vec<FailureKind>,
    /// `None` if no visit ended well.
    pub generator_cpu_ns_per_visit: Option<f64>,
    pub generator: Busy,
    pub server_pids: Vec<i32>,
    pub server_cpu_ns_per_visit: Option<f64>,
    /// `None` without a readable `--server-pid`.
    pub server: Option<Busy>,
    pub cpu_source: CpuSource,
    /// CPU time that the hypervisor withheld of the CPUs that both sides may use, in percent of theirs;
    /// of all CPUs where those are not known.
    pub steal_percent: Option<f64>,
    /// CPU time that neither side used, of the CPUs that both may use, in percent of one.
    pub others_percent: Option<f64>,
    pub verdict: Verdict,
    pub verdict_reason: String,
}

/// Visits due that could not begin, since as many were under way as may be.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct StormBacklog {
    /// Visits due in the window that had to wait.
    pub visits_late: u64,
    /// Most that waited at one time, as seen twenty times a second.
    pub visits_max: u64,
    /// Those that had not begun when the window closed, and never did.
    pub visits_end: u64,
}

/// How connections ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Closes {
    /// Close answered by Close, then the server's end of stream; over bare TCP, the server's end of
    /// stream after the client's.
    pub orderly: u64,
    /// Reset by the server, whenever: after the closing handshake the visit counts all the same.
    pub reset: u64,
    pub end_of_stream_without_close: u64,
    /// Given up by the client: refusals, wrong replies, timeouts; and connections never made.
    pub other: u64,
}

impl Closes {
    /// Adds those of another thread.
    pub fn add(&mut self, other: Closes) {
        self.orderly += other.orderly;
        self.reset += other.reset;
        self.end_of_stream_without_close += other.end_of_stream_without_close;
        self.other += other.other;
    }
}

/// A kind of failure.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FailureKind {
    pub sentence: String,
    pub count: u64,
}

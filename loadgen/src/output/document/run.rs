//! The JSON of `ringload run`, schema `ringload-run/2`: documented in `docs/ringload-json.md`.

use serde::{Deserialize, Serialize};

use super::gate::GateResult;
use super::latency::Latency;
use super::verdict::Verdict;
use super::{Environment, Status};
use crate::assess::busy::Busy;
use crate::observe::process::{CpuSource, Memory};

/// Name and version of the schema.
pub const RUN_SCHEMA: &str = "ringload-run/2";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunDocument {
    /// Always [`RUN_SCHEMA`].
    pub schema: String,
    pub status: Status,
    /// One sentence, unless the status is `ok`.
    pub error: Option<String>,
    /// What `--fail-if` asked for, and what came of it.
    #[serde(default)]
    pub gate: Vec<GateResult>,
    pub environment: Environment,
    pub load: Load,
    pub checks: Checks,
    /// `None` if the run failed before the window opened.
    pub result: Option<RunResult>,
}

/// The load, as it was in the end.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Load {
    /// Connections go to these in turn.
    pub urls: Vec<String>,
    /// Where they were, in the same order; empty if never connected.
    pub addresses: Vec<String>,
    /// `websocket` or `tcp`.
    pub protocol: String,
    /// What TLS was agreed on, such as `TLSv1.3 TLS13_AES_128_GCM_SHA256`; `None` without TLS.
    pub tls: Option<String>,
    /// The permessage-deflate parameters agreed on; `None` without compression.
    pub deflate: Option<String>,
    /// The subprotocol agreed on.
    pub subprotocol: Option<String>,
    #[serde(rename = "loop")]
    pub loop_kind: Loop,
    /// Messages in flight per connection; `None` unless the loop is closed.
    pub depth: Option<usize>,
    /// `None` unless the loop is open.
    pub rate: Option<Rate>,
    /// `text`, `binary` or `mixed`.
    pub message_kind: String,
    pub message_size: MessageSize,
    /// Frames that each message is sent in.
    pub fragments: usize,
    /// Time between two pings of a connection; `None` without pings.
    pub ping_every_seconds: Option<f64>,
    /// `full`: every byte is compared; `sample`: of most messages the length only; `none`: replies were
    /// counted.
    pub verify: String,
    /// The message as it was given; `None` if payloads were generated.
    #[serde(default)]
    pub message: Option<String>,
    /// What answered a message: `echo`, `prefix:TEXT`, `any` or `3x`.
    #[serde(default = "echo")]
    pub expect: String,
    /// Whether wrong replies are counted, where the first would end the load.
    #[serde(default)]
    pub keep_going: bool,
    pub connections: usize,
    /// Further connections that send and hardly read, and whose messages do not count.
    pub slow_readers: usize,
    /// Further connections that keep both directions full, on one more thread.
    #[serde(default)]
    pub heavy: Option<HeavyLoad>,
    pub threads: usize,
    pub cpus: Vec<usize>,
    pub engine: String,
    pub engine_reason: String,
    pub seed: u64,
    pub warmup_seconds: f64,
    pub duration_seconds: f64,
}

/// What answered a message before it could be said.
pub(super) fn echo() -> String {
    "echo".to_owned()
}

/// What presses beside the load.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct HeavyLoad {
    pub connections: usize,
    pub message_bytes: usize,
}

/// What decides when a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loop {
    /// A new message for each answered one.
    Closed,
    /// A schedule, whatever the server does.
    Open,
    /// As much as the sockets take.
    Duplex,
}

/// An open loop's schedule.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Rate {
    /// As it was asked for, such as `1k..50k/30s`.
    pub text: String,
    /// `even` or `poisson`.
    pub arrivals: String,
}

/// How long messages are.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MessageSize {
    /// As it was asked for, such as `32`, `16..4KiB` or `log-normal:1KiB,1.0`.
    pub text: String,
    /// The smallest and the largest that can occur.
    pub bytes_min: usize,
    pub bytes_max: usize,
}

/// What was checked over the whole run, warm-up and drain included.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Checks {
    /// Messages that came back right; compared byte for byte unless `verify` is `sample`.
    pub messages_verified: u64,
    /// With `--keep-going`: messages whose reply was wrong.
    #[serde(default)]
    pub messages_wrong: u64,
    /// Some of those, at most twenty: of each thread the first ones.
    #[serde(default)]
    pub mismatches: Vec<String>,
    /// Payload bytes compared.
    pub payload_bytes_verified: u64,
    /// Replies that came in several frames.
    pub replies_fragmented: u64,
    /// Replies that came compressed.
    pub replies_compressed: u64,
    /// Pings of the server's.
    pub pings_answered: u64,
    /// Pings of ours that had no pong when the run was over.
    #[serde(default)]
    pub pings_unanswered: u64,
    /// Pongs that nobody asked for.
    pub pongs_received: u64,
    /// Messages still without their whole reply when the run was over.
    pub messages_unanswered: u64,
    pub oldest_unanswered_seconds: f64,
    /// Open loop: messages that were due within the window and could not be sent at all.
    pub messages_unsent: u64,
    /// Slow readers that the server had closed before the end.
    pub slow_readers_closed: usize,
    /// The first fault of each thread, which ends it; at most twenty.
    pub faults: Vec<String>,
}

/// Figures of the window.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RunResult {
    /// When the window opened, seconds since 1970.
    pub window_start_unix_seconds: f64,
    pub window_seconds: f64,
    /// Messages completed within the window.
    pub messages: u64,
    /// Their payload, one way.
    pub payload_bytes: u64,
    pub messages_per_second: f64,
    /// One way.
    pub payload_bytes_per_second: f64,
    /// Everything that the kernel took and gave within the window, frame headers (and TLS) included:
    /// the two directions, which in a duplex load need not be alike.
    pub wire_bytes_sent_per_second: f64,
    pub wire_bytes_received_per_second: f64,
    /// Of an open loop: what the schedule asked for within the window.
    pub offered_messages_per_second: Option<f64>,
    /// Open loop: from when a message was due; else from when it was sent.
    pub latency: Latency,
    /// From when it was given to the kernel.
    pub service: Latency,
    /// From a ping to its pong; `None` without pings.
    pub ping: Option<Latency>,
    /// Open loop: how late the generator itself took up what was due.
    pub lateness: Option<Latency>,
    /// Open loop: what was due and not yet given to the kernel.
    pub backlog: Option<Backlog>,
    /// What the heavy connections did; `None` without.
    #[serde(default)]
    pub heavy: Option<HeavyResult>,
    /// The window in slices, at most 600.
    pub series: Vec<Slice>,
    /// Whether the halves of the window agree.
    pub stability: Stability,
    pub generator: Side,
    /// `None` without a readable `--server-pid`.
    pub server: Option<Server>,
    pub steal_percent: Option<f64>,
    /// CPU time that neither side used, of the CPUs that both may use, in percent of one.
    pub others_percent: Option<f64>,
    pub verdict: Verdict,
    pub verdict_reason: String,
}

/// What the heavy connections did within the window.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct HeavyResult {
    pub messages: u64,
    pub messages_per_second: f64,
    /// One way.
    pub payload_bytes_per_second: f64,
    /// What the one that got most got, and the one that got least, by the mean of all; `None` if none got
    /// anything.
    pub most_by_mean: Option<f64>,
    pub least_by_mean: Option<f64>,
}

/// Messages due and not yet given to the kernel.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Backlog {
    /// Most at one time, as seen between slices.
    pub messages_max: u64,
    /// At the end of the window.
    pub messages_end: u64,
}

/// A slice of the window.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Slice {
    /// From the opening of the window to the slice's end.
    pub until_seconds: f64,
    pub seconds: f64,
    pub messages: u64,
    /// `None` unless the loop is open.
    pub offered: Option<f64>,
    /// At its end; 0 unless the loop is open.
    pub backlog: u64,
    /// Messages in flight at its end.
    pub in_flight: u64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    pub generator_cpu_ns: u64,
    /// `None` without a readable `--server-pid`.
    pub server_cpu_ns: Option<u64>,
}

/// The second half of the window beside the first.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Stability {
    /// Whether they agree.
    pub is_stable: bool,
    /// What differs and by how much, or why it could not be told.
    pub reason: String,
    /// Change of messages per second, in percent.
    pub throughput_change_percent: f64,
    /// Change of the server's CPU time per message, in percent.
    pub server_cpu_change_percent: Option<f64>,
}

/// CPU use of the generator.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Side {
    /// `None` if there was no message to share it.
    pub cpu_ns_per_message: Option<f64>,
    pub cpu_user_ns_per_message: Option<f64>,
    pub cpu_system_ns_per_message: Option<f64>,
    #[serde(flatten)]
    pub busy: Busy,
}

/// CPU use and memory of the server: of the processes named and of those that they started.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Server {
    pub pids: Vec<i32>,
    /// All threads; `None` if there was no message to share it.
    pub cpu_ns_per_message: Option<f64>,
    /// CPU time of all threads over the length of the window; 100 is one whole CPU.
    pub cpu_percent_of_one: f64,
    pub cpu_source: CpuSource,
    #[serde(flatten)]
    pub busy: Busy,
    /// At the end of the window; `None` if it could not be read.
    pub memory: Option<Memory>,
}

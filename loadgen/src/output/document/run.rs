//! The JSON of `ringload run`, schema `ringload-run/2`: documented in `docs/ringload-json.md`.

use serde::{Deserialize, Serialize};

use super::latency::Latency;
use super::{Environment, Status};
use crate::measure::process::{CpuSource, Memory};
use crate::measure::verdict::{Busy, Verdict};

/// Name and version of the schema.
pub(crate) const RUN_SCHEMA: &str = "ringload-run/2";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RunDocument {
    /// Always [`RUN_SCHEMA`].
    pub(crate) schema: String,
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) load: Load,
    pub(crate) checks: Checks,
    /// `None` if the run failed before the window opened.
    pub(crate) result: Option<RunResult>,
}

/// The load, as it was in the end.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Load {
    /// Connections go to these in turn.
    pub(crate) urls: Vec<String>,
    /// Where they were, in the same order; empty if never connected.
    pub(crate) addresses: Vec<String>,
    /// `websocket` or `tcp`.
    pub(crate) protocol: String,
    /// What TLS was agreed on, such as `TLSv1.3 TLS13_AES_128_GCM_SHA256`; `None` without TLS.
    pub(crate) tls: Option<String>,
    /// The permessage-deflate parameters agreed on; `None` without compression.
    pub(crate) deflate: Option<String>,
    /// The subprotocol agreed on.
    pub(crate) subprotocol: Option<String>,
    #[serde(rename = "loop")]
    pub(crate) loop_kind: Loop,
    /// Messages in flight per connection; `None` unless the loop is closed.
    pub(crate) depth: Option<usize>,
    /// `None` unless the loop is open.
    pub(crate) rate: Option<Rate>,
    /// `text`, `binary` or `mixed`.
    pub(crate) message_kind: String,
    pub(crate) message_size: MessageSize,
    /// Frames that each message is sent in.
    pub(crate) fragments: usize,
    /// Time between two pings of a connection; `None` without pings.
    pub(crate) ping_every_seconds: Option<f64>,
    /// `full`: every byte is compared; `sample`: of most messages the length only.
    pub(crate) verify: String,
    /// Whether wrong replies are counted, where the first would end the load.
    #[serde(default)]
    pub(crate) keep_going: bool,
    pub(crate) connections: usize,
    /// Further connections that send and hardly read, and whose messages do not count.
    pub(crate) slow_readers: usize,
    /// Further connections that keep both directions full, on one more thread.
    #[serde(default)]
    pub(crate) heavy: Option<HeavyLoad>,
    pub(crate) threads: usize,
    pub(crate) cpus: Vec<usize>,
    pub(crate) engine: String,
    pub(crate) engine_reason: String,
    pub(crate) seed: u64,
    pub(crate) warmup_seconds: f64,
    pub(crate) duration_seconds: f64,
}

/// What presses beside the load.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct HeavyLoad {
    pub(crate) connections: usize,
    pub(crate) message_bytes: usize,
}

/// What decides when a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Loop {
    /// A new message for each answered one.
    Closed,
    /// A schedule, whatever the server does.
    Open,
    /// As much as the sockets take.
    Duplex,
}

/// An open loop's schedule.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Rate {
    /// As it was asked for, such as `1k..50k/30s`.
    pub(crate) text: String,
    /// `even` or `poisson`.
    pub(crate) arrivals: String,
}

/// How long messages are.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MessageSize {
    /// As it was asked for, such as `32`, `16..4KiB` or `log-normal:1KiB,1.0`.
    pub(crate) text: String,
    /// The smallest and the largest that can occur.
    pub(crate) bytes_min: usize,
    pub(crate) bytes_max: usize,
}

/// What was checked over the whole run, warm-up and drain included.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Checks {
    /// Messages that came back right; compared byte for byte unless `verify` is `sample`.
    pub(crate) messages_verified: u64,
    /// With `--keep-going`: messages whose reply was wrong.
    #[serde(default)]
    pub(crate) messages_wrong: u64,
    /// Some of those, at most twenty: of each thread the first ones.
    #[serde(default)]
    pub(crate) mismatches: Vec<String>,
    /// Payload bytes compared.
    pub(crate) payload_bytes_verified: u64,
    /// Replies that came in several frames.
    pub(crate) replies_fragmented: u64,
    /// Replies that came compressed.
    pub(crate) replies_compressed: u64,
    /// Pings of the server's.
    pub(crate) pings_answered: u64,
    /// Pings of ours that had no pong when the run was over.
    #[serde(default)]
    pub(crate) pings_unanswered: u64,
    /// Pongs that nobody asked for.
    pub(crate) pongs_received: u64,
    /// Messages still without their whole reply when the run was over.
    pub(crate) messages_unanswered: u64,
    pub(crate) oldest_unanswered_seconds: f64,
    /// Open loop: messages that were due within the window and could not be sent at all.
    pub(crate) messages_unsent: u64,
    /// Slow readers that the server had closed before the end.
    pub(crate) slow_readers_closed: usize,
    /// The first fault of each thread, which ends it; at most twenty.
    pub(crate) faults: Vec<String>,
}

/// Figures of the window.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RunResult {
    /// When the window opened, seconds since 1970.
    pub(crate) window_start_unix_seconds: f64,
    pub(crate) window_seconds: f64,
    /// Messages completed within the window.
    pub(crate) messages: u64,
    /// Their payload, one way.
    pub(crate) payload_bytes: u64,
    pub(crate) messages_per_second: f64,
    /// One way.
    pub(crate) payload_bytes_per_second: f64,
    /// Everything that the kernel took and gave within the window, frame headers (and TLS) included:
    /// the two directions, which in a duplex load need not be alike.
    pub(crate) wire_bytes_sent_per_second: f64,
    pub(crate) wire_bytes_received_per_second: f64,
    /// Of an open loop: what the schedule asked for within the window.
    pub(crate) offered_messages_per_second: Option<f64>,
    /// Open loop: from when a message was due; else from when it was sent.
    pub(crate) latency: Latency,
    /// From when it was given to the kernel.
    pub(crate) service: Latency,
    /// From a ping to its pong; `None` without pings.
    pub(crate) ping: Option<Latency>,
    /// Open loop: how late the generator itself took up what was due.
    pub(crate) lateness: Option<Latency>,
    /// Open loop: what was due and not yet given to the kernel.
    pub(crate) backlog: Option<Backlog>,
    /// What the heavy connections did; `None` without.
    #[serde(default)]
    pub(crate) heavy: Option<HeavyResult>,
    /// The window in slices, at most 600.
    pub(crate) series: Vec<Slice>,
    /// Whether the halves of the window agree.
    pub(crate) stability: Stability,
    pub(crate) generator: Side,
    /// `None` without a readable `--server-pid`.
    pub(crate) server: Option<Server>,
    pub(crate) steal_percent: Option<f64>,
    /// CPU time that neither side used, of the CPUs that both may use, in percent of one.
    pub(crate) others_percent: Option<f64>,
    pub(crate) verdict: Verdict,
    pub(crate) verdict_reason: String,
}

/// What the heavy connections did within the window.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct HeavyResult {
    pub(crate) messages: u64,
    pub(crate) messages_per_second: f64,
    /// One way.
    pub(crate) payload_bytes_per_second: f64,
    /// What the one that got most got, and the one that got least, by the mean of all; `None` if none got
    /// anything.
    pub(crate) most_by_mean: Option<f64>,
    pub(crate) least_by_mean: Option<f64>,
}

/// Messages due and not yet given to the kernel.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Backlog {
    /// Most at one time, as seen between slices.
    pub(crate) messages_max: u64,
    /// At the end of the window.
    pub(crate) messages_end: u64,
}

/// A slice of the window.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Slice {
    /// From the opening of the window to the slice's end.
    pub(crate) until_seconds: f64,
    pub(crate) seconds: f64,
    pub(crate) messages: u64,
    /// `None` unless the loop is open.
    pub(crate) offered: Option<f64>,
    /// At its end; 0 unless the loop is open.
    pub(crate) backlog: u64,
    /// Messages in flight at its end.
    pub(crate) in_flight: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
    pub(crate) generator_cpu_ns: u64,
    /// `None` without a readable `--server-pid`.
    pub(crate) server_cpu_ns: Option<u64>,
}

/// The second half of the window beside the first.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stability {
    /// Whether they agree.
    pub(crate) is_stable: bool,
    /// What differs and by how much, or why it could not be told.
    pub(crate) reason: String,
    /// Change of messages per second, in percent.
    pub(crate) throughput_change_percent: f64,
    /// Change of the server's CPU time per message, in percent.
    pub(crate) server_cpu_change_percent: Option<f64>,
}

/// CPU use of the generator.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Side {
    /// `None` if there was no message to share it.
    pub(crate) cpu_ns_per_message: Option<f64>,
    pub(crate) cpu_user_ns_per_message: Option<f64>,
    pub(crate) cpu_system_ns_per_message: Option<f64>,
    #[serde(flatten)]
    pub(crate) busy: Busy,
}

/// CPU use and memory of the server: of the processes named and of those that they started.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Server {
    pub(crate) pids: Vec<i32>,
    /// All threads; `None` if there was no message to share it.
    pub(crate) cpu_ns_per_message: Option<f64>,
    /// CPU time of all threads over the length of the window; 100 is one whole CPU.
    pub(crate) cpu_percent_of_one: f64,
    pub(crate) cpu_source: CpuSource,
    #[serde(flatten)]
    pub(crate) busy: Busy,
    /// At the end of the window; `None` if it could not be read.
    pub(crate) memory: Option<Memory>,
}

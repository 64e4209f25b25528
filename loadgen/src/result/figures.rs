//! The window of a run, or of churn: what was completed is messages in the one and sessions in the other.

use serde::{Deserialize, Serialize};

use super::latency::Latency;
use crate::assess::busy::Busy;
pub use crate::assess::stability::{Slice, Stability};
use crate::observe::process::{CpuSource, Memory};

/// Figures of the window.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Figures {
    /// When the window opened, seconds since 1970.
    pub window_start_unix_seconds: f64,
    pub window_seconds: f64,
    /// Messages, of churn sessions, that were completed within the window and right.
    pub completed: u64,
    pub completed_per_second: f64,
    /// Of an open loop: what the schedule asked for within the window.
    pub offered_per_second: Option<f64>,
    /// `None` of churn.
    pub traffic: Option<Traffic>,
    /// Compressed bytes over those of the payload, of everything that was sent, warm-up included; `None` without
    /// compression.
    pub deflate_ratio: Option<f64>,
    /// From when a message, or session, was due in an open loop (corrected for coordinated omission); else from
    /// when it was sent, or begun.
    pub latency: Latency,
    /// Open loop of messages: from when each was given to the kernel.
    pub uncorrected_latency: Option<Latency>,
    /// Open loop: how late the generator itself took up what was due and could be sent.
    pub send_lag: Option<Latency>,
    /// From a ping to its pong; `None` without pings.
    pub ping: Option<Latency>,
    /// Open loop: what was due and had not begun.
    pub backlog: Option<Backlog>,
    /// Of churn.
    pub sessions: Option<Sessions>,
    /// What the heavy connections did; `None` without.
    pub heavy: Option<HeavyResult>,
    /// The window in slices, at most 600.
    pub series: Vec<Slice>,
    pub stability: Stability,
    pub generator: Side,
    /// `None` without a readable `--server-pid`.
    pub server: Option<Server>,
    /// CPU time that the hypervisor withheld of the CPUs that both sides may use, in percent of theirs.
    pub steal_percent: Option<f64>,
    /// CPU time that neither side used, of the CPUs that both may use, in percent of one.
    pub others_percent: Option<f64>,
    /// The longest time for which this machine took the CPU from a thread that only spins, measured before the
    /// load: what is shorter cannot be told from the machine's own gaps.
    pub gap_ns: Option<u64>,
}

/// Bytes of the window. Payload is one way; what the kernel took and gave has frame headers and TLS in it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Traffic {
    pub payload_bytes: u64,
    pub payload_bytes_per_second: f64,
    pub wire_bytes_sent_per_second: f64,
    pub wire_bytes_received_per_second: f64,
}

/// What was due and had not begun: messages not yet given to the kernel, sessions for which there was no room.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Backlog {
    /// Most at one time, as seen between slices.
    pub max: u64,
    /// At the end of the window.
    pub end: u64,
}

/// The steps of sessions begun in the window (of an open loop: due in it), and how they ended.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sessions {
    /// From the connect to the connection.
    pub connect: Latency,
    /// From there to the open WebSocket: TLS and the upgrade. Empty over bare TCP.
    pub handshake: Latency,
    /// Those of the handshakes before that resumed a TLS session; `None` without TLS.
    pub handshake_resumed: Option<Latency>,
    /// From the send of the first message to its reply.
    pub first_echo: Latency,
    /// Open loop: sessions due in the window that had to wait for others to end.
    pub late: Option<u64>,
    /// From the opening of the window until all had ended.
    pub closes: Closes,
    /// Sessions that failed, in the same time.
    pub failed: u64,
    /// Why, by kind, the most frequent first; at most twenty kinds.
    pub failures: Vec<FailureKind>,
}

/// How connections ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Closes {
    /// Close answered by Close, then the server's end of stream; over bare TCP, the server's end of stream after
    /// the client's.
    pub orderly: u64,
    /// Reset by the server, whenever: after the closing handshake the session counts all the same.
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

/// What the heavy connections did within the window.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct HeavyResult {
    pub messages: u64,
    pub messages_per_second: f64,
    /// One way.
    pub payload_bytes_per_second: f64,
    /// What the one that got most got, and the one that got least, by the mean of all; `None` if none got anything.
    pub most_by_mean: Option<f64>,
    pub least_by_mean: Option<f64>,
}

/// CPU use of the generator.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Side {
    /// For each message, or session; `None` if there was none to share it. Polling is not in it.
    pub cpu_ns_each: Option<f64>,
    pub cpu_user_ns_each: Option<f64>,
    pub cpu_system_ns_each: Option<f64>,
    #[serde(flatten)]
    pub busy: Busy,
}

/// CPU use and memory of the server: of the processes named and of those that they started.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Server {
    pub pids: Vec<i32>,
    /// For each message, or session; `None` if there was none to share it.
    pub cpu_ns_each: Option<f64>,
    /// Of these, only a control group tells.
    pub cpu_user_ns_each: Option<f64>,
    pub cpu_system_ns_each: Option<f64>,
    /// CPU time over the length of the window; 100 is one whole CPU.
    pub cpu_percent_of_one: f64,
    pub cpu_source: CpuSource,
    #[serde(flatten)]
    pub busy: Busy,
    /// At the end of the window; `None` if it could not be read.
    pub memory: Option<Memory>,
}

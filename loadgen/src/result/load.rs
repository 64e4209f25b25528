//! The load, as it was in the end.

use serde::{Deserialize, Serialize};

/// What was asked of the server, by which connections.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
    pub in_flight: Option<usize>,
    /// `None` unless the loop is open.
    pub rate: Option<Rate>,
    pub connections: usize,
    pub message: Message,
    /// Time between two pings of a connection; `None` without pings.
    pub ping_every_seconds: Option<f64>,
    /// Whether wrong replies, or failed sessions, are counted, where the first would end the load.
    pub keep_going: bool,
    /// Further connections that send and hardly read, and whose messages do not count.
    pub slow_readers: usize,
    /// Further connections that keep both directions full, on one more thread.
    pub heavy: Option<HeavyLoad>,
    /// Of churn.
    pub sessions: Option<SessionLoad>,
    pub threads: usize,
    pub cpus: Vec<usize>,
    /// `epoll` or `io_uring`.
    pub engine: String,
    pub engine_reason: String,
    pub server_pids: Vec<i32>,
    pub seed: u64,
    pub warmup_seconds: f64,
    /// Of idle: how long the connections are held.
    pub duration_seconds: f64,
}

/// What a message is and what answers it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Message {
    /// `text`, `binary` or `mixed`.
    pub kind: String,
    /// Its size as it was asked for, such as `32`, `16..4KiB` or `log-normal:1KiB,1.0`.
    pub size: String,
    /// The smallest and the largest that can occur.
    pub bytes_min: usize,
    pub bytes_max: usize,
    /// As it was given; `None` if payloads were generated.
    pub given: Option<String>,
    /// What answered it: `echo`, `prefix:TEXT`, `any` or `3x`.
    pub expect: String,
    /// Frames that it is sent in.
    pub fragments: usize,
    /// `full`: every byte is compared; `sample`: of most messages the length only; `none`: replies were counted.
    pub verify: String,
}

/// What presses beside the load.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct HeavyLoad {
    pub connections: usize,
    pub message_bytes: usize,
}

/// What a session of churn is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct SessionLoad {
    /// Messages of each, one after the other.
    pub messages: u64,
    /// Most sessions measured; `None` if unbounded.
    pub sessions_max: Option<u64>,
    /// Number of the first.
    pub first: u32,
    /// How long one could take.
    pub timeout_seconds: f64,
}

/// What decides when a message is sent, or a session begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loop {
    /// A new one for each that is over.
    #[default]
    Closed,
    /// A schedule, whatever the server does.
    Open,
    /// As much as the sockets take.
    Duplex,
    /// Nothing is sent.
    Idle,
}

/// An open loop's schedule.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Rate {
    /// As it was asked for, such as `1k..50k/30s`; of a capacity search the range, such as `1000..`.
    pub text: String,
    /// `even` or `poisson`.
    pub arrivals: String,
}

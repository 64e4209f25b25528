//! The JSON of `ringload idle`, schema `ringload-idle/3`.

use serde::{Deserialize, Serialize};

use super::gate::GateResult;
use super::{Environment, Status};
use crate::observe::process::Memory;

/// Name and version of the schema.
pub const IDLE_SCHEMA: &str = "ringload-idle/3";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IdleDocument {
    /// Always [`IDLE_SCHEMA`].
    pub schema: String,
    pub status: Status,
    /// One sentence, unless the status is `ok`.
    pub error: Option<String>,
    /// What `--fail-if` asked for, and what came of it.
    #[serde(default)]
    pub gate: Vec<GateResult>,
    pub environment: Environment,
    pub url: String,
    /// Where that was; `None` if never connected.
    pub address: Option<String>,
    /// `websocket` or `tcp`.
    pub protocol: String,
    /// What TLS was agreed on; `None` without TLS.
    pub tls: Option<String>,
    pub server_pids: Vec<i32>,
    pub connections_asked: usize,
    pub connections_opened: usize,
    /// Of those, the ones that ended while they were held.
    pub connections_lost: usize,
    /// How long opening took.
    pub opening_seconds: f64,
    /// Connections that were asked for an echo after the hold, and gave it.
    pub sample_echoed: u64,
    pub hold_seconds: f64,
    /// `None`, as the next two, if the server had ended.
    pub memory_before: Option<Memory>,
    /// With all connections open, after the hold and before any message.
    pub memory_full: Option<Memory>,
    /// After all were closed, and `settle_seconds` later.
    pub memory_after: Option<Memory>,
    /// How long the server took until it had no more anonymous memory than before, or how long it
    /// was given.
    pub settle_seconds: f64,
    /// When all connections were open and when the memory with them had been read: several generators
    /// that hold connections at the same time can see whether they did.
    pub full_unix_seconds: [f64; 2],
    /// `full` less `before`, by the number of connections opened; `None` if none was, or if either is not
    /// known.
    pub growth: Option<Growth>,
    /// `after` less `before`, the same way: what was kept.
    pub kept: Option<Growth>,
    /// `None` if /proc/net/sockstat cannot be read.
    pub machine_tcp: Option<MachineTcp>,
}

/// Growth of the server's memory per connection opened. The kernel's own memory for a socket is
/// not in it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Growth {
    pub rss_bytes_per_connection: f64,
    pub rss_anonymous_bytes_per_connection: f64,
    pub pss_bytes_per_connection: Option<f64>,
    pub private_dirty_bytes_per_connection: Option<f64>,
}

impl Growth {
    /// The growth from `before` to `full`; `None` without connections.
    pub fn between(before: Memory, full: Memory, connections: usize) -> Option<Growth> {
        let per_connection =
            |before: u64, full: u64| (full as f64 - before as f64) / connections as f64;
        let optional =
            |before: Option<u64>, full: Option<u64>| Some(per_connection(before?, full?));
        (connections > 0).then(|| Growth {
            rss_bytes_per_connection: per_connection(before.rss_bytes, full.rss_bytes),
            rss_anonymous_bytes_per_connection: per_connection(
                before.rss_anonymous_bytes,
                full.rss_anonymous_bytes,
            ),
            pss_bytes_per_connection: optional(before.pss_bytes, full.pss_bytes),
            private_dirty_bytes_per_connection: optional(
                before.private_dirty_bytes,
                full.private_dirty_bytes,
            ),
        })
    }
}

/// What the kernel's TCP took for the whole machine, all programs and both ends of local connections
/// together: the pages that hold data on its way (`mem` in /proc/net/sockstat), not the sockets
/// themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct MachineTcp {
    pub memory_before_bytes: u64,
    pub memory_full_bytes: u64,
    /// Sockets in use in this network namespace.
    pub sockets_before: u64,
    pub sockets_full: u64,
}

//! What a connection that does nothing costs in memory.

use serde::{Deserialize, Serialize};

use crate::observe::process::Memory;

/// What was found of an idle crowd.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct IdleResult {
    pub connections_opened: usize,
    /// Of those, the ones that ended while they were held.
    pub connections_lost: usize,
    /// How long opening took.
    pub opening_seconds: f64,
    /// Connections that were asked for an echo after the hold, and gave it.
    pub sample_echoed: u64,
    /// `None`, as the next two, if the server had ended.
    pub memory_before: Option<Memory>,
    /// With all connections open, after the hold and before any message.
    pub memory_full: Option<Memory>,
    /// After all were closed, and `settle_seconds` later.
    pub memory_after: Option<Memory>,
    /// How long the server took until it had no more anonymous memory than before, or how long it was given.
    pub settle_seconds: f64,
    /// When all connections were open and when the memory with them had been read: several generators that hold
    /// connections at the same time can see whether they did.
    pub full_unix_seconds: [f64; 2],
    /// `full` less `before`, by the number of connections opened; `None` if none was, or if either is not known.
    pub growth: Option<Growth>,
    /// `after` less `before`, the same way: what was kept.
    pub kept: Option<Growth>,
    /// `None` if /proc/net/sockstat cannot be read.
    pub machine_tcp: Option<MachineTcp>,
}

/// Growth of the server's memory per connection opened. The kernel's own memory for a socket is not in it.
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
        let each = |bytes: fn(Memory) -> Option<u64>| {
            let grown = bytes(full)? as f64 - bytes(before)? as f64;
            (connections > 0).then(|| grown / connections as f64)
        };
        Some(Growth {
            rss_bytes_per_connection: each(|it| Some(it.rss_bytes))?,
            rss_anonymous_bytes_per_connection: each(|it| Some(it.rss_anonymous_bytes))?,
            pss_bytes_per_connection: each(|it| it.pss_bytes),
            private_dirty_bytes_per_connection: each(|it| it.private_dirty_bytes),
        })
    }
}

/// What the kernel's TCP took for the whole machine, all programs and both ends of local connections together: the
/// pages that hold data on its way (`mem` in /proc/net/sockstat), not the sockets themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct MachineTcp {
    pub memory_before_bytes: u64,
    pub memory_full_bytes: u64,
    /// Sockets in use in this network namespace.
    pub sockets_before: u64,
    pub sockets_full: u64,
}

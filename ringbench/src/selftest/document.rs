//! The JSON of `ringbench selftest`, schema `ringload-selftest/1`: documented in `docs/ringload-json.md`.

use ringload::result::latency::Latency;
use ringload::result::{Environment, Status};
use serde::{Deserialize, Serialize};

/// Name and version of the schema.
pub(crate) const SELFTEST_SCHEMA: &str = "ringload-selftest/1";

/// The whole document.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SelftestDocument {
    /// Always [`SELFTEST_SCHEMA`].
    pub(crate) schema: String,
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    /// `uring` or `epoll`.
    pub(crate) engine: String,
    /// CPUs of the generator's thread, and of the thread that answered; empty if left to the kernel.
    pub(crate) cpus: Vec<usize>,
    pub(crate) peer_cpus: Vec<usize>,
    /// One generator thread each.
    pub(crate) cases: Vec<Case>,
    /// `None` if it was not come to.
    pub(crate) schedule: Option<ScheduleTest>,
    pub(crate) verify: Comparing,
}

/// One load, by one thread, on a peer that answers at once.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) connections: usize,
    /// Messages in flight per connection; `None` in an open loop.
    pub(crate) depth: Option<usize>,
    /// Messages per second that an open loop asked for.
    pub(crate) rate: Option<f64>,
    pub(crate) message_bytes: usize,
    /// What the generator and the peer did together.
    pub(crate) messages_per_second: f64,
    /// The generator's CPU time, every byte compared.
    pub(crate) cpu_ns_per_message: f64,
    /// The same with `--verify sample`; `None` if it was not come to.
    pub(crate) cpu_ns_per_message_unverified: Option<f64>,
    /// What one thread could do if the peer cost nothing: 1 s over the CPU time of a message.
    pub(crate) ceiling_messages_per_second: f64,
    /// How others disturbed it, if they did: a thread that often waits finds more to do at once when it
    /// runs, so its messages cost less than on a quiet machine.
    #[serde(default)]
    pub(crate) noise: Option<String>,
}

/// Whether one thread holds a schedule.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ScheduleTest {
    /// Messages per second that were due.
    pub(crate) rate: f64,
    pub(crate) achieved_messages_per_second: f64,
    /// How late the generator took up what was due.
    pub(crate) lateness: Latency,
    pub(crate) holds: bool,
    /// The figures behind it, and what is in the way if it does not hold.
    pub(crate) reason: String,
}

/// What comparing costs in memory, without any socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Comparing {
    /// Of a message of 32 bytes.
    pub(crate) ns_per_message: f64,
    /// Of each further KiB.
    pub(crate) ns_per_kibibyte: f64,
}

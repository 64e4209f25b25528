//! The JSON of `ringload run`, schema `ringload-run/1`: documented in the crate's README.
//!
//! Every number has its unit in its name. A field is added without a new version; a change of
//! meaning or a removal needs one.

use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::histogram;
use crate::measure::process::{CpuSource, Memory, cpus_online};
use crate::measure::verdict::{Busy, Limit, judge};
use crate::measure::window::Window;

/// How the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// As planned.
    Ok,
    /// Something was wrong with the server or the way to it; figures are partial.
    Failed,
    /// A signal cut it short; figures are partial.
    Interrupted,
}

/// The whole document.
#[derive(Debug, Serialize)]
pub(crate) struct RunDocument {
    /// Always `ringload-run/1`.
    pub(crate) schema: &'static str,
    pub(crate) status: Status,
    /// One sentence, unless the status is `ok`.
    pub(crate) error: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) load: Load,
    pub(crate) checks: Checks,
    /// `None` if the run failed before the window opened.
    pub(crate) result: Option<RunResult>,
}

/// Circumstances without which a number is not a result.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    pub(crate) command_line: Vec<String>,
    pub(crate) ringload_version: &'static str,
    pub(crate) kernel: String,
    pub(crate) machine: String,
    pub(crate) cpus_online: usize,
    /// When the program wrote this, seconds since 1970.
    pub(crate) written_unix_seconds: u64,
}

impl Environment {
    /// Reads it.
    pub(crate) fn read() -> Environment {
        let uname = rustix::system::uname();
        Environment {
            command_line: std::env::args().collect(),
            ringload_version: env!("CARGO_PKG_VERSION"),
            kernel: uname.release().to_string_lossy().into_owned(),
            machine: uname.machine().to_string_lossy().into_owned(),
            cpus_online: cpus_online(),
            written_unix_seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |time| time.as_secs()),
        }
    }
}

/// The load, as it was in the end.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Load {
    pub(crate) url: String,
    pub(crate) address: Option<String>,
    pub(crate) protocol: String,
    /// `closed`: a new message for each answered one.
    #[serde(rename = "loop")]
    pub(crate) loop_kind: &'static str,
    pub(crate) message_kind: &'static str,
    pub(crate) message_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) threads: usize,
    pub(crate) cpus: Vec<usize>,
    pub(crate) engine: String,
    pub(crate) engine_reason: String,
    pub(crate) seed: u64,
    pub(crate) warmup_seconds: f64,
    pub(crate) duration_seconds: f64,
}

/// What was checked over the whole run, warm-up and drain included.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Checks {
    /// Messages compared byte for byte and found right.
    pub(crate) messages_verified: u64,
    pub(crate) payload_bytes_verified: u64,
    /// Replies that came in several frames.
    pub(crate) replies_fragmented: u64,
    pub(crate) pings_answered: u64,
    pub(crate) pongs_received: u64,
    /// Messages still without their whole reply when the run was over.
    pub(crate) messages_unanswered: u64,
    pub(crate) oldest_unanswered_seconds: f64,
}

/// Figures of the window.
#[derive(Debug, Serialize)]
pub(crate) struct RunResult {
    pub(crate) window_seconds: f64,
    pub(crate) messages: u64,
    /// One way.
    pub(crate) payload_bytes: u64,
    pub(crate) messages_per_second: f64,
    /// One way.
    pub(crate) payload_bytes_per_second: f64,
    pub(crate) latency: Latency,
    pub(crate) generator: Side,
    /// `None` without a readable `--server-pid`.
    pub(crate) server: Option<Server>,
    pub(crate) steal_percent: f64,
    pub(crate) limit: Limit,
    pub(crate) limit_reason: String,
}

/// From the submission of a send to the receive that completed its reply.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    /// Messages sent and answered within the window.
    pub(crate) count: u64,
    pub(crate) min_ns: u64,
    pub(crate) mean_ns: f64,
    pub(crate) stdev_ns: f64,
    pub(crate) p50_ns: u64,
    pub(crate) p90_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p99_9_ns: u64,
    pub(crate) p99_99_ns: u64,
    pub(crate) max_ns: u64,
    /// HDR histogram of nanoseconds: V2, deflated, base64.
    pub(crate) histogram_v2_deflate_base64: String,
}

impl Latency {
    /// Sums up a histogram of nanoseconds.
    pub(crate) fn of(latency: &Histogram<u64>) -> Latency {
        Latency {
            count: latency.len(),
            min_ns: latency.min(),
            mean_ns: latency.mean(),
            stdev_ns: latency.stdev(),
            p50_ns: latency.value_at_quantile(0.5),
            p90_ns: latency.value_at_quantile(0.9),
            p99_ns: latency.value_at_quantile(0.99),
            p99_9_ns: latency.value_at_quantile(0.999),
            p99_99_ns: latency.value_at_quantile(0.9999),
            max_ns: latency.max(),
            histogram_v2_deflate_base64: histogram::encode(latency),
        }
    }
}

/// CPU use of the generator.
#[derive(Debug, Serialize)]
pub(crate) struct Side {
    /// `None` if there was no message to share it.
    pub(crate) cpu_ns_per_message: Option<f64>,
    pub(crate) cpu_user_ns_per_message: Option<f64>,
    pub(crate) cpu_system_ns_per_message: Option<f64>,
    #[serde(flatten)]
    pub(crate) busy: Busy,
}

/// CPU use and memory of the server.
#[derive(Debug, Serialize)]
pub(crate) struct Server {
    pub(crate) pid: i32,
    /// All threads of the process; `None` if there was no message to share it.
    pub(crate) cpu_ns_per_message: Option<f64>,
    /// CPU time of all threads over the length of the window; 100 is one whole CPU.
    pub(crate) cpu_percent_of_one: f64,
    pub(crate) cpu_source: CpuSource,
    #[serde(flatten)]
    pub(crate) busy: Busy,
    /// At the end of the window; `None` if it could not be read.
    pub(crate) memory: Option<Memory>,
}

/// The server's process as far as it could be read.
pub(crate) struct ServerReading {
    /// Process id.
    pub(crate) pid: i32,
    /// Where CPU times came from.
    pub(crate) source: CpuSource,
    /// Memory at the end of the window.
    pub(crate) memory: Option<Memory>,
}

impl RunResult {
    /// Sums up a window.
    pub(crate) fn of(
        window: &Window,
        latency: &Histogram<u64>,
        server: Option<ServerReading>,
    ) -> RunResult {
        let per_message = |ns: f64| (window.messages > 0).then(|| ns / window.messages as f64);
        let per_second = |count: u64| match window.seconds > 0.0 {
            true => count as f64 / window.seconds,
            false => 0.0,
        };
        let generator_ns = window.generator.iter().map(|task| task.cpu_ns).sum::<u64>() as f64;
        let generator_busy = Busy::of(&window.generator, window.seconds);
        let server = server.and_then(|reading| {
            let tasks = window.server.as_ref()?;
            let cpu_ns = tasks.iter().map(|task| task.cpu_ns).sum::<u64>();
            Some(Server {
                pid: reading.pid,
                cpu_ns_per_message: per_message(cpu_ns as f64),
                cpu_percent_of_one: per_second(cpu_ns) / 1e7,
                cpu_source: reading.source,
                busy: Busy::of(tasks, window.seconds),
                memory: reading.memory,
            })
        });
        let (limit, limit_reason) = judge(generator_busy, server.as_ref().map(|s| s.busy));
        let user_share = window.generator_user_share;
        RunResult {
            window_seconds: window.seconds,
            messages: window.messages,
            payload_bytes: window.payload_bytes,
            messages_per_second: per_second(window.messages),
            payload_bytes_per_second: per_second(window.payload_bytes),
            latency: Latency::of(latency),
            generator: Side {
                cpu_ns_per_message: per_message(generator_ns),
                cpu_user_ns_per_message: per_message(generator_ns * user_share),
                cpu_system_ns_per_message: per_message(generator_ns * (1.0 - user_share)),
                busy: generator_busy,
            },
            server,
            steal_percent: window.steal_percent,
            limit,
            limit_reason,
        }
    }
}

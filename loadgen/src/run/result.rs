//! From what was read to what is reported.

use hdrhistogram::Histogram;

use crate::measure::process::Memory;
use crate::measure::verdict::{Busy, Evidence, judge};
use crate::measure::window::{Observed, Window};
use crate::output::document::latency::Latency;
use crate::output::document::run::{RunResult, Server, Side, Stability};

/// Sums up a window.
pub(super) fn result(
    window: &Window,
    latency: &Histogram<u64>,
    observed: &Observed,
    memory: Option<Memory>,
    failure: Option<String>,
) -> RunResult {
    let per_message = |ns: f64| (window.messages > 0).then(|| ns / window.messages as f64);
    let per_second = |count: u64| match window.seconds > 0.0 {
        true => count as f64 / window.seconds,
        false => 0.0,
    };
    let generator_ns = window.generator.iter().map(|task| task.cpu_ns).sum::<u64>() as f64;
    let generator_busy = Busy::of(&window.generator, window.seconds);
    let server = window.server.as_ref().map(|tasks| {
        let cpu_ns = tasks.iter().map(|task| task.cpu_ns).sum::<u64>();
        Server {
            pids: observed.server_pids.clone(),
            cpu_ns_per_message: per_message(cpu_ns as f64),
            cpu_percent_of_one: per_second(cpu_ns) / 1e7,
            cpu_source: observed.source,
            busy: Busy::of(tasks, window.seconds),
            memory,
        }
    });
    let (verdict, verdict_reason) = judge(&Evidence {
        generator: generator_busy,
        server: server.as_ref().map(|server| server.busy),
        steal_percent: window.steal_percent,
        failure,
        ..Evidence::default()
    });
    let user_share = window.generator_user_share;
    RunResult {
        window_start_unix_seconds: 0.0,
        window_seconds: window.seconds,
        messages: window.messages,
        payload_bytes: window.payload_bytes,
        messages_per_second: per_second(window.messages),
        payload_bytes_per_second: per_second(window.payload_bytes),
        sent_payload_bytes_per_second: per_second(window.payload_bytes),
        offered_messages_per_second: None,
        latency: Latency::of(latency),
        service: Latency::of(latency),
        ping: None,
        lateness: None,
        backlog: None,
        series: Vec::new(),
        stability: Stability {
            is_stable: true,
            reason: String::new(),
            throughput_change_percent: 0.0,
            server_cpu_change_percent: None,
        },
        generator: Side {
            cpu_ns_per_message: per_message(generator_ns),
            cpu_user_ns_per_message: per_message(generator_ns * user_share),
            cpu_system_ns_per_message: per_message(generator_ns * (1.0 - user_share)),
            busy: generator_busy,
        },
        server,
        steal_percent: window.steal_percent,
        others_percent: 0.0,
        headroom: None,
        verdict,
        verdict_reason,
    }
}

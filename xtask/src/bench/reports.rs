//! What the load generator's reports say, as far as it is compared.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

/// What is compared of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Run {
    pub(crate) messages_per_second: f64,
    pub(crate) latency_p50_microseconds: f64,
    pub(crate) latency_p99_microseconds: f64,
    pub(crate) server_cpu_microseconds_per_message: Option<f64>,
    pub(crate) generator_cpu_microseconds_per_message: Option<f64>,
    /// Who had no CPU time left.
    pub(crate) saturated: String,
    /// Share of the time the server was runnable but another process had its CPU.
    pub(crate) server_cpu_wait_percent: Option<f64>,
    /// The same of the generator.
    pub(crate) generator_cpu_wait_percent: f64,
    /// CPU time the hypervisor gave to others, of all CPUs' time.
    pub(crate) steal_percent: f64,
}

/// What is compared of one storm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Storm {
    pub(crate) visits: u64,
    pub(crate) visits_per_second: f64,
    /// From the start of the connect to the open connection.
    pub(crate) opening_p50_microseconds: f64,
    pub(crate) opening_p99_microseconds: f64,
    pub(crate) server_cpu_microseconds_per_visit: Option<f64>,
    pub(crate) saturated: String,
}

/// What idle connections cost a server, or several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Idle {
    pub(crate) connections: u64,
    /// Growth of the resident set while they were there.
    pub(crate) rss_bytes_per_connection: f64,
    /// What of it stayed when they had left.
    pub(crate) rss_bytes_kept_per_connection: f64,
    /// The same, of anonymous memory alone: without the program's own pages.
    pub(crate) anonymous_bytes_per_connection: f64,
    pub(crate) anonymous_bytes_kept_per_connection: f64,
    pub(crate) before: Memory,
    /// With all connections open.
    pub(crate) full: Memory,
    /// After all were closed.
    pub(crate) after: Memory,
    /// When all were open and when the memory with them had been read.
    pub(crate) full_unix_seconds: [f64; 2],
}

/// Memory of a process, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) rss_bytes: u64,
    pub(crate) rss_anonymous_bytes: u64,
}

impl Memory {
    fn and(self, other: Memory) -> Memory {
        Memory {
            rss_bytes: self.rss_bytes + other.rss_bytes,
            rss_anonymous_bytes: self.rss_anonymous_bytes + other.rss_anonymous_bytes,
        }
    }
}

impl Idle {
    fn new(
        connections: u64,
        [before, full, after]: [Memory; 3],
        full_unix_seconds: [f64; 2],
    ) -> Idle {
        let rss = |memory: &Memory| memory.rss_bytes as f64;
        let anonymous = |memory: &Memory| memory.rss_anonymous_bytes as f64;
        let each = |growth: f64| growth / connections as f64;
        Idle {
            connections,
            rss_bytes_per_connection: each(rss(&full) - rss(&before)),
            rss_bytes_kept_per_connection: each(rss(&after) - rss(&before)),
            anonymous_bytes_per_connection: each(anonymous(&full) - anonymous(&before)),
            anonymous_bytes_kept_per_connection: each(anonymous(&after) - anonymous(&before)),
            before,
            full,
            after,
            full_unix_seconds,
        }
    }

    /// Several servers with their connections as one; an error unless there was a moment when all
    /// were full.
    pub(crate) fn together(each: &[Idle]) -> anyhow::Result<Idle> {
        let from = each.iter().map(|idle| idle.full_unix_seconds[0]);
        let until = each.iter().map(|idle| idle.full_unix_seconds[1]);
        let full = [
            from.fold(f64::MIN, f64::max),
            until.fold(f64::MAX, f64::min),
        ];
        ensure!(
            full[0] < full[1],
            "the first connections were closed before the last were open"
        );
        let sum = |memory: fn(&Idle) -> Memory| {
            each.iter().map(memory).fold(Memory::default(), Memory::and)
        };
        let connections = each.iter().map(|idle| idle.connections).sum();
        let memory = [
            sum(|idle| idle.before),
            sum(|idle| idle.full),
            sum(|idle| idle.after),
        ];
        Ok(Idle::new(connections, memory, full))
    }
}

/// A report of the generator, and what is compared of it.
pub(crate) trait Report: for<'de> Deserialize<'de> {
    /// What it is called in its own first line.
    const SCHEMA: &'static str;
    /// What is compared.
    type Figures;
    fn schema(&self) -> &str;
    fn figures(self) -> anyhow::Result<Self::Figures>;
}

/// Reads a report; an error when it is of another form or has no figures.
pub(crate) fn read<R: Report>(report: impl std::io::Read) -> anyhow::Result<R::Figures> {
    let report: R =
        serde_json::from_reader(report).context("ringload wrote a report of an unknown form")?;
    ensure!(
        report.schema() == R::SCHEMA,
        "ringload wrote {}",
        report.schema()
    );
    report.figures()
}

/// The parts of `ringload-run/1` that are compared.
#[derive(Deserialize)]
pub(crate) struct RunReport {
    schema: String,
    result: RunResult,
}

#[derive(Deserialize)]
struct RunResult {
    messages: u64,
    messages_per_second: f64,
    latency: Latency,
    generator: Side,
    server: Option<Side>,
    steal_percent: f64,
    limit: String,
}

#[derive(Deserialize)]
struct Latency {
    p50_ns: u64,
    p99_ns: u64,
}

#[derive(Deserialize)]
struct Side {
    cpu_ns_per_message: Option<f64>,
    cpu_wait_percent: f64,
}

impl Report for RunReport {
    const SCHEMA: &'static str = "ringload-run/1";
    type Figures = Run;

    fn schema(&self) -> &str {
        &self.schema
    }

    fn figures(self) -> anyhow::Result<Run> {
        let result = self.result;
        ensure!(
            result.messages > 0,
            "no message came back in the measured time"
        );
        let microseconds = |side: &Side| side.cpu_ns_per_message.map(|ns| ns / 1e3);
        Ok(Run {
            messages_per_second: result.messages_per_second,
            latency_p50_microseconds: result.latency.p50_ns as f64 / 1e3,
            latency_p99_microseconds: result.latency.p99_ns as f64 / 1e3,
            server_cpu_microseconds_per_message: result.server.as_ref().and_then(microseconds),
            generator_cpu_microseconds_per_message: microseconds(&result.generator),
            saturated: result.limit,
            server_cpu_wait_percent: result.server.map(|server| server.cpu_wait_percent),
            generator_cpu_wait_percent: result.generator.cpu_wait_percent,
            steal_percent: result.steal_percent,
        })
    }
}

/// The parts of `ringload-storm/1` that are compared.
#[derive(Deserialize)]
pub(crate) struct StormReport {
    schema: String,
    result: StormResult,
}

#[derive(Deserialize)]
struct StormResult {
    visits: u64,
    visits_per_second: f64,
    opening: Latency,
    server_cpu_ns_per_visit: Option<f64>,
    limit: String,
}

impl Report for StormReport {
    const SCHEMA: &'static str = "ringload-storm/1";
    type Figures = Storm;

    fn schema(&self) -> &str {
        &self.schema
    }

    fn figures(self) -> anyhow::Result<Storm> {
        let result = self.result;
        ensure!(
            result.visits > 0,
            "no visit was over within the measured time"
        );
        Ok(Storm {
            visits: result.visits,
            visits_per_second: result.visits_per_second,
            opening_p50_microseconds: result.opening.p50_ns as f64 / 1e3,
            opening_p99_microseconds: result.opening.p99_ns as f64 / 1e3,
            server_cpu_microseconds_per_visit: result.server_cpu_ns_per_visit.map(|ns| ns / 1e3),
            saturated: result.limit,
        })
    }
}

/// The parts of `ringload-idle/1` that are compared.
#[derive(Deserialize)]
pub(crate) struct IdleReport {
    schema: String,
    connections_opened: u64,
    memory_before: Memory,
    memory_full: Memory,
    memory_after: Memory,
    full_unix_seconds: [f64; 2],
}

impl Report for IdleReport {
    const SCHEMA: &'static str = "ringload-idle/1";
    type Figures = Idle;

    fn schema(&self) -> &str {
        &self.schema
    }

    fn figures(self) -> anyhow::Result<Idle> {
        ensure!(self.connections_opened > 0, "no connection was held");
        Ok(Idle::new(
            self.connections_opened,
            [self.memory_before, self.memory_full, self.memory_after],
            self.full_unix_seconds,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn run_report() -> Value {
        json!({
            "schema": "ringload-run/1",
            "status": "ok",
            "result": {
                "messages": 10,
                "messages_per_second": 5.0,
                "latency": { "p50_ns": 1500, "p99_ns": 9000 },
                "generator": { "cpu_ns_per_message": 2500.0, "cpu_wait_percent": 1.0 },
                "server": { "cpu_ns_per_message": 4500.0, "cpu_wait_percent": 0.5 },
                "steal_percent": 0.25,
                "limit": "server",
            },
        })
    }

    fn figures<R: Report>(report: &Value) -> anyhow::Result<R::Figures> {
        read::<R>(report.to_string().as_bytes())
    }

    #[test]
    fn nanoseconds_become_microseconds() {
        let run = figures::<RunReport>(&run_report()).unwrap();
        assert_eq!(run.latency_p50_microseconds, 1.5);
        assert_eq!(run.latency_p99_microseconds, 9.0);
        assert_eq!(run.server_cpu_microseconds_per_message, Some(4.5));
        assert_eq!(run.generator_cpu_microseconds_per_message, Some(2.5));
        assert_eq!(run.saturated, "server");
        let storm = json!({
            "schema": "ringload-storm/1",
            "result": {
                "visits": 8000,
                "visits_per_second": 20e3,
                "opening": { "p50_ns": 2000, "p99_ns": 4000 },
                "server_cpu_ns_per_visit": 41_500.0,
                "limit": "server",
            },
        });
        let storm = figures::<StormReport>(&storm).unwrap();
        assert_eq!(storm.server_cpu_microseconds_per_visit, Some(41.5));
        assert_eq!(storm.opening_p50_microseconds, 2.0);
    }

    #[test]
    fn a_report_without_figures_is_refused() {
        let mut other = run_report();
        other["schema"] = json!("ringload-run/2");
        assert!(figures::<RunReport>(&other).is_err());
        let mut silent = run_report();
        silent["result"]["messages"] = json!(0);
        assert!(figures::<RunReport>(&silent).is_err());
        let mut failed = run_report();
        failed["result"] = Value::Null;
        assert!(figures::<RunReport>(&failed).is_err());
    }

    fn idle(connections: u64, rss: [u64; 3], full: [f64; 2]) -> Idle {
        let memory = |rss: u64| json!({ "rss_bytes": rss, "rss_anonymous_bytes": rss / 2 });
        let report = json!({
            "schema": "ringload-idle/1",
            "connections_opened": connections,
            "memory_before": memory(rss[0]),
            "memory_full": memory(rss[1]),
            "memory_after": memory(rss[2]),
            "full_unix_seconds": full,
        });
        figures::<IdleReport>(&report).unwrap()
    }

    #[test]
    fn idle_memory_is_the_growth_per_connection_and_what_is_kept_of_it() {
        let idle = idle(100, [1000, 31000, 2000], [1.0, 2.0]);
        assert_eq!(idle.rss_bytes_per_connection, 300.0);
        assert_eq!(idle.rss_bytes_kept_per_connection, 10.0);
        assert_eq!(idle.anonymous_bytes_per_connection, 150.0);
        assert_eq!(idle.anonymous_bytes_kept_per_connection, 5.0);
    }

    #[test]
    fn a_crowd_is_the_sum_of_servers_that_were_full_at_one_time() {
        let one = idle(100, [1000, 31000, 2000], [1.0, 3.0]);
        let other = idle(200, [1000, 31000, 1000], [2.0, 4.0]);
        let both = Idle::together(&[one.clone(), other]).unwrap();
        assert_eq!((both.connections, both.full.rss_bytes), (300, 62000));
        assert_eq!(both.rss_bytes_per_connection, 200.0);
        assert_eq!(both.full_unix_seconds, [2.0, 3.0]);
        let late = idle(1, [0, 0, 0], [3.0, 4.0]);
        assert!(Idle::together(&[one, late]).is_err());
    }
}

//! Running the load generator and reading its report.

use super::plan::Workload;
use super::process::{Interrupt, Process};
use super::server::Server;
use anyhow::{Context, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a run may take beyond its measured time: connecting, draining, writing.
const RUN_MARGIN: Duration = Duration::from_secs(30);

/// Opening and holding some ten thousand connections.
const IDLE_LIMIT: Duration = Duration::from_secs(90);

/// How the generator's side of a run is set up.
pub(crate) struct Generator<'a> {
    pub(crate) program: &'a Path,
    /// Directory of the results. The generator works in it, so that the command line it records
    /// names files as a reader of the results finds them.
    pub(crate) results: &'a Path,
    pub(crate) cpu: usize,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
}

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

/// What idle connections cost a server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Idle {
    pub(crate) connections: u64,
    pub(crate) rss_bytes_per_connection: f64,
    pub(crate) rss_bytes_before: u64,
    /// With all connections open.
    pub(crate) rss_bytes_full: u64,
    /// A second after all were closed.
    pub(crate) rss_bytes_after: u64,
}

impl Generator<'_> {
    /// Puts `server` under `workload`; the generator writes its whole report to `raw`, relative to
    /// the results.
    pub(crate) fn run(
        &self,
        server: &Server,
        workload: &Workload,
        raw: &str,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Run> {
        let mut command = self.command("run", server);
        command
            .args(["--binary", "--threads", "1"])
            .args(["--connections", &workload.connections.to_string()])
            .args(["--depth", &workload.depth.to_string()])
            .args(["--size", &workload.size_bytes.to_string()])
            .args(["--duration", &format!("{}ms", self.duration.as_millis())])
            .args(["--warmup", &format!("{}ms", self.warmup.as_millis())])
            .args(["--cpu", &self.cpu.to_string()]);
        let limit = self.warmup + self.duration + RUN_MARGIN;
        self.report_of::<RunReport>(command, raw, limit, interrupt)?
            .into_run()
    }

    /// Holds `connections` idle connections to `server` and reads its memory.
    pub(crate) fn idle(
        &self,
        server: &Server,
        connections: u64,
        raw: &str,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Idle> {
        let mut command = self.command("idle", server);
        command.args(["--connections", &connections.to_string()]);
        self.report_of::<IdleReport>(command, raw, IDLE_LIMIT, interrupt)?
            .into_idle()
    }

    fn command(&self, subcommand: &str, server: &Server) -> Command {
        let mut command = Command::new(self.program);
        command
            .arg0("ringload")
            .current_dir(self.results)
            .args([
                subcommand,
                &server.url,
                "--server-pid",
                &server.id().to_string(),
                "--quiet",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn report_of<Report: DeserializeOwned>(
        &self,
        mut command: Command,
        raw: &str,
        limit: Duration,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Report> {
        let mut process = Process::start(command.args(["--json", raw]), &[self.cpu])?;
        let status = process.wait(limit, interrupt).context("ringload")?;
        if !status.success() {
            let mut complaint = String::new();
            if let Some(mut stderr) = process.child().stderr.take() {
                stderr.read_to_string(&mut complaint)?;
            }
            interrupt.check()?;
            bail!("ringload failed ({status}): {}", complaint.trim());
        }
        let file = File::open(self.results.join(raw)).context("ringload wrote no report")?;
        serde_json::from_reader(file).context("ringload wrote a report of an unknown form")
    }
}

/// The parts of `ringload-run/1` that are compared.
#[derive(Deserialize)]
struct RunReport {
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

impl RunReport {
    fn into_run(self) -> anyhow::Result<Run> {
        ensure!(
            self.schema == "ringload-run/1",
            "ringload wrote {}",
            self.schema
        );
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

/// The parts of `ringload-idle/1` that are compared.
#[derive(Deserialize)]
struct IdleReport {
    schema: String,
    connections_opened: u64,
    memory_before: Memory,
    memory_full: Memory,
    memory_after: Memory,
    growth: Option<Growth>,
}

#[derive(Deserialize)]
struct Memory {
    rss_bytes: u64,
}

#[derive(Deserialize)]
struct Growth {
    rss_bytes_per_connection: f64,
}

impl IdleReport {
    fn into_idle(self) -> anyhow::Result<Idle> {
        ensure!(
            self.schema == "ringload-idle/1",
            "ringload wrote {}",
            self.schema
        );
        let growth = self.growth.context("no connection was held")?;
        Ok(Idle {
            connections: self.connections_opened,
            rss_bytes_before: self.memory_before.rss_bytes,
            rss_bytes_full: self.memory_full.rss_bytes,
            rss_bytes_after: self.memory_after.rss_bytes,
            rss_bytes_per_connection: growth.rss_bytes_per_connection,
        })
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

    fn read(report: Value) -> anyhow::Result<Run> {
        serde_json::from_value::<RunReport>(report)?.into_run()
    }

    #[test]
    fn nanoseconds_become_microseconds() {
        let run = read(run_report()).unwrap();
        assert_eq!(run.latency_p50_microseconds, 1.5);
        assert_eq!(run.latency_p99_microseconds, 9.0);
        assert_eq!(run.server_cpu_microseconds_per_message, Some(4.5));
        assert_eq!(run.generator_cpu_microseconds_per_message, Some(2.5));
        assert_eq!(run.saturated, "server");
    }

    #[test]
    fn a_report_without_figures_is_refused() {
        let mut other = run_report();
        other["schema"] = json!("ringload-run/2");
        assert!(read(other).is_err());
        let mut silent = run_report();
        silent["result"]["messages"] = json!(0);
        assert!(read(silent).is_err());
        let mut failed = run_report();
        failed["result"] = Value::Null;
        assert!(read(failed).is_err());
    }

    #[test]
    fn idle_memory_is_the_growth_per_connection() {
        let report = json!({
            "schema": "ringload-idle/1",
            "connections_opened": 100,
            "memory_before": { "rss_bytes": 1000 },
            "memory_full": { "rss_bytes": 31000 },
            "memory_after": { "rss_bytes": 2000 },
            "growth": { "rss_bytes_per_connection": 300.0 },
        });
        let idle = serde_json::from_value::<IdleReport>(report)
            .unwrap()
            .into_idle()
            .unwrap();
        assert_eq!(idle.rss_bytes_per_connection, 300.0);
        assert_eq!((idle.connections, idle.rss_bytes_full), (100, 31000));
    }
}

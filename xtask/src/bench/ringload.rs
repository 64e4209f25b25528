//! Running the load generator.

use super::options::Pace;
use super::plan::Workload;
use super::process::{Interrupt, Process};
use super::reports::{Idle, IdleReport, Report, Run, RunReport, Storm, StormReport, read};
use super::server::Server;
use anyhow::{Context, bail};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a run may take beyond its measured time: connecting, draining, writing.
const RUN_MARGIN: Duration = Duration::from_secs(30);

/// Opening, holding and closing some ten thousand connections, several processes at a time.
const IDLE_LIMIT: Duration = Duration::from_secs(180);

/// Visits at a time in a storm.
const STORM_CONNECTIONS: u32 = 64;

/// How the generator's side of a run is set up.
pub(crate) struct Generator<'a> {
    pub(crate) program: &'a Path,
    /// Directory of the results. The generator works in it, so that the command line it records
    /// names files as a reader of the results finds them.
    pub(crate) results: &'a Path,
    pub(crate) cpu: usize,
    pub(crate) interrupt: &'a Interrupt,
}

/// A generator that is at work. Dropping it ends it.
pub(crate) struct Working {
    process: Process,
    raw: String,
}

impl Generator<'_> {
    /// Puts `server` under `workload`; the generator writes its whole report to `raw`, relative to
    /// the results, as in all that follow.
    pub(crate) fn run(
        &self,
        server: &Server,
        workload: &Workload,
        pace: Pace,
        raw: &str,
    ) -> anyhow::Result<Run> {
        let mut command = self.command("run", server);
        command
            .args(["--binary", "--threads", "1"])
            .args(["--connections", &workload.connections.to_string()])
            .args(["--depth", &workload.depth.to_string()])
            .args(["--size", &workload.size_bytes.to_string()]);
        self.timed(&mut command, pace);
        let working = self.start(command, raw)?;
        self.finish::<RunReport>(working, pace.warmup + pace.duration + RUN_MARGIN)
    }

    /// Has visits come and go at `server`, of which those after the warm-up are measured, as many
    /// as `visits` is long; all have numbers from its start, and so source addresses of their own.
    pub(crate) fn storm(
        &self,
        server: &Server,
        visits: Range<u64>,
        pace: Pace,
        raw: &str,
    ) -> anyhow::Result<Storm> {
        let mut command = self.command("storm", server);
        command
            .args(["--connections", &STORM_CONNECTIONS.to_string()])
            .args(["--first-visit", &visits.start.to_string()])
            .args(["--visits", &(visits.end - visits.start).to_string()]);
        self.timed(&mut command, pace);
        let working = self.start(command, raw)?;
        self.finish::<StormReport>(working, pace.warmup + pace.duration + RUN_MARGIN)
    }

    /// Starts to hold `connections` idle connections to `server` and to read its memory.
    pub(crate) fn begin_idle(
        &self,
        server: &Server,
        connections: u64,
        (hold, settle): (Duration, Duration),
        raw: &str,
    ) -> anyhow::Result<Working> {
        let mut command = self.command("idle", server);
        command
            .args(["--connections", &connections.to_string()])
            .args(["--hold", &milliseconds(hold)])
            .args(["--settle", &milliseconds(settle)]);
        self.start(command, raw)
    }

    /// Waits for the end of that.
    pub(crate) fn finish_idle(&self, working: Working) -> anyhow::Result<Idle> {
        self.finish::<IdleReport>(working, IDLE_LIMIT)
    }

    fn timed(&self, command: &mut Command, pace: Pace) {
        command
            .args(["--duration", &milliseconds(pace.duration)])
            .args(["--warmup", &milliseconds(pace.warmup)])
            .args(["--cpu", &self.cpu.to_string()]);
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

    fn start(&self, mut command: Command, raw: &str) -> anyhow::Result<Working> {
        Ok(Working {
            process: Process::start(command.args(["--json", raw]), &[self.cpu])?,
            raw: raw.to_owned(),
        })
    }

    fn finish<R: Report>(
        &self,
        mut working: Working,
        limit: Duration,
    ) -> anyhow::Result<R::Figures> {
        let process = &mut working.process;
        let status = process.wait(limit, self.interrupt).context("ringload")?;
        if !status.success() {
            let mut complaint = String::new();
            if let Some(mut stderr) = process.child().stderr.take() {
                stderr.read_to_string(&mut complaint)?;
            }
            self.interrupt.check()?;
            bail!("ringload failed ({status}): {}", complaint.trim());
        }
        let file =
            File::open(self.results.join(&working.raw)).context("ringload wrote no report")?;
        read::<R>(file)
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

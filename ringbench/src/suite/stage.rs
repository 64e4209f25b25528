//! Starting the servers of a round, and running the generator against them.
//!
//! A server gets one process for each round, started when it is first needed and warmed before it counts;
//! the workloads of that round share it. So two processes of one program, which differ by how their memory
//! lies, are as many samples as there are rounds, and yet a server is measured warm, as it would be in
//! service. Idle memory needs a process that has not done anything yet: each such run has its own. Servers
//! that stand by are expected to cost nothing; that is checked, not assumed.

use std::time::{Duration, Instant};

use anyhow::bail;
use ringload::interrupt::Interrupt;
use ringload::observe::placement::{Placement, cpu_list};
use ringload::observe::process::family_tasks;
use ringload::trial::generator::{Generator, Outcome};
use ringload::trial::process::check;
use ringload::trial::server::Server;

use super::peers::{Certificate, Peer, Places};
use super::plan::{Step, time_of};
use super::results::Results;
use super::time_wait::first_visit;
use super::workload::{Kind, Workload};

/// Descriptors that a process needs beside its connections.
const SPARE_FILES: u64 = 200;

/// What a run may take beyond what is planned for it, and twice that.
const RUN_MARGIN: Duration = Duration::from_secs(60);

/// Load before the first measurement of a process: runtimes compile their code meanwhile.
const WARMING: [&str; 2] = ["--connections=16", "--depth=4"];

/// How long that lasts.
const WARMING_DURATION: &str = "300ms";

/// Load that a server must answer rightly before it is measured at all: lengths of one byte and of eight,
/// more than one receive, text and binary.
const CHECKS: [&[&str]; 4] = [
    &["--size=100000", "--connections=2", "--depth=2"],
    &["--size=100000", "--connections=2", "--depth=2", "--text"],
    &["--size=1", "--connections=2", "--depth=4"],
    &["--size=1", "--connections=2", "--depth=4", "--text"],
];

/// How long each of them lasts.
const CHECK_DURATION: &str = "50ms";

/// How long a load lasts that went wrong in so short a time: on a busy machine nothing may have come back
/// yet. What is really wrong is so again.
const SECOND_DURATION: &str = "2s";

/// What all runs share.
pub(super) struct Stage<'a> {
    pub(super) peers: &'a [Peer],
    pub(super) places: &'a Places,
    pub(super) placement: &'a Placement,
    pub(super) results: &'a Results,
    pub(super) interrupt: &'a Interrupt,
    /// Of TLS servers; `None` if no workload needs one.
    pub(super) certificate: Option<Certificate>,
    /// Most files that a process may have open.
    pub(super) open_files_max: u64,
    pub(super) seed: u64,
    /// Most visits of any storm, for their numbers.
    pub(super) visits_max: u64,
}

/// A server's process, and whether it speaks TLS.
type Key = (usize, bool);

/// The processes of a round.
pub(super) struct Crew<'a> {
    stage: &'a Stage<'a>,
    up: Vec<(Key, Server)>,
    /// Who used most CPU time while another was measured.
    pub(super) busiest: Option<Bystander>,
}

/// A server that should have done nothing.
pub(super) struct Bystander {
    pub(super) name: String,
    /// Who was measured meanwhile.
    pub(super) beside: String,
    /// CPU time in percent of one CPU.
    pub(super) percent: f64,
}

impl<'a> Stage<'a> {
    /// Nobody is up yet.
    pub(super) fn crew(&'a self) -> Crew<'a> {
        Crew {
            stage: self,
            up: Vec::new(),
            busiest: None,
        }
    }

    /// Starts a server.
    fn start(&self, server: usize, tls: bool) -> anyhow::Result<Server> {
        let certificate = self.certificate.as_ref().filter(|_| tls);
        let launch = self.peers[server].launch(self.places, self.placement, certificate);
        Server::start(&launch, self.interrupt)
    }

    /// Whether a server runs here and echoes rightly: the error says why not.
    pub(super) fn verify(&self, server: usize, tls: bool) -> anyhow::Result<()> {
        let mut process = self.start(server, tls)?;
        for load in CHECKS {
            self.load(&mut process, tls, load, CHECK_DURATION)?;
        }
        Ok(())
    }

    /// A run that is not measured, and must go well.
    fn load(
        &self,
        server: &mut Server,
        tls: bool,
        load: &[&str],
        duration: &str,
    ) -> anyhow::Result<()> {
        let mut arguments = vec!["run".to_owned(), server.url.clone()];
        // An RFC 862 echo has no messages, and so no text.
        let is_for_all = |word: &&&str| **word != "--text" || !server.url.starts_with("tcp");
        arguments.extend(
            load.iter()
                .filter(is_for_all)
                .map(|word| (*word).to_owned()),
        );
        arguments.push("--warmup=0s".to_owned());
        arguments.push(format!(
            "--cpu={}",
            cpu_list(&self.placement.generator_cpus)
        ));
        self.trust(tls, &mut arguments);
        let mut failure = None;
        for duration in [duration, SECOND_DURATION] {
            let arguments = [&arguments[..], &[format!("--duration={duration}")]].concat();
            failure = self.generator().measure(&arguments, RUN_MARGIN)?.failure;
            server.check()?;
            if failure.is_none() {
                return Ok(());
            }
        }
        bail!("{}", failure.unwrap_or_default())
    }

    /// Trusts the certificate of the TLS servers.
    fn trust(&self, tls: bool, arguments: &mut Vec<String>) {
        if let Some(certificate) = self.certificate.as_ref().filter(|_| tls) {
            let path = certificate.cert.strip_prefix(self.results.directory());
            let path = path.unwrap_or(&certificate.cert).display();
            arguments.push(format!("--tls-ca={path}"));
        }
    }

    fn generator(&self) -> Generator<'_> {
        Generator {
            cpus: &self.placement.generator_cpus,
            directory: Some(self.results.directory()),
            interrupt: self.interrupt,
        }
    }

    /// How many processes of a server hold the connections of an idle workload.
    pub(super) fn processes(&self, workload: &Workload) -> u64 {
        let each = self.open_files_max.saturating_sub(SPARE_FILES).max(1);
        workload.number("connections", 10_000).div_ceil(each).max(1)
    }

    /// The arguments of a measured run.
    fn arguments(
        &self,
        step: Step,
        workload: &Workload,
        servers: &[&Server],
    ) -> anyhow::Result<Vec<String>> {
        let mut arguments = vec![workload.kind.name().to_owned()];
        arguments.extend(servers.iter().map(|server| server.url.clone()));
        arguments.extend(workload.arguments().map_err(anyhow::Error::msg)?);
        arguments.extend(
            servers
                .iter()
                .map(|server| format!("--server-pid={}", server.id())),
        );
        let seed = self.seed.wrapping_add(step.position as u64);
        arguments.push(format!("--seed={seed}"));
        let cpus = &self.placement.generator_cpus;
        if workload.kind != Kind::Idle {
            arguments.push(format!("--cpu={}", cpu_list(cpus)));
        }
        if workload.kind == Kind::Storm {
            if cpus.len() > 1 {
                arguments.push("--threads=auto".to_owned());
            }
            let first = first_visit(step.position, self.visits_max);
            arguments.push(format!("--first-visit={first}"));
        }
        self.trust(workload.tls, &mut arguments);
        Ok(arguments)
    }
}

impl Crew<'_> {
    /// Measures `workload` at a server. A run that fails is an outcome, and ends that process; the error
    /// is that there was no run.
    pub(super) fn measure(&mut self, step: Step, workload: &Workload) -> anyhow::Result<Outcome> {
        match workload.kind {
            Kind::Idle => self.measure_afresh(step, workload),
            _ => self.measure_warm(step, workload),
        }
    }

    fn measure_warm(&mut self, step: Step, workload: &Workload) -> anyhow::Result<Outcome> {
        let key = (step.server, workload.tls);
        if !self.up.iter().any(|(other, _)| *other == key) {
            let mut server = self.stage.start(step.server, workload.tls)?;
            self.stage
                .load(&mut server, workload.tls, &WARMING, WARMING_DURATION)?;
            self.up.push((key, server));
        }
        let at = self.up.iter().position(|(other, _)| *other == key);
        let at = at.unwrap_or_default();
        let arguments = self.stage.arguments(step, workload, &[&self.up[at].1])?;
        let (before, start) = (self.cpu_ns(), Instant::now());
        let limit = 2 * time_of(workload) + RUN_MARGIN;
        let mut outcome = self.stage.generator().measure(&arguments, limit)?;
        self.watch(at, &before, start.elapsed());
        if outcome.failure.is_some() {
            let (_, mut server) = self.up.remove(at);
            if let Err(ended) = server.check() {
                outcome.failure = Some(format!("{ended:#}"));
            }
        }
        Ok(outcome)
    }

    fn measure_afresh(&mut self, step: Step, workload: &Workload) -> anyhow::Result<Outcome> {
        let start = |_| self.stage.start(step.server, workload.tls);
        let servers = (0..self.stage.processes(workload)).map(start);
        let mut servers: Vec<Server> = servers.collect::<anyhow::Result<_>>()?;
        let all: Vec<&Server> = servers.iter().collect();
        let arguments = self.stage.arguments(step, workload, &all)?;
        let limit = 2 * time_of(workload) + RUN_MARGIN;
        let mut outcome = self.stage.generator().measure(&arguments, limit)?;
        if outcome.failure.is_some() {
            let ended = servers.iter_mut().find_map(|server| server.check().err());
            if let Some(ended) = ended {
                outcome.failure = Some(format!("{ended:#}"));
            }
        }
        Ok(outcome)
    }

    /// Ends the processes that none of `steps` needs.
    pub(super) fn dismiss(&mut self, steps: &[Step], workloads: &[Workload]) -> anyhow::Result<()> {
        check(self.stage.interrupt)?;
        self.up.retain(|(key, _)| {
            steps.iter().any(|step| {
                let workload = &workloads[step.workload];
                (step.server, workload.tls) == *key && workload.kind != Kind::Idle
            })
        });
        Ok(())
    }

    /// CPU time so far of each process, with what it started; 0 of what cannot be read.
    fn cpu_ns(&self) -> Vec<u64> {
        let of = |(_, server): &(Key, Server)| {
            let pid = server.id().cast_signed();
            let tasks = family_tasks(&[pid]).unwrap_or_default();
            tasks.values().map(|task| task.cpu_ns).sum()
        };
        self.up.iter().map(of).collect()
    }

    /// Remembers who used most since `before`, all but the one at `measured`.
    fn watch(&mut self, measured: usize, before: &[u64], time: Duration) {
        let now = self.cpu_ns();
        let used = now.iter().zip(before).enumerate();
        let others = used.filter(|(at, _)| *at != measured);
        let percent = |(now, before): (&u64, &u64)| {
            100.0 * now.saturating_sub(*before) as f64 / time.as_nanos() as f64
        };
        let most = others
            .map(|(at, pair)| (at, percent(pair)))
            .max_by(|one, other| one.1.total_cmp(&other.1));
        if let Some((at, percent)) = most
            && self
                .busiest
                .as_ref()
                .is_none_or(|busiest| percent > busiest.percent)
        {
            self.busiest = Some(Bystander {
                name: self.up[at].1.name.clone(),
                beside: self.up[measured].1.name.clone(),
                percent,
            });
        }
    }
}

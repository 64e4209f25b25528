//! Starting the servers of a round, and running the generator against them.
//!
//! A server gets one process for each round, started when it is first needed and warmed before it counts;
//! the workloads of that round share it. So two processes of one program, which differ by how their memory
//! lies, are as many samples as there are rounds, and yet a server is measured warm, as it would be in
//! service. Where memory is what is asked for, a run has a process of its own.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use ringload::observe::placement::cpu_list;
use ringload::observe::process::resident_bytes;
use ringload::trial::server::Server;

use super::conduct::Conductor;
use super::document::{Archive, Run};
use super::plan::Step;
use crate::generator::{self, Measured};

/// What a run may take beyond what is planned for it, and twice that.
const RUN_MARGIN: Duration = Duration::from_secs(60);

/// Load before the first measurement of a process, and for how long: runtimes compile their code meanwhile.
const WARMING: (&str, &str) = ("--connections=16 --in-flight=4", "300ms");

/// Load that a server must answer rightly before it is measured at all: lengths of one byte and of eight, more than
/// one receive; where there are messages, of text, too.
const CHECKS: [(&str, &str); 3] = [
    ("--connections=2 --in-flight=2 --size=100000", "50ms"),
    ("--connections=2 --in-flight=4 --size=1", "50ms"),
    (TEXT, "50ms"),
];
const TEXT: &str = "--connections=2 --in-flight=2 --size=1..100000 --text";

/// How long a load lasts that went wrong in so short a time: on a busy machine nothing may have come back
/// yet. What is really wrong is so again.
const SECOND_DURATION: &str = "2s";

/// Sessions are numbered on from run to run by this many, more than any run has: towards 127.0.0.0/8 the generator
/// gives every 20,000 a source address of their own, so none needs a port that an earlier one left in TIME_WAIT.
const SESSIONS_MAX: u64 = 200_000;
const NUMBERS: u64 = 1 << 31;

impl Conductor<'_> {
    fn start(&self, server: usize, tls: bool) -> anyhow::Result<Server> {
        let placement = &self.archive.suite.placement;
        let launch = self.peers[server].launch(self.places, placement, tls);
        Server::start(&launch, self.interrupt)
    }

    /// Whether a server runs here and echoes rightly: the error says why not.
    pub(super) fn verify(&self, server: usize, tls: bool) -> anyhow::Result<()> {
        let mut process = self.start(server, tls)?;
        for load in CHECKS {
            // An RFC 862 echo has no messages, and so no text.
            if load.0 != TEXT || !process.url.starts_with("tcp") {
                self.load(&mut process, load)?;
            }
        }
        Ok(())
    }

    /// A run that is not measured, and must go well.
    fn load(&self, server: &mut Server, (load, duration): (&str, &str)) -> anyhow::Result<()> {
        let mut failure = None;
        for duration in [duration, SECOND_DURATION] {
            let url = &server.url;
            let words = format!("run {url} {load} --warmup=0s --duration={duration}");
            let words = words.split(' ').map(str::to_owned).collect();
            (_, failure) = self.generate(words, url, RUN_MARGIN)?;
            server.check()?;
            if failure.is_none() {
                break;
            }
        }
        failure.map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))
    }

    fn generate(
        &self,
        mut arguments: Vec<String>,
        url: &str,
        limit: Duration,
    ) -> anyhow::Result<Measured> {
        let cpus = &self.archive.suite.placement.generator_cpus;
        if arguments[0] != "idle" {
            arguments.push(format!("--cpu={}", cpu_list(cpus)));
        }
        if url.starts_with("wss") {
            arguments.push("--tls-ca=cert.pem".to_owned());
        }
        let directory = &self.places.temporary;
        generator::measure(&arguments, cpus, directory, limit, self.interrupt)
    }

    /// Measures. A run that fails is one, too, if it left a document; the second is why it failed. The error is that
    /// there was no run.
    pub(super) fn measure(&mut self, step: Step) -> anyhow::Result<(Run, Option<String>)> {
        let workload = &self.archive.suite.workloads[step.workload];
        let key = (step.server, workload.tls);
        let shared = (!workload.is_alone()).then(|| self.up.remove(&key));
        let mut server = match shared.flatten() {
            Some(server) => server,
            None => {
                let mut server = self.start(step.server, workload.tls)?;
                if workload.kind != "idle" {
                    self.load(&mut server, WARMING)?;
                }
                server
            }
        };
        let rss_before_bytes = resident_bytes(server.id().cast_signed()).ok();
        let arguments = self.arguments(step, &server)?;
        let limit = 2 * workload.length() + RUN_MARGIN;
        let (document, mut failure) = self.generate(arguments, &server.url, limit)?;
        if failure.is_some() {
            // A server that has ended says best why.
            let ended = server.check().err().map(|ended| format!("{ended:#}"));
            failure = ended.or(failure);
        } else if !workload.is_alone() {
            self.up.insert(key, server);
        }
        let run = Run {
            round: step.round,
            server: self.peers[step.server].entry.name.clone(),
            workload: workload.name.clone(),
            rss_before_bytes,
            document: document.with_context(|| failure.clone().unwrap_or_default())?,
        };
        Ok((run, failure))
    }

    /// The arguments of a measured run.
    fn arguments(&self, step: Step, server: &Server) -> anyhow::Result<Vec<String>> {
        let Archive { suite, .. } = &self.archive;
        let workload = &suite.workloads[step.workload];
        let mut arguments = vec![workload.kind.clone(), server.url.clone()];
        arguments.extend(workload.arguments().map_err(anyhow::Error::msg)?);
        let position = step.position as u64;
        arguments.push(format!("--server-pid={}", server.id()));
        arguments.push(format!("--seed={}", suite.seed.wrapping_add(position)));
        if workload.kind == "churn" {
            if suite.placement.generator_cpus.len() > 1 {
                arguments.push("--threads=auto".to_owned());
            }
            let first = position.wrapping_mul(SESSIONS_MAX) % NUMBERS;
            arguments.push(format!("--first-session={first}"));
        }
        Ok(arguments)
    }

    /// Ends the processes that none of `steps` in this round needs.
    pub(super) fn dismiss(&mut self, round: u32, steps: &[Step]) {
        let steps = steps.iter().take_while(|step| step.round == round);
        let key = |step: &Step| {
            let workload = &self.archive.suite.workloads[step.workload];
            (!workload.is_alone()).then_some((step.server, workload.tls))
        };
        let needed: HashSet<(usize, bool)> = steps.filter_map(key).collect();
        self.up.retain(|key, _| needed.contains(key));
    }
}

//! Starting the servers of a round, and running the generator against them.
//!
//! A server gets one process for each round, started when it is first needed and warmed before it counts;
//! the workloads of that round share it. So two processes of one program, which differ by how their memory
//! lies, are as many samples as there are rounds, and yet a server is measured warm, as it would be in
//! service. Where memory is what is asked for, a run has a process of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use ringload::interrupt::Interrupt;
use ringload::observe::placement::{Placement, cpu_list};
use ringload::observe::process::resident_bytes;
use ringload::trial::generator::{Generator, Outcome};
use ringload::trial::server::Server;

use super::document::Run;
use super::peers::Places;
use super::plan::{Plan, Step};
use crate::selftest::document_of;

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

/// The processes of a round.
pub(super) struct Stage<'a> {
    pub(super) plan: &'a Plan,
    pub(super) places: &'a Places,
    pub(super) placement: &'a Placement,
    pub(super) interrupt: &'a Interrupt,
    pub(super) seed: u64,
    /// Those that more than one run shares, by server and whether they speak TLS.
    pub(super) up: BTreeMap<(usize, bool), Server>,
}

impl Stage<'_> {
    fn start(&self, server: usize, tls: bool) -> anyhow::Result<Server> {
        let launch = self.plan.servers[server].launch(self.places, self.placement, tls);
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
            let words = format!(
                "run {} {load} --warmup=0s --duration={duration}",
                server.url
            );
            let words = words.split(' ').map(str::to_owned).collect();
            failure = self.generate(words, &server.url, RUN_MARGIN)?.failure;
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
    ) -> anyhow::Result<Outcome> {
        let cpus = &self.placement.generator_cpus;
        if arguments[0] != "idle" {
            arguments.push(format!("--cpu={}", cpu_list(cpus)));
        }
        if url.starts_with("wss") {
            arguments.push("--tls-ca=cert.pem".to_owned());
        }
        let directory = Some(self.places.temporary.as_path());
        Generator {
            cpus,
            directory,
            interrupt: self.interrupt,
        }
        .measure(&arguments, limit)
    }

    /// Measures. A run that fails is one, too, if it left a document; the second is why it failed. The error is that
    /// there was no run.
    pub(super) fn measure(&mut self, step: Step) -> anyhow::Result<(Run, Option<String>)> {
        let workload = &self.plan.workloads[step.workload];
        let key = (step.server, workload.tls);
        let up = if workload.is_alone() {
            None
        } else {
            self.up.remove(&key)
        };
        let mut server = match up {
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
        let mut outcome = self.generate(arguments, &server.url, limit)?;
        if outcome.failure.is_some() {
            // A server that has ended says best why.
            let ended = server.check().err().map(|ended| format!("{ended:#}"));
            outcome.failure = ended.or(outcome.failure);
        } else if !workload.is_alone() {
            self.up.insert(key, server);
        }
        let run = Run {
            round: step.round,
            server: self.plan.servers[step.server].entry.name.clone(),
            workload: workload.name.clone(),
            rss_before_bytes,
            document: document_of(&outcome)?,
        };
        Ok((run, outcome.failure))
    }

    /// The arguments of a measured run.
    fn arguments(&self, step: Step, server: &Server) -> anyhow::Result<Vec<String>> {
        let workload = &self.plan.workloads[step.workload];
        let mut arguments = vec![workload.kind.clone(), server.url.clone()];
        arguments.extend(workload.arguments().map_err(anyhow::Error::msg)?);
        let position = step.position as u64;
        arguments.push(format!("--server-pid={}", server.id()));
        arguments.push(format!("--seed={}", self.seed.wrapping_add(position)));
        if workload.kind == "churn" {
            if self.placement.generator_cpus.len() > 1 {
                arguments.push("--threads=auto".to_owned());
            }
            let first = position.wrapping_mul(SESSIONS_MAX) % NUMBERS;
            arguments.push(format!("--first-session={first}"));
        }
        Ok(arguments)
    }

    /// Ends the processes that none of `steps` needs.
    pub(super) fn dismiss(&mut self, steps: &[Step]) {
        self.up.retain(|key, _| {
            steps.iter().any(|step| {
                let workload = &self.plan.workloads[step.workload];
                (step.server, workload.tls) == *key && !workload.is_alone()
            })
        });
    }
}

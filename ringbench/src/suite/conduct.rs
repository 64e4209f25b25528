//! From the preparation to the last run: every run in its order, whatever becomes of one of them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ringload::output::tell;
use ringload::result::Status;
use ringload::trial::agenda::{Agenda, short};
use ringload::trial::process::{Interrupted, check};

use super::document::{Line, Run, ServerStatus, SuiteDocument, WorkloadEntry};
use super::environment::now;
use super::install::prepare;
use super::plan::Step;
use super::results::Results;
use super::stage::Stage;
use crate::selftest;

/// How long each load of the self-test lasts.
const SELFTEST: Duration = Duration::from_secs(1);
const SELFTEST_MIN: Duration = Duration::from_millis(200);

/// Failures of a server in a row after which it is given up.
const STRIKES_MAX: usize = 3;

/// One suite under way.
pub(super) struct Conductor<'a> {
    pub(super) stage: Stage<'a>,
    pub(super) results: Results,
    pub(super) quiet: bool,
    pub(super) document: SuiteDocument,
    /// What was measured before.
    pub(super) runs: Vec<Run>,
    pub(super) has_selftest: bool,
}

impl Conductor<'_> {
    /// Does what is missing of `steps`.
    pub(super) fn conduct(&mut self, steps: &[Step]) -> anyhow::Result<Status> {
        let status = match self.prepare_and_measure(steps) {
            Ok(()) if self.document.failures.is_empty() => Status::Ok,
            Ok(()) => Status::Failed,
            Err(error) if error.is::<Interrupted>() => Status::Interrupted,
            Err(error) => return Err(error),
        };
        self.document.status = status;
        self.document.error = match status {
            Status::Interrupted => Some("interrupted".to_owned()),
            _ => self.document.failures.first().cloned(),
        };
        if status != Status::Interrupted {
            self.document.finished = Some(now());
        }
        self.save()?;
        Ok(status)
    }

    fn prepare_and_measure(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        let without = self.prepare()?;
        self.selftest()?;
        self.save()?;
        let mut left = self.stage.plan.left(steps, &self.document, &self.runs);
        left.retain(|step| {
            let workload = &self.stage.plan.workloads[step.workload];
            !without.contains(&(step.server, workload.tls))
        });
        self.measure(&left)
    }

    /// Installs every server and has it echo; takes out those that cannot. Returns who takes no part, with or without
    /// TLS.
    fn prepare(&mut self) -> anyhow::Result<HashSet<(usize, bool)>> {
        let plan = self.stage.plan;
        let mut without = HashSet::new();
        for (server, peer) in plan.servers.iter().enumerate() {
            if self.document.servers[server].status != ServerStatus::Ok {
                continue;
            }
            self.say(&format!("preparing {}", peer.entry.name));
            match prepare(peer, self.stage.places, self.stage.interrupt)? {
                Ok(version) => self.document.servers[server].version = version,
                Err(why) => {
                    self.skip(server, &why);
                    continue;
                }
            }
            let name = &peer.entry.name;
            let meets = |tls| {
                let its = |it: &&WorkloadEntry| it.tls == tls && it.servers.contains(name);
                plan.workloads.iter().any(|it| its(&it))
            };
            for tls in [false, true] {
                let verified = meets(tls).then(|| self.stage.verify(server, tls));
                check(self.stage.interrupt)?;
                let Some(Err(why)) = verified else {
                    continue;
                };
                let why = self.results.clean(&format!("{why:#}"));
                if !tls {
                    self.skip(server, &why);
                    break;
                }
                let why = why.trim_end_matches('.');
                self.note(format!("{name} takes no part over TLS: {why}."));
                without.insert((server, tls));
            }
        }
        Ok(without)
    }

    /// Takes a server out before it was ever measured; of one that was, it is a failure.
    fn skip(&mut self, server: usize, why: &str) {
        let why = why.trim_end_matches('.').to_owned();
        let entry = &mut self.document.servers[server];
        let name = entry.name.clone();
        entry.reason = Some(why.clone());
        if self.runs.iter().any(|run| run.server == name) {
            entry.status = ServerStatus::Failed;
            self.fail(format!("{name} cannot be measured any more: {why}."));
        } else {
            entry.status = ServerStatus::Skipped;
            self.say(&format!("{name} is skipped: {why}"));
        }
    }

    /// Measures the generator itself, unless that was done. Servers are not up yet: its peer takes a CPU of theirs.
    fn selftest(&mut self) -> anyhow::Result<()> {
        if self.has_selftest {
            return Ok(());
        }
        self.say("self-test of the generator");
        // Each of its loads as long as the suite's runs, up to a second.
        let workloads = self.stage.plan.workloads.iter();
        let lengths = workloads.map(|workload| workload.time("duration", 5000));
        let length = lengths
            .min()
            .unwrap_or_default()
            .clamp(SELFTEST_MIN, SELFTEST);
        let Stage {
            placement,
            interrupt,
            ..
        } = self.stage;
        let document = selftest::measure(placement, length, "auto", true, interrupt)?;
        check(interrupt)?;
        if let Some(why) = &document.error {
            let why = why.trim_end_matches('.');
            self.note(format!("The self-test of the generator failed: {why}."));
        }
        let document = serde_json::to_value(&document)?;
        self.results.write(&Line::Selftest(document))
    }

    fn measure(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        let times = self.stage.plan.times(steps);
        let mut agenda = Agenda::new(times.iter().sum(), self.quiet);
        let begun = Instant::now();
        let ended = self.measure_all(steps, &times, &mut agenda);
        agenda.finish();
        ended?;
        let took = short(begun.elapsed());
        self.say(&format!("{} runs in {took}", steps.len()));
        Ok(())
    }

    fn measure_all(
        &mut self,
        steps: &[Step],
        times: &[Duration],
        agenda: &mut Agenda,
    ) -> anyhow::Result<()> {
        let mut strikes = vec![0; self.stage.plan.servers.len()];
        for (at, &step) in steps.iter().enumerate() {
            if strikes[step.server] >= STRIKES_MAX {
                agenda.leave_out(times[at]);
                continue;
            }
            let server = &self.stage.plan.servers[step.server].entry.name;
            let workload = &self.stage.plan.workloads[step.workload].name;
            let run = format!("{server}, {workload}, round {}", step.round);
            agenda.step(times[at], &run);
            let measured = self.step(step);
            check(self.stage.interrupt)?;
            let was_failure = self.forget(&run);
            strikes[step.server] = measured.as_ref().map_or(strikes[step.server] + 1, |()| 0);
            if let Err(error) = &measured {
                let why = self.results.clean(&format!("{error:#}"));
                let why = why.trim_end_matches('.');
                agenda.say(&format!("FAILED: {run}: {why}"));
                self.fail(format!("{run}: {why}."));
                if strikes[step.server] == STRIKES_MAX {
                    let entry = &mut self.document.servers[step.server];
                    entry.status = ServerStatus::Failed;
                    entry.reason = Some(why.to_owned());
                    let times = format!("{STRIKES_MAX} failures in a row");
                    self.fail(format!("{server} is given up after {times}."));
                }
            }
            if measured.is_err() || was_failure {
                self.save()?;
            }
            let rest = steps[at + 1..].iter();
            let rest = rest.take_while(|next| next.round == step.round).count();
            self.stage.dismiss(&steps[at + 1..][..rest]);
        }
        Ok(())
    }

    /// One run, kept. The error is why it is none, or one that failed.
    fn step(&mut self, step: Step) -> anyhow::Result<()> {
        let (run, failure) = self.stage.measure(step)?;
        self.results.write(&Line::Run(Box::new(run)))?;
        failure.map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))
    }

    fn note(&mut self, sentence: String) {
        if !self.document.notes.contains(&sentence) {
            self.say(&sentence);
            self.document.notes.push(sentence);
        }
    }

    fn fail(&mut self, sentence: String) {
        if !self.document.failures.contains(&sentence) {
            self.document.failures.push(sentence);
        }
    }

    /// Takes away what was said of a run, such as `node-ws, 64x32B-d1, round 3`: it was done again. Whether there was
    /// anything.
    fn forget(&mut self, run: &str) -> bool {
        let failures = &mut self.document.failures;
        let count = failures.len();
        failures.retain(|sentence| !sentence.starts_with(&format!("{run}: ")));
        failures.len() < count
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            tell(text);
        }
    }

    fn save(&mut self) -> anyhow::Result<()> {
        let document = Box::new(self.document.clone());
        self.results.write(&Line::Suite(document))
    }
}

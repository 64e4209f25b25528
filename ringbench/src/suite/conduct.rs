//! From the preparation to the last run: every run in its order, whatever becomes of one of them.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use ringload::interrupt::Interrupt;
use ringload::output::tell;
use ringload::result::Status;
use ringload::trial::agenda::{Agenda, short};
use ringload::trial::process::{Interrupted, check};
use ringload::trial::server::Server;

use super::document::{Archive, Line, ServerStatus};
use super::environment::now;
use super::install::prepare;
use super::peers::{Peer, Places};
use super::plan::Step;
use super::results::Results;
use crate::selftest;

/// How long each load of the self-test lasts.
const SELFTEST: Duration = Duration::from_secs(1);
const SELFTEST_MIN: Duration = Duration::from_millis(200);

/// Failures of a server in a row after which it is given up.
const STRIKES_MAX: usize = 3;

/// One suite under way.
pub(super) struct Conductor<'a> {
    /// What there was before, and of the suite what there is now.
    pub(super) archive: Archive,
    /// The archive's servers, in its order.
    pub(super) peers: Vec<Peer>,
    pub(super) places: &'a Places,
    pub(super) interrupt: &'a Interrupt,
    pub(super) results: Results,
    pub(super) quiet: bool,
    /// The processes that more than one run of a round shares, by server and whether they speak TLS.
    pub(super) up: BTreeMap<(usize, bool), Server>,
}

impl Conductor<'_> {
    /// Does what is missing of `steps`.
    pub(super) fn conduct(&mut self, steps: &[Step]) -> anyhow::Result<Status> {
        let ended = self.prepare_and_measure(steps);
        let suite = &mut self.archive.suite;
        (suite.status, suite.error) = match ended {
            Ok(()) if suite.failures.is_empty() => (Status::Ok, None),
            Ok(()) => (Status::Failed, suite.failures.first().cloned()),
            Err(error) if error.is::<Interrupted>() => {
                (Status::Interrupted, Some("interrupted".to_owned()))
            }
            Err(error) => return Err(error),
        };
        let status = suite.status;
        if status != Status::Interrupted {
            suite.finished = Some(now());
        }
        self.save()?;
        Ok(status)
    }

    fn prepare_and_measure(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        let without_tls = self.prepare()?;
        self.selftest()?;
        self.save()?;
        let Archive { suite, runs, .. } = &self.archive;
        let mut left = suite.left(steps, runs);
        left.retain(|step| {
            !suite.workloads[step.workload].tls || !without_tls.contains(&step.server)
        });
        self.measure_all(&left)
    }

    /// Installs every server and has it echo; takes out those that cannot. Returns who takes no part with TLS.
    fn prepare(&mut self) -> anyhow::Result<HashSet<usize>> {
        let mut without_tls = HashSet::new();
        for server in 0..self.peers.len() {
            let name = self.peers[server].entry.name.clone();
            if self.archive.suite.servers[server].status != ServerStatus::Ok {
                continue;
            }
            self.say(&format!("preparing {name}"));
            let prepared = prepare(&self.peers[server], self.places, self.interrupt);
            let mut ready =
                prepared.map(|version| self.archive.suite.servers[server].version = version);
            for tls in [false, true] {
                let mut workloads = self.archive.suite.workloads.iter();
                if workloads.any(|it| it.tls == tls && it.servers.contains(&name)) {
                    ready = ready.and_then(|()| self.verify(server, tls));
                }
                check(self.interrupt)?;
                let Err(why) = &ready else {
                    continue;
                };
                let why = self.reason(why);
                if !tls {
                    self.skip(server, &why);
                    break;
                }
                self.note(format!("{name} takes no part over TLS: {why}."));
                without_tls.insert(server);
            }
        }
        Ok(without_tls)
    }

    /// Takes a server out before it was ever measured; of one that was, it is a failure.
    fn skip(&mut self, server: usize, why: &str) {
        let Archive { suite, runs, .. } = &mut self.archive;
        let entry = &mut suite.servers[server];
        let name = entry.name.clone();
        entry.reason = Some(why.to_owned());
        if runs.iter().any(|run| run.server == name) {
            entry.status = ServerStatus::Failed;
            self.fail(format!("{name} cannot be measured any more: {why}."));
        } else {
            entry.status = ServerStatus::Skipped;
            self.say(&format!("{name} is skipped: {why}"));
        }
    }

    /// Measures the generator itself, unless that was done. Servers are not up yet: its peer takes a CPU of theirs.
    fn selftest(&mut self) -> anyhow::Result<()> {
        if self.archive.selftest.is_some() {
            return Ok(());
        }
        self.say("self-test of the generator");
        let suite = &self.archive.suite;
        // Each of its loads as long as the suite's runs, up to a second.
        let lengths = suite.workloads.iter().map(|it| it.time("duration", 5000));
        let length = lengths.min().unwrap_or_default();
        let length = length.clamp(SELFTEST_MIN, SELFTEST);
        let document = selftest::measure(&suite.placement, length, "auto", true, self.interrupt)?;
        check(self.interrupt)?;
        if let Some(why) = &document.error {
            let why = why.trim_end_matches('.');
            self.note(format!("The self-test of the generator failed: {why}."));
        }
        let document = serde_json::to_value(&document)?;
        self.results.write(&Line::Selftest(document))
    }

    fn measure_all(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        let times = self.archive.suite.times(steps);
        let mut agenda = Agenda::new(times.iter().sum(), self.quiet);
        let begun = Instant::now();
        let mut strikes = vec![0; self.peers.len()];
        for (at, &step) in steps.iter().enumerate() {
            if strikes[step.server] >= STRIKES_MAX {
                agenda.leave_out(times[at]);
                continue;
            }
            let server = self.peers[step.server].entry.name.clone();
            let workload = &self.archive.suite.workloads[step.workload].name;
            let run = format!("{server}, {workload}, round {}", step.round);
            agenda.step(times[at], &run);
            let measured = self.step(step);
            check(self.interrupt)?;
            let was_failure = self.forget(&run);
            strikes[step.server] = measured.as_ref().map_or(strikes[step.server] + 1, |()| 0);
            if let Err(error) = &measured {
                let why = self.reason(error);
                agenda.say(&format!("FAILED: {run}: {why}"));
                self.fail(format!("{run}: {why}."));
                if strikes[step.server] == STRIKES_MAX {
                    let entry = &mut self.archive.suite.servers[step.server];
                    (entry.status, entry.reason) = (ServerStatus::Failed, Some(why));
                    let times = format!("{STRIKES_MAX} failures in a row");
                    self.fail(format!("{server} is given up after {times}."));
                }
            }
            if measured.is_err() || was_failure {
                self.save()?;
            }
            self.dismiss(step.round, &steps[at + 1..]);
        }
        agenda.finish();
        let took = short(begun.elapsed());
        self.say(&format!("{} runs in {took}", steps.len()));
        Ok(())
    }

    /// One run, kept. The error is why it is none, or one that failed.
    fn step(&mut self, step: Step) -> anyhow::Result<()> {
        let (run, failure) = self.measure(step)?;
        self.results.write(&Line::Run(Box::new(run)))?;
        failure.map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))
    }

    /// Why something failed, as the middle of a sentence.
    fn reason(&self, error: &anyhow::Error) -> String {
        let why = self.results.clean(&format!("{error:#}"));
        why.trim_end_matches('.').to_owned()
    }

    fn note(&mut self, sentence: String) {
        if !self.archive.suite.notes.contains(&sentence) {
            self.say(&sentence);
            self.archive.suite.notes.push(sentence);
        }
    }

    fn fail(&mut self, sentence: String) {
        let failures = &mut self.archive.suite.failures;
        if !failures.contains(&sentence) {
            failures.push(sentence);
        }
    }

    /// Takes away what was said of a run, such as `node-ws, 64x32B-d1, round 3`: it was done again. Whether there was
    /// anything.
    fn forget(&mut self, run: &str) -> bool {
        let failures = &mut self.archive.suite.failures;
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
        let document = Box::new(self.archive.suite.clone());
        self.results.write(&Line::Suite(document))
    }
}

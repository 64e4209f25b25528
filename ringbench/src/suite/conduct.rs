//! From the preparation to the report: every run in its order, whatever becomes of one of them.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use ringload::engine::Choice;
use ringload::interrupt::Interrupt;
use ringload::observe::placement::Placement;
use ringload::output::OutputOptions;
use ringload::output::tell;
use ringload::quantity::CpuList;
use ringload::result::Status;
use ringload::trial::agenda::Agenda;
use ringload::trial::process::{Interrupted, check};
use rustix::process::{Resource, getrlimit};

use super::environment::now;
use super::install::Installer;
use super::peers::Places;
use super::plan::{Step, times};
use super::results::{Results, SELFTEST, raw_path};
use super::scrub::Scrubber;
use super::selection::Selection;
use super::stage::{Crew, Stage};
use super::time_wait::{visits_max, wait_for_room};
use super::workload::{Kind, Workload};
use super::{certificate, left};
use crate::options::selftest::SelftestOptions;
use crate::selftest;
use crate::suite::document::{RunLine, ServerStatus, SuiteDocument};

/// How long each load of the self-test lasts.
const SELFTEST_STEP_MIN: Duration = Duration::from_millis(200);
const SELFTEST_STEP_MAX: Duration = Duration::from_secs(1);

/// Failures of a server after which it is given up.
const STRIKES_MAX: usize = 3;

/// CPU time that servers which stand by may use, in percent of one CPU, before it is worth a note.
const BESIDE_PERCENT_MAX: f64 = 2.0;

/// One suite under way.
pub(super) struct Conductor<'a> {
    pub(super) selection: &'a Selection,
    pub(super) places: &'a Places,
    pub(super) placement: &'a Placement,
    pub(super) results: &'a Results,
    pub(super) scrubber: &'a Scrubber,
    pub(super) interrupt: &'a Interrupt,
    pub(super) quiet: bool,
    pub(super) document: SuiteDocument,
}

impl Conductor<'_> {
    /// Does what is missing of `steps`.
    pub(super) fn conduct(mut self, steps: &[Step]) -> anyhow::Result<Status> {
        let ended = self.prepare_and_measure(steps);
        self.results.tidy();
        let status = match ended {
            Ok(()) if self.document.failures.is_empty() => Status::Ok,
            Ok(()) => Status::Failed,
            Err(error) if error.is::<Interrupted>() => Status::Interrupted,
            Err(error) => return Err(error),
        };
        self.document.status = status;
        self.document.error = match status {
            Status::Ok | Status::Missed => None,
            Status::Failed => self.document.failures.first().cloned(),
            Status::Interrupted => Some("interrupted".to_owned()),
        };
        if status != Status::Interrupted {
            self.document.finished = Some(now());
        }
        self.save()?;
        Ok(status)
    }

    fn prepare_and_measure(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        let needs_tls = self
            .selection
            .workloads
            .iter()
            .any(|(workload, _)| workload.tls);
        let certificate = match needs_tls {
            true => Some(certificate::make(&self.results.temporary()?)?),
            false => None,
        };
        let storms = self
            .workloads()
            .filter(|workload| workload.kind == Kind::Storm);
        let stage = Stage {
            peers: &self.selection.servers,
            places: self.places,
            placement: self.placement,
            results: self.results,
            interrupt: self.interrupt,
            certificate,
            open_files_max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            seed: self.document.seed,
            visits_max: storms.map(visits_max).max().unwrap_or_default(),
        };
        let without = self.prepare(&stage)?;
        self.selftest()?;
        self.save()?;
        let lines = self.results.runs_mended()?;
        let mut left = left(steps, &lines, &self.document, self.selection);
        left.retain(|step| {
            let workload = &self.selection.workloads[step.workload].0;
            !without.contains(&(step.server, workload.tls))
        });
        self.note_crowds(&stage);
        self.measure(&stage, &left)
    }

    fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.selection
            .workloads
            .iter()
            .map(|(workload, _)| workload)
    }

    /// Installs every server and has it echo; takes out those that cannot. Returns who takes no part
    /// over TLS.
    fn prepare(&mut self, stage: &Stage<'_>) -> anyhow::Result<HashSet<(usize, bool)>> {
        let installer = Installer {
            places: self.places,
            scrubber: self.scrubber,
            interrupt: self.interrupt,
            log: self.results.directory().join("install.log"),
        };
        let mut without = HashSet::new();
        for server in 0..self.selection.servers.len() {
            if self.document.servers[server].status != ServerStatus::Ok {
                continue;
            }
            let name = &self.selection.servers[server].name;
            self.say(&format!("preparing {name}"));
            match installer.prepare(&self.selection.servers[server])? {
                Ok(version) => self.document.servers[server].version = Some(version),
                Err(why) => {
                    self.skip(server, &why);
                    continue;
                }
            }
            if self.meets(server, false)
                && let Err(why) = self.verify(stage, server, false)?
            {
                self.skip(server, &why);
                continue;
            }
            if self.meets(server, true)
                && let Err(why) = self.verify(stage, server, true)?
            {
                let name = &self.selection.servers[server].name;
                let why = format!(
                    "{name} takes no part over TLS: {}.",
                    why.trim_end_matches('.')
                );
                self.note(why);
                without.insert((server, true));
            }
        }
        Ok(without)
    }

    /// Whether a server meets any workload with or without TLS.
    fn meets(&self, server: usize, tls: bool) -> bool {
        let is_its = |(workload, servers): &(Workload, Vec<usize>)| {
            workload.tls == tls && servers.contains(&server)
        };
        self.selection.workloads.iter().any(is_its)
    }

    /// Whether it echoes; the inner error is why not.
    fn verify(
        &self,
        stage: &Stage<'_>,
        server: usize,
        tls: bool,
    ) -> anyhow::Result<Result<(), String>> {
        let verified = stage.verify(server, tls);
        check(self.interrupt)?;
        Ok(verified.map_err(|error| self.scrubber.clean(&format!("{error:#}"))))
    }

    /// Takes a server out before it was ever measured; what was measured before is a failure.
    fn skip(&mut self, server: usize, why: &str) {
        let why = why.trim_end_matches('.').to_owned();
        let name = self.document.servers[server].name.clone();
        let lines = self.results.runs();
        let was_measured = lines.iter().any(|line| line.server == name);
        let entry = &mut self.document.servers[server];
        entry.reason = Some(why.clone());
        if was_measured {
            entry.status = ServerStatus::Failed;
            self.fail(format!("{name} cannot be measured any more: {why}."));
        } else {
            entry.status = ServerStatus::Skipped;
            self.say(&format!("{name} is skipped: {why}"));
        }
    }

    /// Measures the generator itself, unless that was done. Servers are not up yet: its peer takes a CPU of theirs.
    fn selftest(&mut self) -> anyhow::Result<()> {
        if self.results.has_selftest() {
            return Ok(());
        }
        self.say("self-test of the generator");
        let Placement {
            server_cpus,
            generator_cpus,
            ..
        } = self.placement;
        // Each of its loads as long as the suite's runs, up to a second.
        let durations = self
            .workloads()
            .filter(|workload| workload.kind == Kind::Run)
            .map(|workload| workload.time("duration", SELFTEST_STEP_MAX));
        let step = durations.min().unwrap_or(SELFTEST_STEP_MAX);
        let step = step.clamp(SELFTEST_STEP_MIN, SELFTEST_STEP_MAX);
        let options = SelftestOptions {
            cpu: Some(CpuList(generator_cpus[..1].to_vec())),
            peer_cpu: Some(CpuList(server_cpus[..1].to_vec())),
            duration: step,
            engine: Choice::Auto,
            output: OutputOptions {
                json: None,
                quiet: true,
            },
        };
        let document = selftest::measure(&options, self.interrupt)?;
        check(self.interrupt)?;
        match &document.error {
            None => self.results.write_json(SELFTEST, &document, self.scrubber),
            Some(why) => {
                let why = why.trim_end_matches('.');
                self.note(format!("There is no self-test of the generator: {why}."));
                Ok(())
            }
        }
    }

    /// Says where several processes of a server stand for one.
    fn note_crowds(&mut self, stage: &Stage<'_>) {
        let crowds: Vec<String> = self
            .workloads()
            .filter(|workload| workload.kind == Kind::Idle && stage.processes(workload) > 1)
            .map(|workload| {
                let (name, processes) = (&workload.name, stage.processes(workload));
                let files = stage.open_files_max;
                format!(
                    "In {name}, {processes} processes of each server hold the connections: one may have {files} open files."
                )
            })
            .collect();
        for crowd in crowds {
            self.note(crowd);
        }
    }

    fn measure(&mut self, stage: &Stage<'_>, steps: &[Step]) -> anyhow::Result<()> {
        let workloads: Vec<Workload> = self.workloads().cloned().collect();
        let times = times(steps, &workloads.iter().collect::<Vec<_>>());
        let mut agenda = Agenda::new(times.iter().sum(), self.quiet);
        let mut crew = stage.crew();
        let mut strikes = vec![0; stage.peers.len()];
        for (at, &step) in steps.iter().enumerate() {
            if strikes[step.server] >= STRIKES_MAX {
                agenda.leave_out(times[at]);
                continue;
            }
            let workload = &workloads[step.workload];
            let name = &stage.peers[step.server].name;
            let text = format!("round {}  {}  {name}", step.round, workload.name);
            let run = format!("{name}, {}, round {}", workload.name, step.round);
            agenda.step(times[at], &text);
            match self.step(&mut crew, step, workload) {
                Ok(()) => {
                    strikes[step.server] = 0;
                    if forget(&mut self.document.failures, &run) {
                        self.save()?;
                    }
                }
                Err(error) => {
                    check(self.interrupt).inspect_err(|_| agenda.finish())?;
                    let why = self.scrubber.clean(&format!("{error:#}"));
                    let why = why.trim_end_matches('.');
                    agenda.say(&format!("FAILED: {run}: {why}"));
                    forget(&mut self.document.failures, &run);
                    self.fail(format!("{run}: {why}."));
                    strikes[step.server] += 1;
                    if strikes[step.server] == STRIKES_MAX {
                        self.give_up(step.server, why);
                    }
                    self.save()?;
                }
            }
            let rest = &steps[at + 1..];
            let in_round = rest
                .iter()
                .take_while(|next| next.round == step.round)
                .count();
            crew.dismiss(&rest[..in_round], &workloads)
                .inspect_err(|_| agenda.finish())?;
        }
        agenda.finish();
        if let Some(busiest) = &crew.busiest
            && busiest.percent > BESIDE_PERCENT_MAX
        {
            let (name, beside, percent) = (&busiest.name, &busiest.beside, busiest.percent);
            self.note(format!(
                "Servers that stood by used up to {percent:.1} % of a CPU each ({name}, while {beside} was measured)."
            ));
        }
        Ok(())
    }

    /// One run, kept. The error is why it is none, or one that failed.
    fn step(&mut self, crew: &mut Crew<'_>, step: Step, workload: &Workload) -> anyhow::Result<()> {
        if workload.kind == Kind::Storm && !wait_for_room(visits_max(workload), self.interrupt)? {
            self.note(
                "The kernel has less room for sockets in TIME_WAIT than a storm takes; some were closed early."
                    .to_owned(),
            );
        }
        let started = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let outcome = crew.measure(step, workload)?;
        let server = &self.selection.servers[step.server].name;
        if outcome.document.is_object() {
            let raw = raw_path(&workload.name, server, step.round);
            self.results
                .write(&raw, &self.scrubber.clean(&outcome.text))?;
            self.results.append(&RunLine {
                round: step.round,
                server: server.clone(),
                workload: workload.name.clone(),
                raw,
                status: match outcome.failure {
                    None => Status::Ok,
                    Some(_) => Status::Failed,
                },
                started_unix_seconds: started.as_secs(),
            })?;
        }
        outcome
            .failure
            .map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))
    }

    fn give_up(&mut self, server: usize, why: &str) {
        let entry = &mut self.document.servers[server];
        entry.status = ServerStatus::Failed;
        entry.reason = Some(why.to_owned());
        let name = entry.name.clone();
        self.fail(format!(
            "{name} is given up after {STRIKES_MAX} failures in a row."
        ));
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

    fn say(&self, text: &str) {
        if !self.quiet {
            tell(text);
        }
    }

    fn save(&self) -> anyhow::Result<()> {
        self.results.write_suite(&self.document, self.scrubber)
    }
}

/// Takes away what `failures` says of one run, such as `node-ws, 64x32B-d1, round 3`: it was done again.
/// Whether there was anything.
fn forget(failures: &mut Vec<String>, run: &str) -> bool {
    let count = failures.len();
    failures.retain(|sentence| {
        let rest = sentence.strip_prefix(run);
        !rest.is_some_and(|rest| rest.starts_with(": "))
    });
    failures.len() < count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_run_goes_once_it_was_done_again() {
        let mut failures = vec![
            "ws, echo, round 1: it died.".to_owned(),
            "ws, echo, round 12: it died.".to_owned(),
            "ws is given up after 3 failures in a row.".to_owned(),
        ];
        assert!(forget(&mut failures, "ws, echo, round 1"));
        assert!(!forget(&mut failures, "ws, echo, round 1"));
        assert_eq!(failures.len(), 2, "{failures:?}");
    }
}

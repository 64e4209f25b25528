//! Who takes part in what, which run comes when, and how long all of it takes.
//!
//! In each round every workload comes once, in random order, and under each the servers, in random order:
//! so what slows the machine for a while slows neighbours alike, and the ratios inside a round cancel it.

use std::collections::HashSet;
use std::time::Duration;

use ringload::observe::placement::Placement;
use ringload::result::Status;
use ringload::trial::agenda::short;
use ringload::trial::random::Random;
use ringload::usage::UsageError;

use super::document::{Run, SUITE_SCHEMA, ServerEntry, ServerStatus, SuiteDocument, WorkloadEntry};
use super::environment::now;
use super::peers::Peer;
use super::results::Scrubber;
use super::workload::Suite;
use crate::options::suite::SuiteOptions;

/// What a run takes beside its warm-up and its window, and for each connection: start, connect, drain, report.
const RUN: Duration = Duration::from_millis(150);
const CONNECTION: Duration = Duration::from_micros(120);

/// What starting a server and warming it takes.
const START: Duration = Duration::from_millis(550);

/// What a session of churn takes: between the fastest server and the slowest.
const SESSION: Duration = Duration::from_micros(110);

/// Steps of a search for the capacity.
const STEPS: u32 = 13;

/// What the preparation takes, and for each server: it has to echo before anything is timed.
const PREPARATION: Duration = Duration::from_secs(12);
const PREPARATION_EACH: Duration = Duration::from_millis(1200);

/// What is measured with what.
pub(super) struct Plan {
    pub(super) servers: Vec<Peer>,
    pub(super) workloads: Vec<WorkloadEntry>,
    /// Who takes no part in what, and why: a sentence for all that have it in common.
    notes: Vec<String>,
}

/// One run, by positions in the lists of workloads and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) round: u32,
    pub(super) workload: usize,
    pub(super) server: usize,
    /// Position among all, from 0 on: what must differ from run to run comes from it.
    pub(super) position: usize,
}

impl Plan {
    /// What the file and the options ask for, of the servers that there are.
    pub(super) fn of(
        suite: &Suite,
        peers: &[Peer],
        options: &SuiteOptions,
    ) -> Result<Plan, UsageError> {
        let all: Vec<String> = peers.iter().map(|it| it.entry.name.clone()).collect();
        let given = options.server.iter().map(|text| text.split_once('='));
        let given: Vec<&str> = given.flatten().map(|(name, _)| name).collect();
        // Of NAME=COMMAND the name is meant here.
        let named = options.server.iter().map(|text| text.split('=').next());
        let named: Vec<String> = named.flatten().map(str::to_owned).collect();
        let mut asked = [&named, &suite.servers].into_iter();
        let asked = asked.find(|names| !names.is_empty()).unwrap_or(&all);
        known("server", asked, &all)?;
        let workloads: Vec<String> = suite.workloads.iter().map(|it| it.name.clone()).collect();
        known("workload", &options.only, &workloads)?;
        let servers = peers.iter().filter(|peer| asked.contains(&peer.entry.name));
        let servers: Vec<Peer> = servers.cloned().collect();
        let (mut workloads, mut notes) = (Vec::new(), Vec::new());
        let is_asked = |name| options.only.is_empty() || options.only.contains(name);
        for workload in suite.workloads.iter().filter(|it| is_asked(&it.name)) {
            let mut entry = workload.clone();
            entry.rounds = options.rounds.unwrap_or(workload.rounds);
            // One that was given as a command is meant for all.
            let meets = |Peer { entry: server, .. }: &&Peer| {
                let (servers, name) = (&workload.servers, &server.name);
                servers.is_empty() || servers.contains(name) || given.contains(&name.as_str())
            };
            let (mut taking_part, mut absent) = (Vec::new(), Vec::new());
            for Peer { entry, tls, .. } in servers.iter().filter(meets) {
                let name = entry.name.clone();
                match workload.check_for(&entry.url) {
                    Ok(()) if workload.tls && tls.is_none() => absent.push(name + " (no TLS)"),
                    Ok(()) => taking_part.push(name),
                    Err(why) => absent.push(format!("{name} ({})", why.trim_end_matches('.'))),
                }
            }
            if !absent.is_empty() {
                let (name, absent) = (&workload.name, absent.join(", "));
                notes.push(format!("Not measured under {name}: {absent}."));
            }
            entry.servers = taking_part;
            workloads.push(entry);
        }
        Ok(Plan {
            servers,
            workloads,
            notes,
        })
    }

    /// What took part when `document` was begun. The error says what has changed since.
    pub(super) fn resumed(
        suite: &Suite,
        peers: &[Peer],
        document: &SuiteDocument,
        scrubber: &Scrubber,
    ) -> Result<Plan, UsageError> {
        let changed = |what: &str| {
            UsageError(format!(
                "{what} has changed since this was begun; begin a new directory"
            ))
        };
        let server = |entry: &ServerEntry| {
            let same = peers.iter().find(|peer| {
                let now = &peer.entry;
                now.name == entry.name && scrubber.cleaned(&now.command) == entry.command
            });
            same.cloned().ok_or_else(|| changed(&entry.name))
        };
        let workload = |entry: &WorkloadEntry| {
            let found = suite.workloads.iter().find(|it| it.name == entry.name);
            let mut now = found.cloned().unwrap_or_default();
            (now.rounds, now.servers) = (entry.rounds, entry.servers.clone());
            let is_same = scrubber.cleaned(&now) == *entry;
            let why = || changed(&format!("the workload {}", entry.name));
            if is_same { Ok(now) } else { Err(why()) }
        };
        let (servers, workloads) = (document.servers.iter(), document.workloads.iter());
        Ok(Plan {
            servers: servers.map(server).collect::<Result<_, _>>()?,
            workloads: workloads.map(workload).collect::<Result<_, _>>()?,
            notes: Vec::new(),
        })
    }

    /// The document before anything is done.
    pub(super) fn document(
        &self,
        suite: &Suite,
        placement: &Placement,
        seed: u64,
    ) -> SuiteDocument {
        let has = |name: &&String| self.servers.iter().any(|peer| peer.entry.name == **name);
        let servers = || self.servers.iter().map(|peer| &peer.entry);
        let mut usual = servers();
        let usual = usual.find(|entry| entry.role == "baseline");
        let usual = usual.or(servers().next());
        let baseline = suite.baseline.as_ref().filter(has);
        let rounds = self.workloads.iter().map(|workload| workload.rounds);
        let notes = self.notes.iter().chain(&placement.warning);
        SuiteDocument {
            schema: SUITE_SCHEMA.to_owned(),
            status: Status::Interrupted,
            error: Some("not finished".to_owned()),
            name: suite.name.clone(),
            title: suite.title.clone(),
            prediction: suite.prediction.clone(),
            seed,
            started: now(),
            rounds: rounds.max().unwrap_or_default(),
            baseline: baseline.or(usual.map(|entry| &entry.name)).cloned(),
            placement: placement.clone(),
            servers: servers().cloned().collect(),
            workloads: self.workloads.clone(),
            notes: notes.cloned().collect(),
            ..SuiteDocument::default()
        }
    }

    /// All runs in their order. It depends on the seed and on who was asked for, not on who can be had.
    pub(super) fn steps(&self, seed: u64) -> Vec<Step> {
        let mut random = Random::new(seed);
        let mut steps = Vec::new();
        let rounds = self.workloads.iter().map(|workload| workload.rounds).max();
        for round in 1..=rounds.unwrap_or_default() {
            let has_round = |at: &usize| self.workloads[*at].rounds >= round;
            let mut workloads: Vec<usize> = (0..self.workloads.len()).filter(has_round).collect();
            random.shuffle(&mut workloads);
            for workload in workloads {
                let named = &self.workloads[workload].servers;
                let meets = |at: &usize| named.contains(&self.servers[*at].entry.name);
                let mut servers: Vec<usize> = (0..self.servers.len()).filter(meets).collect();
                random.shuffle(&mut servers);
                for server in servers {
                    let position = steps.len();
                    steps.push(Step {
                        round,
                        workload,
                        server,
                        position,
                    });
                }
            }
        }
        steps
    }

    /// Those of `steps` that are to be done still: one that failed is.
    pub(super) fn left(&self, steps: &[Step], document: &SuiteDocument, runs: &[Run]) -> Vec<Step> {
        let is_done = |step: &Step, workload: &str, server: &str| {
            runs.iter().any(|run| {
                (run.round, &*run.workload, &*run.server) == (step.round, workload, server)
                    && matches!(run.document.status, Status::Ok | Status::Missed)
            })
        };
        let is_left = |step: &&Step| {
            let workload = &self.workloads[step.workload].name;
            let server = &document.servers[step.server];
            server.status == ServerStatus::Ok && !is_done(step, workload, &server.name)
        };
        steps.iter().filter(is_left).copied().collect()
    }

    /// How long each of `steps` takes: in each round the first that needs a server has its start besides.
    pub(super) fn times(&self, steps: &[Step]) -> Vec<Duration> {
        let mut up = HashSet::new();
        let time = |step: &Step| {
            let workload = &self.workloads[step.workload];
            let is_started =
                workload.is_alone() || up.insert((step.round, step.server, workload.tls));
            workload.length() + START * u32::from(is_started)
        };
        steps.iter().map(time).collect()
    }

    /// How long each workload that has any of `steps` and all of them take, as far as one can tell beforehand.
    pub(super) fn table(&self, steps: &[Step]) -> String {
        let mut text = String::new();
        let times = self.times(steps);
        for (position, workload) in self.workloads.iter().enumerate() {
            let its = steps
                .iter()
                .zip(&times)
                .filter(|(step, _)| step.workload == position);
            let its: Vec<Duration> = its.map(|(_, time)| *time).collect();
            let (runs, all) = (its.len(), workload.servers.len() * workload.rounds as usize);
            let (name, kind, time) = (&workload.name, &workload.kind, short(its.iter().sum()));
            if runs > 0 {
                text += &format!("{name:<24} {kind:<8} {runs:>4} of {all:>4} runs  {time:>7}\n");
            }
        }
        let each = PREPARATION_EACH * u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        let whole = PREPARATION + each + times.iter().sum::<Duration>();
        text + &format!("{} runs, about {} in all\n", steps.len(), short(whole))
    }
}

/// An error unless all of `names` are among `all`.
fn known(kind: &str, names: &[String], all: &[String]) -> Result<(), UsageError> {
    let unknown = names.iter().find(|name| !all.contains(name));
    let all = all.join(", ");
    let why = |name| UsageError(format!("no {kind} is called {name}; there are {all}"));
    unknown.map_or(Ok(()), |name| Err(why(name)))
}

impl WorkloadEntry {
    /// Whether each run has a process of its own.
    pub(super) fn is_alone(&self) -> bool {
        self.fresh || self.kind == "idle"
    }

    /// How long one run takes, as far as one can tell beforehand.
    pub(super) fn length(&self) -> Duration {
        let connections = u32::try_from(self.connections()).unwrap_or(u32::MAX);
        let dialling = RUN + CONNECTION * connections;
        dialling
            + match self.kind.as_str() {
                "churn" => {
                    let sessions = self.number("sessions", 1_000_000);
                    let by_sessions = SESSION * u32::try_from(sessions).unwrap_or(u32::MAX);
                    self.time("warmup", 1000) + self.time("duration", 5000).min(by_sessions)
                }
                "idle" => dialling + self.time("hold", 2000) + self.time("settle", 5000) / 2,
                "capacity" => (self.time("warmup", 500) + self.time("step", 2000) + RUN) * STEPS,
                _ => self.time("warmup", 1000) + self.time("duration", 5000),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn plan() -> Plan {
        let server = |name: &str| {
            let given = Peer::given(&format!("{name}=x {{port}}"), Path::new("/"));
            given.unwrap().unwrap()
        };
        let workload = |name: &str, rounds, servers: &[&str]| WorkloadEntry {
            name: name.to_owned(),
            kind: if name == "held" { "idle" } else { "run" }.to_owned(),
            rounds,
            servers: servers.iter().map(|name| (*name).to_owned()).collect(),
            ..WorkloadEntry::default()
        };
        Plan {
            servers: ["a", "b", "c", "d"].map(server).into(),
            workloads: vec![
                workload("main", 3, &["a", "b", "c", "d"]),
                workload("held", 1, &["b", "c"]),
                workload("some", 2, &["a"]),
            ],
            notes: Vec::new(),
        }
    }

    #[test]
    fn every_workload_meets_its_servers_once_in_each_of_its_rounds() {
        let steps = plan().steps(5);
        let met = steps
            .iter()
            .map(|step| (step.round, step.workload, step.server));
        let distinct: HashSet<_> = met.collect();
        assert_eq!((steps.len(), distinct.len()), (3 * 4 + 2 + 2, steps.len()));
        assert!(
            steps
                .iter()
                .enumerate()
                .all(|(at, step)| step.position == at)
        );
        assert!(steps.is_sorted_by_key(|step| step.round));
        // Servers of one workload are neighbours.
        let mut workloads: Vec<_> = steps
            .iter()
            .map(|step| (step.round, step.workload))
            .collect();
        workloads.dedup();
        assert_eq!(workloads.len(), 3 + 2 + 1);
    }

    #[test]
    fn a_seed_repeats_its_order_and_every_order_comes() {
        assert_eq!(plan().steps(5), plan().steps(5));
        let servers = |seed, round| -> Vec<usize> {
            let steps = plan().steps(seed);
            let of = |step: &&Step| step.round == round && step.workload == 0;
            steps.iter().filter(of).map(|step| step.server).collect()
        };
        let orders: HashSet<_> = (0..200).map(|seed| servers(seed, 1)).collect();
        assert_eq!(orders.len(), 24);
        assert!((0..20).any(|seed| servers(seed, 1) != servers(seed, 2)));
    }

    #[test]
    fn a_server_is_started_once_a_round_and_that_is_a_part_of_what_is_left() {
        let plan = plan();
        let length = |at: usize| plan.workloads[at].length();
        let step = |round, workload, server| Step {
            round,
            workload,
            server,
            position: 0,
        };
        let steps = [
            step(1, 1, 1),
            step(1, 0, 0),
            step(1, 0, 1),
            step(1, 2, 0),
            step(2, 2, 0),
        ];
        let expected = [
            length(1) + START,
            length(0) + START,
            length(0) + START,
            length(2),
            length(2) + START,
        ];
        assert_eq!(plan.times(&steps), expected);
    }
}

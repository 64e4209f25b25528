//! Who takes part in what, which run comes when, and how long all of it takes.
//!
//! In each round every workload comes once, in random order, and under each the servers, in random order:
//! so what slows the machine for a while slows neighbours alike, and the ratios inside a round cancel it.

use std::collections::HashSet;
use std::time::Duration;

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use ringload::observe::placement::Placement;
use ringload::result::Status;
use ringload::trial::agenda::short;
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

/// One run, by positions in the lists of workloads and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) round: u32,
    pub(super) workload: usize,
    pub(super) server: usize,
    /// Position among all, from 0 on: what must differ from run to run comes from it.
    pub(super) position: usize,
}

/// What the file and the options ask for, of the servers that there are: those that take part, and the document before
/// anything is done.
pub(super) fn begin(
    suite: &Suite,
    peers: &[Peer],
    options: &SuiteOptions,
    placement: Placement,
) -> anyhow::Result<(Vec<Peer>, SuiteDocument)> {
    let all: Vec<String> = peers.iter().map(|it| it.entry.name.clone()).collect();
    // Of NAME=COMMAND the name is meant here.
    let named = options.server.iter().map(|text| text.split('=').next());
    let named: Vec<String> = named.flatten().map(str::to_owned).collect();
    let mut asked = [&named, &suite.servers].into_iter();
    let asked = asked.find(|names| !names.is_empty()).unwrap_or(&all);
    known("server", asked, &all)?;
    let workloads: Vec<String> = suite.workloads.iter().map(|it| it.name.clone()).collect();
    known("workload", &options.only, &workloads)?;
    let peers = peers.iter().filter(|peer| asked.contains(&peer.entry.name));
    let peers: Vec<Peer> = peers.cloned().collect();
    let mut document = SuiteDocument {
        schema: SUITE_SCHEMA.to_owned(),
        status: Status::Interrupted,
        error: Some("not finished".to_owned()),
        name: suite.name.clone(),
        title: suite.title.clone(),
        prediction: suite.prediction.clone(),
        seed: ringload::run::seed(options.seed)?,
        started: now(),
        servers: peers.iter().map(|peer| peer.entry.clone()).collect(),
        ..SuiteDocument::default()
    };
    let is_asked = |name| options.only.is_empty() || options.only.contains(name);
    for workload in suite.workloads.iter().filter(|it| is_asked(&it.name)) {
        let (mut taking_part, mut absent) = (Vec::new(), Vec::new());
        for peer in peers.iter().filter(|peer| peer.is_meant_by(workload)) {
            let name = peer.entry.name.clone();
            match workload.check_for(&peer.entry.url) {
                Ok(()) if workload.tls && peer.tls.is_none() => absent.push(name + " (no TLS)"),
                Ok(()) => taking_part.push(name),
                Err(why) => absent.push(format!("{name} ({})", why.trim_end_matches('.'))),
            }
        }
        if !absent.is_empty() {
            let (name, absent) = (&workload.name, absent.join(", "));
            let note = format!("Not measured under {name}: {absent}.");
            document.notes.push(note);
        }
        let rounds = options.rounds.unwrap_or(workload.rounds);
        document.rounds = document.rounds.max(rounds);
        document.workloads.push(WorkloadEntry {
            rounds,
            servers: taking_part,
            ..workload.clone()
        });
    }
    let servers = || document.servers.iter();
    let baseline = servers().find(|it| Some(&it.name) == suite.baseline.as_ref());
    let baseline = baseline.or_else(|| servers().find(|it| it.role == "baseline"));
    let baseline = baseline.or_else(|| servers().next());
    document.baseline = baseline.map(|it| it.name.clone());
    document.notes.extend(placement.warning.clone());
    document.placement = placement;
    Ok((peers, document))
}

/// The servers that took part when `document` was begun; its workloads become those of the file, which are the same but
/// for what is not told of the machine. The error says what has changed since.
pub(super) fn resume(
    suite: &Suite,
    peers: &[Peer],
    document: &mut SuiteDocument,
    scrubber: &Scrubber,
) -> Result<Vec<Peer>, UsageError> {
    let changed =
        |what: &str| format!("{what} has changed since this was begun; begin a new directory");
    for entry in &mut document.workloads {
        let found = suite.workloads.iter().find(|it| it.name == entry.name);
        let now = WorkloadEntry {
            rounds: entry.rounds,
            servers: entry.servers.clone(),
            ..found.cloned().unwrap_or_default()
        };
        if scrubber.cleaned(&now) != *entry {
            let what = format!("the workload {}", entry.name);
            return Err(UsageError(changed(&what)));
        }
        *entry = now;
    }
    let same = |entry: &ServerEntry| {
        let mut peers = peers.iter().filter(|it| it.entry.name == entry.name);
        let same = peers.find(|it| scrubber.cleaned(&it.entry.command) == entry.command);
        same.cloned()
            .ok_or_else(|| UsageError(changed(&entry.name)))
    };
    document.servers.iter().map(same).collect()
}

/// An error unless all of `names` are among `all`.
fn known(kind: &str, names: &[String], all: &[String]) -> Result<(), UsageError> {
    let unknown = names.iter().find(|name| !all.contains(name));
    let all = all.join(", ");
    let why = |name| UsageError(format!("no {kind} is called {name}; there are {all}"));
    unknown.map_or(Ok(()), |name| Err(why(name)))
}

impl SuiteDocument {
    /// All runs in their order. It depends on the seed and on who was asked for, not on who can be had.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut steps = Vec::new();
        for round in 1..=self.rounds {
            let has_round = |at: &usize| self.workloads[*at].rounds >= round;
            let mut workloads: Vec<usize> = (0..self.workloads.len()).filter(has_round).collect();
            workloads.shuffle(&mut random);
            for workload in workloads {
                let named = &self.workloads[workload].servers;
                let meets = |at: &usize| named.contains(&self.servers[*at].name);
                let mut servers: Vec<usize> = (0..self.servers.len()).filter(meets).collect();
                servers.shuffle(&mut random);
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

    /// Those of `steps` that `runs` leave to be done: one that failed is.
    pub(super) fn left(&self, steps: &[Step], runs: &[Run]) -> Vec<Step> {
        let is_left = |step: &&Step| {
            let workload = &self.workloads[step.workload].name;
            let server = &self.servers[step.server];
            let key = (step.round, &*server.name, &**workload);
            let is_done = runs.iter().any(|run| run.key() == key && run.is_whole());
            server.status == ServerStatus::Ok && !is_done
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
            let its = steps.iter().zip(&times);
            let its = its.filter(|(step, _)| step.workload == position);
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

    fn document(seed: u64) -> SuiteDocument {
        let server = |name: &str| ServerEntry {
            name: name.to_owned(),
            ..ServerEntry::default()
        };
        let workload = |name: &str, rounds, servers: &[&str]| WorkloadEntry {
            name: name.to_owned(),
            kind: if name == "held" { "idle" } else { "run" }.to_owned(),
            rounds,
            servers: servers.iter().map(|name| (*name).to_owned()).collect(),
            ..WorkloadEntry::default()
        };
        SuiteDocument {
            seed,
            rounds: 3,
            servers: ["a", "b", "c", "d"].map(server).into(),
            workloads: vec![
                workload("main", 3, &["a", "b", "c", "d"]),
                workload("held", 1, &["b", "c"]),
                workload("some", 2, &["a"]),
            ],
            ..SuiteDocument::default()
        }
    }

    #[test]
    fn every_workload_meets_its_servers_once_in_each_of_its_rounds() {
        let steps = document(5).steps();
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
        assert_eq!(document(5).steps(), document(5).steps());
        let servers = |seed, round| -> Vec<usize> {
            let steps = document(seed).steps();
            let of = |step: &&Step| step.round == round && step.workload == 0;
            steps.iter().filter(of).map(|step| step.server).collect()
        };
        let orders: HashSet<_> = (0..200).map(|seed| servers(seed, 1)).collect();
        assert_eq!(orders.len(), 24);
        assert!((0..20).any(|seed| servers(seed, 1) != servers(seed, 2)));
    }

    #[test]
    fn a_server_is_started_once_a_round_and_that_is_a_part_of_what_is_left() {
        let document = document(5);
        let length = |at: usize| document.workloads[at].length();
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
        assert_eq!(document.times(&steps), expected);
    }
}

//! Which run comes when, and how long all of it takes.
//!
//! In each round every workload comes once, in random order, and under each the servers, in random order:
//! so what slows the machine for a while slows neighbours alike, and the ratios inside a round cancel it.

use std::collections::HashSet;
use std::time::Duration;

use ringload::trial::random::Random;

use super::workload::{Kind, Workload};
use crate::suite::document::RunLine;

/// What a run takes beyond its measured time and its warm-up, roughly: start, connect, drain, report.
const RUN_OVERHEAD: Duration = Duration::from_millis(150);

/// What starting a server and warming it takes, roughly.
pub(crate) const START_OVERHEAD: Duration = Duration::from_millis(900);

/// Steps that the search for a knee takes, roughly.
const KNEE_STEPS: u32 = 14;

/// What opening and closing an idle connection takes, roughly.
const IDLE_CONNECTION: Duration = Duration::from_micros(250);

/// What a visit of a storm takes, roughly: between the fastest server and the slowest.
const VISIT: Duration = Duration::from_micros(120);

/// One run, by positions in the lists of workloads and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) round: u32,
    pub(crate) workload: usize,
    pub(crate) server: usize,
    /// Position among all, from 0 on: what must differ from run to run comes from it.
    pub(crate) position: usize,
}

/// All runs in their order. `taking_part` has, for each workload, its rounds and the servers it meets.
pub(crate) fn order(seed: u64, taking_part: &[(u32, Vec<usize>)]) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut steps = Vec::new();
    let rounds = taking_part.iter().map(|(rounds, _)| *rounds).max();
    for round in 1..=rounds.unwrap_or_default() {
        let has_round = |workload: &usize| taking_part[*workload].0 >= round;
        let mut workloads: Vec<usize> = (0..taking_part.len()).filter(has_round).collect();
        random.shuffle(&mut workloads);
        for workload in workloads {
            let mut servers = taking_part[workload].1.clone();
            random.shuffle(&mut servers);
            for server in servers {
                steps.push(Step {
                    round,
                    workload,
                    server,
                    position: steps.len(),
                });
            }
        }
    }
    steps
}

/// Whether `lines` have this run already.
pub(crate) fn is_done(lines: &[RunLine], round: u32, workload: &str, server: &str) -> bool {
    lines
        .iter()
        .any(|line| line.round == round && line.workload == workload && line.server == server)
}

/// How long one run of `workload` takes, as far as one can tell beforehand.
pub(crate) fn time_of(workload: &Workload) -> Duration {
    let time =
        |key: &str, milliseconds: u64| workload.time(key, Duration::from_millis(milliseconds));
    RUN_OVERHEAD
        + match workload.kind {
            Kind::Run => time("warmup", 1000) + time("duration", 5000),
            Kind::Storm => {
                let whole = time("duration", 5000);
                let visits = workload.number("visits", u64::MAX);
                let by_visits = VISIT.saturating_mul(u32::try_from(visits).unwrap_or(u32::MAX));
                time("warmup", 1000) + whole.min(by_visits)
            }
            Kind::Idle => {
                let connections = workload.number("connections", 10_000);
                let connections = u32::try_from(connections).unwrap_or(u32::MAX);
                let settle = time("settle", 5000) / 2;
                START_OVERHEAD + time("hold", 2000) + settle + IDLE_CONNECTION * connections
            }
            Kind::Knee => (time("warmup", 500) + time("step", 2000) + RUN_OVERHEAD) * KNEE_STEPS,
        }
}

/// How long each of `steps` takes: in each round the first that needs a server has its start besides.
pub(crate) fn times(steps: &[Step], workloads: &[&Workload]) -> Vec<Duration> {
    let mut up = HashSet::new();
    let time = |step: &Step| {
        let workload = workloads[step.workload];
        // One that is to hold idle connections is started for that alone.
        let is_started =
            workload.kind != Kind::Idle && up.insert((step.round, step.server, workload.tls));
        time_of(workload) + START_OVERHEAD * u32::from(is_started)
    };
    steps.iter().map(time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taking_part() -> Vec<(u32, Vec<usize>)> {
        vec![(3, vec![0, 1, 2, 3]), (1, vec![1, 2]), (2, vec![0])]
    }

    #[test]
    fn every_workload_meets_its_servers_once_in_each_of_its_rounds() {
        let steps = order(5, &taking_part());
        let distinct: HashSet<_> = steps
            .iter()
            .map(|step| (step.round, step.workload, step.server))
            .collect();
        assert_eq!((steps.len(), distinct.len()), (3 * 4 + 2 + 2, steps.len()));
        assert!(
            steps
                .iter()
                .enumerate()
                .all(|(at, step)| step.position == at)
        );
        assert!(steps.is_sorted_by_key(|step| step.round));
        // Servers of one workload are neighbours.
        for round in 1..=3 {
            let mut workloads: Vec<_> = steps
                .iter()
                .filter(|step| step.round == round)
                .map(|step| step.workload)
                .collect();
            workloads.dedup();
            let distinct: HashSet<_> = workloads.iter().collect();
            assert_eq!(workloads.len(), distinct.len());
        }
    }

    #[test]
    fn a_server_is_started_once_a_round_and_that_is_a_part_of_what_is_left() {
        let workload = |kind: Kind| Workload {
            name: "w".to_owned(),
            kind,
            title: String::new(),
            rounds: 2,
            servers: None,
            tls: false,
            options: Default::default(),
        };
        let (run, idle) = (workload(Kind::Run), workload(Kind::Idle));
        let workloads = [&run, &run, &idle];
        let step = |round, workload, server| Step {
            round,
            workload,
            server,
            position: 0,
        };
        let steps = [
            step(1, 2, 0),
            step(1, 0, 0),
            step(1, 0, 1),
            step(1, 1, 0),
            step(2, 1, 0),
        ];
        let started = time_of(&run) + START_OVERHEAD;
        let expected = [time_of(&idle), started, started, time_of(&run), started];
        assert_eq!(times(&steps, &workloads), expected);
    }

    #[test]
    fn a_seed_repeats_its_order_and_rounds_differ() {
        assert_eq!(order(5, &taking_part()), order(5, &taking_part()));
        assert_ne!(order(5, &taking_part()), order(6, &taking_part()));
        let servers = |seed, round| -> Vec<usize> {
            let steps = order(seed, &taking_part());
            let of = |step: &&Step| step.round == round && step.workload == 0;
            steps.iter().filter(of).map(|step| step.server).collect()
        };
        let orders: HashSet<_> = (0..200).map(|seed| servers(seed, 1)).collect();
        assert_eq!(orders.len(), 24);
        assert!((0..20).any(|seed| servers(seed, 1) != servers(seed, 2)));
        assert!(order(1, &[]).is_empty());
    }
}

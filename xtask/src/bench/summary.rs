//! From the figures of single runs to what is said about each server.

use super::paired::PairRow;
use super::plan::{NODE, SUBJECTS, Subject, WORKLOADS, Workload};
use super::reports::{Idle, Run};
use super::statistics::{ByRound, Spread, paired_ratio};
use super::storm::{StormRow, StormSample};
use serde::Serialize;
use std::collections::BTreeMap;

/// Idle servers, the hypervisor and other processes may take this share of a CPU unmentioned.
const DISTURBANCE_PERCENT_MAX: f64 = 2.0;

/// One run of one workload against one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) workload: &'static str,
    pub(crate) server: String,
    pub(crate) round: u32,
    /// The file with everything the generator reported, histogram included.
    pub(crate) raw: String,
    /// CPU time all the other, idle servers took meanwhile, in percent of one CPU.
    pub(crate) other_servers_cpu_percent: f64,
    #[serde(flatten)]
    pub(crate) run: Run,
}

/// All rounds of one workload against one server.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) server: &'static str,
    pub(crate) messages_per_second: Option<Spread>,
    pub(crate) latency_p50_microseconds: Option<Spread>,
    pub(crate) latency_p99_microseconds: Option<Spread>,
    pub(crate) server_cpu_microseconds_per_message: Option<Spread>,
    /// Server CPU per message relative to Node `ws` in the same round.
    pub(crate) ratio_to_node: Option<Spread>,
    /// The same, relative to the peer that is cheapest under this workload.
    pub(crate) ratio_to_best_peer: Option<Spread>,
    /// The same, relative to the RFC 862 echo on the same engine.
    pub(crate) ratio_to_limit: Option<Spread>,
    /// In how many rounds which side was saturated.
    pub(crate) saturated: BTreeMap<String, u32>,
}

/// All servers under one workload.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    #[serde(flatten)]
    pub(crate) workload: Workload,
    /// The peer with the least CPU per message.
    pub(crate) best_peer: Option<&'static str>,
    pub(crate) rows: Vec<Row>,
}

/// Memory of idle connections at one server, or several of a kind.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IdleRow {
    pub(crate) server: String,
    /// Processes that served at the same time.
    pub(crate) servers: u64,
    pub(crate) raws: Vec<String>,
    #[serde(flatten)]
    pub(crate) idle: Idle,
}

/// Everything found out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) tables: Vec<Table>,
    pub(crate) pairs: Vec<PairRow>,
    pub(crate) storms: Vec<StormRow>,
    pub(crate) idle: Vec<IdleRow>,
    pub(crate) crowd: Vec<IdleRow>,
    /// What a reader must know before believing the figures.
    pub(crate) notes: Vec<String>,
    /// Runs that gave no figures, and why.
    pub(crate) failures: Vec<String>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) storm_samples: Vec<StormSample>,
}

impl Summary {
    /// Adds a note and says it at once; once is enough.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.notes.iter().any(|note| note == text) {
            eprintln!("note: {text}");
            self.notes.push(text.to_owned());
        }
    }

    /// Adds a failure and says it at once.
    pub(crate) fn fail(&mut self, text: String) {
        eprintln!("failed: {text}");
        self.failures.push(text);
    }
}

/// Notes what else was going on while the runs were measured.
pub(crate) fn note_disturbances(summary: &mut Summary) {
    let worst = |share: fn(&Sample) -> f64| {
        let paired = summary.pairs.iter().flat_map(|pair| &pair.rounds).flatten();
        summary
            .samples
            .iter()
            .chain(paired)
            .map(|sample| (share(sample), sample))
            .max_by(|a, b| a.0.total_cmp(&b.0))
    };
    let mut notes = Vec::new();
    let mut note = |what: &str, worst: Option<(f64, &Sample)>| {
        if let Some((percent, sample)) = worst
            && percent > DISTURBANCE_PERCENT_MAX
        {
            let Sample {
                server,
                workload,
                round,
                ..
            } = sample;
            notes.push(format!(
                "{what}: up to {percent:.1} % of the time ({server}, {workload}, round {round})."
            ));
        }
    };
    note(
        "The hypervisor gave CPU time to others",
        worst(|sample| sample.run.steal_percent),
    );
    note(
        "Other processes had the server's CPU",
        worst(|sample| sample.run.server_cpu_wait_percent.unwrap_or_default()),
    );
    note(
        "Other processes had the generator's CPU",
        worst(|sample| sample.run.generator_cpu_wait_percent),
    );
    note(
        "Idle servers took CPU time",
        worst(|sample| sample.other_servers_cpu_percent),
    );
    summary.notes.extend(notes);
}

/// One table for each workload that has samples, in the order of the plan.
pub(crate) fn tabulate(samples: &[Sample]) -> Vec<Table> {
    let table = |workload: &Workload| {
        let best = best_peer(samples, workload);
        let rows: Vec<Row> = SUBJECTS
            .iter()
            .filter_map(|subject| row(samples, workload, *subject, best))
            .collect();
        (!rows.is_empty()).then_some(Table {
            workload: *workload,
            best_peer: best.map(Subject::name),
            rows,
        })
    };
    WORKLOADS.iter().filter_map(table).collect()
}

/// CPU per message of `subject` under `workload`, by round.
fn cpu(samples: &[Sample], workload: &Workload, subject: Subject) -> ByRound {
    of(samples, workload, subject)
        .filter_map(|sample| {
            Some((
                sample.round,
                sample.run.server_cpu_microseconds_per_message?,
            ))
        })
        .collect()
}

fn of<'a>(
    samples: &'a [Sample],
    workload: &'a Workload,
    subject: Subject,
) -> impl Iterator<Item = &'a Sample> {
    samples
        .iter()
        .filter(move |sample| sample.workload == workload.name && sample.server == subject.name())
}

fn best_peer(samples: &[Sample], workload: &Workload) -> Option<Subject> {
    let peers = SUBJECTS.into_iter().filter(|subject| subject.is_peer());
    let median = |subject: Subject| {
        let spread = Spread::of(cpu(samples, workload, subject).into_values())?;
        Some((subject, spread.median))
    };
    let cheapest = peers
        .filter_map(median)
        .min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(cheapest.0)
}

fn row(
    samples: &[Sample],
    workload: &Workload,
    subject: Subject,
    best: Option<Subject>,
) -> Option<Row> {
    let own: Vec<&Sample> = of(samples, workload, subject).collect();
    if own.is_empty() {
        return None;
    }
    let spread = |value: fn(&Run) -> f64| Spread::of(own.iter().map(|sample| value(&sample.run)));
    let own_cpu = cpu(samples, workload, subject);
    let ratio_to = |other: Subject| {
        let other_cpu = || cpu(samples, workload, other);
        (other != subject)
            .then(|| paired_ratio(&own_cpu, &other_cpu()))
            .flatten()
    };
    Some(Row {
        server: subject.name(),
        messages_per_second: spread(|run| run.messages_per_second),
        latency_p50_microseconds: spread(|run| run.latency_p50_microseconds),
        latency_p99_microseconds: spread(|run| run.latency_p99_microseconds),
        server_cpu_microseconds_per_message: Spread::of(own_cpu.values().copied()),
        ratio_to_node: ratio_to(NODE),
        ratio_to_best_peer: best.and_then(ratio_to),
        ratio_to_limit: subject.limit().and_then(ratio_to),
        saturated: count(own.iter().map(|sample| &sample.run.saturated)),
    })
}

/// In how many rounds which side was saturated.
pub(crate) fn count<'a>(sides: impl Iterator<Item = &'a String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for side in sides {
        *counts.entry(side.clone()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::Engine;

    fn sample(subject: Subject, round: u32, cpu: f64) -> Sample {
        Sample {
            workload: WORKLOADS[0].name,
            server: subject.name().to_owned(),
            round,
            raw: String::new(),
            other_servers_cpu_percent: 0.0,
            run: Run {
                messages_per_second: 1e6 / cpu,
                latency_p50_microseconds: cpu,
                latency_p99_microseconds: cpu * 2.0,
                server_cpu_microseconds_per_message: Some(cpu),
                generator_cpu_microseconds_per_message: None,
                saturated: "server".to_owned(),
                server_cpu_wait_percent: None,
                generator_cpu_wait_percent: 0.0,
                steal_percent: 0.0,
            },
        }
    }

    const URING: Subject = Subject::Ringback(Engine::Uring);

    #[test]
    fn ratios_are_to_node_and_to_the_limit_of_the_same_engine() {
        let mut samples = Vec::new();
        for (round, noise) in [(1, 1.0), (2, 3.0), (3, 1.5)] {
            samples.push(sample(URING, round, 4.0 * noise));
            samples.push(sample(Subject::Limit(Engine::Uring), round, 5.0 * noise));
            samples.push(sample(Subject::Limit(Engine::Epoll), round, 1.0));
            samples.push(sample(NODE, round, 10.0 * noise));
        }
        let tables = tabulate(&samples);
        assert_eq!(tables.len(), 1);
        let row = |name| {
            tables[0]
                .rows
                .iter()
                .find(|row| row.server == name)
                .unwrap()
        };
        let uring = row("ringback-uring");
        assert_eq!(
            uring.server_cpu_microseconds_per_message.unwrap().median,
            6.0
        );
        let (node, limit) = (uring.ratio_to_node.unwrap(), uring.ratio_to_limit.unwrap());
        assert!((node.min - 0.4).abs() < 1e-9 && (node.max - 0.4).abs() < 1e-9);
        assert!((limit.min - 0.8).abs() < 1e-9 && (limit.max - 0.8).abs() < 1e-9);
        assert_eq!(uring.ratio_to_best_peer, uring.ratio_to_node);
        assert_eq!(uring.saturated["server"], 3);
        assert_eq!(row("node-ws").ratio_to_node, None);
        assert_eq!(row("node-ws").ratio_to_limit, None);
    }

    #[test]
    fn the_best_peer_is_the_cheapest_and_never_ringback() {
        let samples = [
            sample(URING, 1, 1.0),
            sample(Subject::Limit(Engine::Uring), 1, 0.5),
            sample(NODE, 1, 8.0),
            sample(Subject::Bun, 1, 4.0),
        ];
        let table = &tabulate(&samples)[0];
        assert_eq!(table.best_peer, Some("bun"));
        assert_eq!(table.rows[0].ratio_to_best_peer.unwrap().median, 0.25);
        assert_eq!(tabulate(&samples[..2])[0].best_peer, None);
    }

    #[test]
    fn rows_come_in_the_order_of_the_plan_and_only_with_samples() {
        let tables = tabulate(&[sample(NODE, 1, 9.0), sample(URING, 1, 4.0)]);
        let names: Vec<_> = tables[0].rows.iter().map(|row| row.server).collect();
        assert_eq!(names, ["ringback-uring", "node-ws"]);
        assert!(tabulate(&[]).is_empty());
    }
}

//! From single runs to what is said about each server under each workload.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hdrhistogram::Histogram;
use ringload::assess::spread::Spread;
use ringload::output::document::Status;
use ringload::output::document::knee::KneeDocument;
use ringload::output::document::latency::Latency;
use ringload::output::document::run::RunDocument;
use ringload::output::document::storm::StormDocument;
use ringload::output::document::verdict::Verdict;
use ringload::quantity::{bytes, grouped};

use super::documents::Document;
use super::input::{Results, Run};
use crate::suite::document::{ServerEntry, WorkloadEntry};

/// One value per round, by the number of the round.
pub(super) type ByRound = BTreeMap<u32, f64>;

/// A figure that each round gives one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Metric {
    /// Messages, of a storm visits, per second.
    Throughput,
    /// What an open loop asked for.
    Offered,
    /// Server CPU nanoseconds per message, of a storm per visit.
    Cpu,
    /// Of a knee: the highest rate that met the objective.
    BestRate,
    /// 99th percentile of a round, in nanoseconds; only for the spread between rounds.
    P99,
    /// Messages of heavy connections per second.
    Heavy,
    /// What the one that got most got, by the mean of all.
    MostByMean,
    /// Resident memory of a server without connections.
    Base,
    /// Growth of memory per idle connection.
    Rss,
    /// Anonymous pages of it.
    Anonymous,
    /// With shared pages counted once.
    Pss,
    /// What of the resident set stayed when all had left.
    Kept,
}

impl Metric {
    /// Two values with their unit, once if it is the same.
    pub(super) fn range(self, spread: &Spread) -> String {
        let (low, high) = (self.text(spread.min), self.text(spread.max));
        match (low.rsplit_once(' '), high.rsplit_once(' ')) {
            (Some((number, unit)), Some((_, other))) if unit == other => format!("{number}–{high}"),
            _ => format!("{low}–{high}"),
        }
    }

    /// A value with its unit.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            Metric::Throughput | Metric::Offered | Metric::BestRate | Metric::Heavy => {
                grouped(value.round().max(0.0) as u64)
            }
            Metric::MostByMean => format!("{value:.2}×"),
            Metric::Cpu | Metric::P99 => time(value),
            // Memory may shrink, and a unit must not hide the sign.
            _ if value < 0.0 => format!("−{}", bytes(-value)),
            _ => bytes(value),
        }
    }
}

/// Nanoseconds to three digits, which is more than most rounds agree on.
pub(super) fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = match value {
        _ if unit == "ns" => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// A time that is measured with a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Of a message; of an open loop from when it was due.
    Message,
    /// Of a message of an open loop, from when it was sent.
    Service,
    Connect,
    Handshake,
    FirstEcho,
    Visit,
}

/// All rounds of one workload against one server.
#[derive(Default)]
pub(super) struct Cell<'a> {
    pub(super) metrics: BTreeMap<Metric, ByRound>,
    /// Histograms added over the rounds.
    pub(super) times: BTreeMap<Phase, Histogram<u64>>,
    /// How often which verdict was given.
    pub(super) verdicts: BTreeMap<&'static str, u32>,
    /// Curves of knees, by round.
    pub(super) knees: BTreeMap<u32, &'a KneeDocument>,
    /// How often the visits of storms ended in which way.
    pub(super) closes: BTreeMap<&'static str, u64>,
    /// Runs whose figures count.
    pub(super) rounds: u32,
    /// Runs whose figures do not, because they failed.
    pub(super) failed: u32,
}

impl Cell<'_> {
    /// Median and range of a figure.
    pub(super) fn spread(&self, metric: Metric) -> Option<Spread> {
        Spread::of(self.metrics.get(&metric)?.values().copied())
    }

    /// Percentile of the rounds' values all together, in nanoseconds.
    pub(super) fn percentile_ns(&self, phase: Phase, quantile: f64) -> Option<f64> {
        let histogram = self.times.get(&phase)?;
        (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64)
    }

    fn put(&mut self, metric: Metric, round: u32, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.metrics.entry(metric).or_default().insert(round, value);
        }
    }

    /// Adds a distribution; the error says what is wrong with it.
    fn add(&mut self, phase: Phase, latency: &Latency) -> Result<(), String> {
        let histogram = latency.histogram().map_err(|error| format!("{error:#}"))?;
        match self.times.entry(phase) {
            Entry::Vacant(first) => {
                first.insert(histogram);
                Ok(())
            }
            Entry::Occupied(mut sum) => {
                let added = sum.get_mut().add(&histogram);
                added.map_err(|error| error.to_string())
            }
        }
    }
}

/// One workload, and what it found about each server that has runs.
pub(super) struct Table<'a> {
    pub(super) workload: &'a WorkloadEntry,
    pub(super) kind: Kind,
    /// By the number of the server in the suite.
    pub(super) cells: BTreeMap<usize, Cell<'a>>,
}

/// What a workload measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Messages as fast as they go.
    Saturated,
    /// Messages at a rate.
    Paced,
    Storm,
    Idle,
    Knee,
}

impl Kind {
    /// What is counted.
    pub(super) fn unit(self) -> &'static str {
        match self {
            Kind::Storm => "visit",
            _ => "message",
        }
    }
}

/// The ratios `these / those` of the rounds that have both: what slows a whole round cancels out.
pub(super) fn paired<'a>(these: &'a ByRound, those: &'a ByRound) -> impl Iterator<Item = f64> {
    let ratio = |(round, this): (&u32, &f64)| Some(this / those.get(round)?);
    these.iter().filter_map(ratio)
}

/// A table for each workload that has runs, in the suite's order. Histograms that cannot be read are
/// told in `missing`.
pub(super) fn tabulate<'a>(results: &'a Results, missing: &mut Vec<String>) -> Vec<Table<'a>> {
    let mut tables = Vec::new();
    for workload in &results.suite.workloads {
        let runs: Vec<&Run> = results
            .runs
            .iter()
            .filter(|run| run.workload == workload.name)
            .collect();
        let Some(first) = runs.first() else { continue };
        let mut table = Table {
            workload,
            kind: kind(&first.document),
            cells: BTreeMap::new(),
        };
        for run in runs {
            let Some(server) = position(&results.suite.servers, &run.server) else {
                continue;
            };
            if let Err(why) = count(table.cells.entry(server).or_default(), run) {
                missing.push(format!(
                    "A histogram of {} could not be read: {why}.",
                    run.raw
                ));
            }
        }
        tables.push(table);
    }
    tables
}

/// The number of a server in the suite.
pub(super) fn position(servers: &[ServerEntry], name: &str) -> Option<usize> {
    servers.iter().position(|server| server.name == name)
}

fn kind(document: &Document) -> Kind {
    match document {
        Document::Run(run) if run.load.rate.is_some() => Kind::Paced,
        Document::Run(_) => Kind::Saturated,
        Document::Storm(_) => Kind::Storm,
        Document::Idle(_) => Kind::Idle,
        Document::Knee(_) => Kind::Knee,
    }
}

fn count<'a>(cell: &mut Cell<'a>, run: &'a Run) -> Result<(), String> {
    let verdict = run.document.verdict().map(|(verdict, _)| verdict);
    if let Some(verdict) = verdict {
        *cell.verdicts.entry(verdict.name()).or_default() += 1;
    }
    let (status, _) = run.document.ending();
    let is_whole = matches!(status, Status::Ok | Status::Missed);
    if !is_whole || verdict == Some(Verdict::Invalid) {
        cell.failed += 1;
        return Ok(());
    }
    cell.rounds += 1;
    let round = run.round;
    match &run.document {
        Document::Run(document) => count_run(cell, round, document),
        Document::Storm(storm) => count_storm(cell, round, storm),
        Document::Idle(idle) => {
            let base = idle.memory_before.map(|memory| memory.rss_bytes as f64);
            cell.put(Metric::Base, round, base);
            if let Some(growth) = idle.growth {
                let (rss, anonymous) = (
                    growth.rss_bytes_per_connection,
                    growth.rss_anonymous_bytes_per_connection,
                );
                cell.put(Metric::Rss, round, Some(rss));
                cell.put(Metric::Anonymous, round, Some(anonymous));
                cell.put(Metric::Pss, round, growth.pss_bytes_per_connection);
            }
            let kept = idle.kept.map(|kept| kept.rss_bytes_per_connection);
            cell.put(Metric::Kept, round, kept);
            Ok(())
        }
        Document::Knee(knee) => {
            let best = knee.best.as_ref();
            cell.put(Metric::BestRate, round, best.map(|best| best.rate));
            cell.put(Metric::P99, round, best.map(|best| best.p99_ns as f64));
            cell.knees.insert(round, knee);
            Ok(())
        }
    }
}

fn count_run(cell: &mut Cell<'_>, round: u32, run: &RunDocument) -> Result<(), String> {
    let Some(result) = &run.result else {
        return Ok(());
    };
    cell.put(Metric::Throughput, round, Some(result.messages_per_second));
    cell.put(Metric::Offered, round, result.offered_messages_per_second);
    if let Some(heavy) = &result.heavy {
        cell.put(Metric::Heavy, round, Some(heavy.messages_per_second));
        cell.put(Metric::MostByMean, round, heavy.most_by_mean);
    }
    let server = result.server.as_ref();
    let cpu = server.and_then(|server| server.cpu_ns_per_message);
    cell.put(Metric::Cpu, round, cpu);
    let latency = &result.latency;
    let p99 = (latency.count > 0).then_some(latency.p99_ns as f64);
    cell.put(Metric::P99, round, p99);
    cell.add(Phase::Message, latency)?;
    match run.load.rate {
        Some(_) => cell.add(Phase::Service, &result.service),
        None => Ok(()),
    }
}

fn count_storm(cell: &mut Cell<'_>, round: u32, storm: &StormDocument) -> Result<(), String> {
    let Some(result) = &storm.result else {
        return Ok(());
    };
    cell.put(Metric::Throughput, round, Some(result.visits_per_second));
    cell.put(Metric::Cpu, round, result.server_cpu_ns_per_visit);
    cell.put(Metric::P99, round, Some(result.visit.p99_ns as f64));
    let closes = result.closes;
    for (name, count) in [
        ("orderly", closes.orderly),
        ("reset", closes.reset),
        (
            "end of stream without close",
            closes.end_of_stream_without_close,
        ),
        ("other", closes.other),
    ] {
        let sum = cell.closes.entry(name).or_default();
        *sum = sum.saturating_add(count);
    }
    cell.add(Phase::Connect, &result.connect)?;
    cell.add(Phase::Handshake, &result.handshake)?;
    cell.add(Phase::FirstEcho, &result.first_echo)?;
    cell.add(Phase::Visit, &result.visit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_the_unit_that_suits_them() {
        let cases = [
            (0.0, "0 ns"),
            (999.4, "999 ns"),
            (999.6, "1.00 µs"),
            (4_366.0, "4.37 µs"),
            (99_960.0, "100 µs"),
            (195_072.0, "195 µs"),
            (12_345_678.0, "12.3 ms"),
            (2_500_000_000.0, "2.50 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn ratios_are_taken_inside_a_round() {
        // Round 2 was three times slower for both; round 3 has only one of them.
        let these = ByRound::from([(1, 5.0), (2, 15.0), (3, 5.0)]);
        let those = ByRound::from([(1, 10.0), (2, 30.0), (4, 1.0)]);
        assert_eq!(paired(&these, &those).collect::<Vec<_>>(), [0.5, 0.5]);
    }

    #[test]
    fn a_range_has_its_unit_once_where_it_is_one() {
        let spread = |min, max| Spread::of([min, max]).unwrap();
        assert_eq!(Metric::Cpu.range(&spread(2_000.0, 3_000.0)), "2.00–3.00 µs");
        assert_eq!(Metric::Cpu.range(&spread(900.0, 3_000.0)), "900 ns–3.00 µs");
        assert_eq!(
            Metric::Throughput.range(&spread(900.0, 3_000.0)),
            "900–3,000"
        );
        assert_eq!(Metric::Kept.range(&spread(-2_048.0, 512.0)), "−2 KiB–512 B");
    }
}

//! From single runs to what is said of each server under each workload: figures, intervals, classes, and their order.

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;
use itertools::Itertools as _;
use ringload::assess::estimate::{Estimate, ROUNDS_TO_DECIDE};
use ringload::assess::finding::{Comparable, Id};
use ringload::assess::spread::Spread;
use ringload::result::latency::Latency;

use super::figures::{Kind, Metric, Needs, Unit, disturbances, forbidding, latency};
use crate::suite::document::{Archive, Run, ServerEntry, WorkloadEntry};

/// Who is slower by less than this, however certainly, is not of another class.
const CLASS_SHARE_MIN: f64 = 0.01;

/// One value a round, by its number.
type ByRound = BTreeMap<u32, f64>;

/// Results, tabulated.
pub(super) struct View<'a> {
    pub(super) archive: &'a Archive,
    pub(super) tables: Vec<Table<'a>>,
    /// The name of the server that others are compared with; empty if there is none.
    pub(super) reference: &'a str,
    /// What is missing or could not be read, a sentence each.
    pub(super) missing: Vec<String>,
}

/// One workload, and what it found of each server that has runs.
pub(super) struct Table<'a> {
    pub(super) workload: &'a WorkloadEntry,
    pub(super) kind: Kind,
    /// The best first: by class, and within one by the first figure. There is one at least.
    pub(super) rows: Vec<Row<'a>>,
}

/// All rounds of one workload against one server.
pub(super) struct Row<'a> {
    /// Of the server in the suite.
    pub(super) number: usize,
    pub(super) server: &'a ServerEntry,
    /// From 1, the fastest; `None` if too few rounds tell, and of what is no WebSocket server.
    pub(super) class: Option<usize>,
    /// In the order of the kind's.
    pub(super) figures: Vec<Option<Figure>>,
    /// Of all rounds that count, added up.
    pub(super) latency: Option<Histogram<u64>>,
    /// Those that went well.
    pub(super) runs: Vec<&'a Run>,
    /// How many did not.
    pub(super) failed: usize,
}

/// What is said of one figure.
#[derive(Clone)]
pub(super) struct Figure {
    /// The median of the rounds, or a quantile of all together.
    pub(super) value: f64,
    /// Of the rounds that may be compared; of all if none may.
    rounds: ByRound,
    /// What was found in them all that forbids comparing.
    pub(super) why_not: Option<String>,
    /// To the reference's of the same rounds.
    pub(super) ratio: Option<Estimate>,
}

impl<'a> View<'a> {
    /// Tabulates.
    pub(super) fn of(archive: &'a Archive) -> View<'a> {
        let suite = &archive.suite;
        let is_reference = |server: &&ServerEntry| match &suite.baseline {
            Some(name) => server.name == *name,
            None => server.role == "baseline",
        };
        let reference = suite.servers.iter().find(is_reference);
        let reference = reference.map_or("", |server| &server.name);
        let workloads = suite.workloads.iter();
        let tables = workloads
            .filter_map(|it| Table::of(archive, it, reference))
            .collect();
        let mut missing = archive.missing.clone();
        for run in &archive.runs {
            let latency = latency(run).map(Latency::histogram);
            if let Some(Err(error)) = latency {
                let name = format!("{}, {}, round {}", run.server, run.workload, run.round);
                missing.push(format!("{name}: no histogram ({error:#})."));
            }
        }
        View {
            archive,
            tables,
            reference,
            missing,
        }
    }

    /// The reference, and those that are variants of it by their names.
    pub(super) fn references(&self) -> Vec<&'a ServerEntry> {
        let is_one = |server: &&ServerEntry| {
            let rest = server.name.strip_prefix(self.reference);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.archive.suite.servers.iter().filter(is_one).collect()
    }
}

impl<'a> Table<'a> {
    fn of(archive: &'a Archive, workload: &'a WorkloadEntry, reference: &str) -> Option<Table<'a>> {
        let runs = archive.runs.iter();
        let runs = runs.filter(|run| run.workload == workload.name);
        let mut runs = runs.into_group_map_by(|run| &run.server);
        let kind = runs.values().flatten().find_map(|run| Kind::of(run))?;
        let servers = archive.suite.servers.iter().enumerate();
        let runs = servers.filter_map(|(at, it)| Some((at, it, runs.remove(&it.name)?)));
        let rows = runs.map(|(at, server, runs)| Row::of(at, server, &kind, runs));
        let rows: Vec<Row<'_>> = rows.collect();
        rows.first()?;
        let mut table = Table {
            workload,
            kind,
            rows,
        };
        let those = table.row(reference).map(|row| row.figures.clone());
        table.set_ratios(|row| those.clone().filter(|_| row.server.name != reference));
        table.set_classes();
        let place = |row: &Row<'_>| (row.is_limit(), row.class.unwrap_or(usize::MAX));
        let first = |row: &Row<'_>| row.first().map_or(f64::INFINITY, |it| it.value);
        let rows = &mut table.rows;
        rows.sort_by(|one, other| first(one).total_cmp(&first(other)));
        rows.sort_by_key(place);
        Some(table)
    }

    /// What was found of a server.
    pub(super) fn row(&self, server: &str) -> Option<&Row<'a>> {
        self.rows.iter().find(|row| row.server.name == server)
    }

    /// What a figure counts, by its number.
    pub(super) fn unit(&self, at: usize) -> Unit {
        self.kind.metrics[at].unit
    }

    /// Intervals of all figures to those of `other`. They hold all at once.
    pub(super) fn set_ratios(&mut self, other: impl Fn(&Row<'_>) -> Option<Vec<Option<Figure>>>) {
        let others: Vec<_> = self.rows.iter().map(other).collect();
        let count = others.iter().flatten().flatten().flatten().count();
        for (row, those) in self.rows.iter_mut().zip(&others) {
            let mut those = those.iter().flatten();
            for this in &mut row.figures {
                let that = those.next().and_then(Option::as_ref);
                if let Some(this) = this {
                    this.ratio = that.and_then(|that| this.to(that, count));
                }
            }
        }
    }

    /// The fastest and all whose intervals to it do not separate are a class; so on with those that are left.
    fn set_classes(&mut self) {
        let metric = &self.kind.metrics[self.kind.speed];
        let costs: Vec<ByRound> = self.rows.iter().map(|row| row.costs(metric)).collect();
        let cost = |at: usize| Spread::of(costs[at].values().copied()).map_or(0.0, |it| it.median);
        let is_told = |at: &usize| costs[*at].len() >= ROUNDS_TO_DECIDE;
        let mut left: Vec<usize> = (0..costs.len()).filter(is_told).collect();
        left.sort_by(|one, other| cost(*one).total_cmp(&cost(*other)));
        let count = left.len().saturating_sub(1);
        for class in 1.. {
            let Some(&leader) = left.first() else { break };
            left.retain(|&at| {
                let ratio = ratio(&costs[at], &costs[leader], count);
                let ratio = ratio.filter(|ratio| ratio.rounds >= ROUNDS_TO_DECIDE);
                self.rows[at].class = ratio.map(|_| class);
                ratio.is_some_and(|it| it.is_resolved() && it.low > 1.0 + CLASS_SHARE_MIN)
            });
        }
    }
}

impl<'a> Row<'a> {
    fn of(number: usize, server: &'a ServerEntry, kind: &Kind, runs: Vec<&'a Run>) -> Row<'a> {
        let (runs, failed): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.is_whole());
        let (latency, failed, class) = (add_up(&runs), failed.len(), None);
        let figures = kind.metrics.iter();
        let figures = figures.map(|metric| Figure::of(metric, &runs, latency.as_ref()));
        let figures = figures.collect();
        Row {
            number,
            server,
            class,
            figures,
            latency,
            runs,
            failed,
        }
    }

    /// Whether it is no WebSocket server, but what can be reached at most.
    pub(super) fn is_limit(&self) -> bool {
        self.server.role == "limit"
    }

    /// Whether it is the project's own.
    pub(super) fn is_ours(&self) -> bool {
        self.server.role == "ours"
    }

    /// The figure that ranks, if it is known.
    pub(super) fn first(&self) -> Option<&Figure> {
        self.figures[0].as_ref()
    }

    /// Runs that have findings which forbid comparing some figure.
    pub(super) fn disturbed(&self) -> usize {
        let runs = self.runs.iter();
        runs.filter(|run| !disturbances(run).is_empty()).count()
    }

    /// By round, what is the less the faster; nothing of what is in no class.
    fn costs(&self, metric: &Metric) -> ByRound {
        // What the generator held back was at least so fast, which does for the place of others.
        let counts = |run: &&&Run| {
            let mut against = forbidding(run, metric.needs);
            !self.is_limit() && against.all(|finding| finding.id == Id::GeneratorSaturated)
        };
        let mut rounds = by_round(metric, self.runs.iter().filter(counts).copied());
        if metric.unit == Unit::Count {
            rounds.values_mut().for_each(|value| *value = value.recip());
        }
        rounds
    }
}

impl Figure {
    fn of(metric: &Metric, runs: &[&Run], latency: Option<&Histogram<u64>>) -> Option<Figure> {
        let known = runs.iter().filter(|run| (metric.of)(run).is_some());
        let counted = counted(metric.needs, known.copied());
        let rounds = by_round(metric, counted.iter().copied());
        let median = Spread::of(rounds.values().copied())?.median;
        let pooled = metric.quantile.zip(latency);
        let pooled = pooled.map(|(quantile, of)| of.value_at_quantile(quantile) as f64);
        let found = counted.iter();
        let found = found.flat_map(|run| forbidding(run, metric.needs));
        let found: BTreeSet<&str> = found.map(|finding| finding.id.name()).collect();
        let why_not = (!found.is_empty()).then(|| found.iter().join(", "));
        let (value, ratio) = (pooled.unwrap_or(median), None);
        Some(Figure {
            value,
            rounds,
            why_not,
            ratio,
        })
    }

    /// Its ratio to another, one of `count`; `None` if either may not be compared.
    pub(super) fn to(&self, other: &Figure, count: usize) -> Option<Estimate> {
        let is_comparable = self.why_not.is_none() && other.why_not.is_none();
        ratio(&self.rounds, &other.rounds, count).filter(|_| is_comparable)
    }
}

/// `these / those` in the rounds that have both: what slows a whole round cancels out.
fn ratio(these: &ByRound, those: &ByRound, count: usize) -> Option<Estimate> {
    let ratios = these
        .iter()
        .filter_map(|(round, this)| Some(this / those.get(round)?));
    Estimate::of(ratios, count)
}

/// Of `runs` those whose findings let a figure be compared, or all if none does.
fn counted<'a>(needs: Needs, runs: impl Iterator<Item = &'a Run>) -> Vec<&'a Run> {
    let (allowed, rest): (Vec<_>, Vec<_>) =
        runs.partition(|run| needs(Comparable::of(&run.document.findings)));
    if allowed.is_empty() { rest } else { allowed }
}

fn by_round<'a>(metric: &Metric, runs: impl Iterator<Item = &'a Run>) -> ByRound {
    let values = runs.filter_map(|run| Some((run.round, (metric.of)(run)?)));
    values.filter(|(_, value)| value.is_finite()).collect()
}

/// The latencies of the rounds that count, added up.
fn add_up(runs: &[&Run]) -> Option<Histogram<u64>> {
    let known = runs
        .iter()
        .filter(|run| latency(run).is_some_and(|it| it.count > 0));
    let counted = counted(|left| left.latency, known.copied()).into_iter();
    let mut histograms = counted.filter_map(|run| latency(run)?.histogram().ok());
    let mut sum = histograms.next()?;
    histograms.try_for_each(|next| sum.add(&next)).ok()?;
    Some(sum)
}

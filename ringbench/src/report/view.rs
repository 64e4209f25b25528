//! What both forms of a report are made of: the results, tabulated, and which workloads stand together.

use std::collections::BTreeMap;

use ringload::assess::estimate::Estimate;
use ringload::output::document::knee::KneeDocument;
use serde_json::Value;

use super::figures::{ByRound, Cell, Kind, Metric, Phase, Table, paired, position, tabulate};
use super::input::Results;
use super::plot::{Bar, Curve, Look, Plot, Stretch, Unit, bars, knee, phases, spectrum};
use crate::suite::document::{ServerEntry, ServerStatus, WorkloadEntry};

/// Options in which workloads of one family may differ.
const PACE_OPTIONS: [&str; 9] = [
    "arrivals", "depth", "duplex", "duration", "rate", "rounds", "seed", "servers", "warmup",
];

/// Results, tabulated.
pub(super) struct View<'a> {
    pub(super) results: &'a Results,
    pub(super) tables: Vec<Table<'a>>,
    /// Number of the server that others are compared with.
    pub(super) baseline: Option<usize>,
    /// What is missing or could not be read.
    pub(super) missing: Vec<String>,
}

/// Workloads that send the same messages over the same connections, at different paces; or all of a kind.
pub(super) struct Family<'v, 'a> {
    pub(super) title: String,
    pub(super) tables: Vec<&'v Table<'a>>,
}

/// A drawing, and what it is called as a file.
pub(super) struct Figure {
    pub(super) caption: String,
    pub(super) file: String,
    pub(super) plot: Plot,
    /// The same with a legend in it, to stand alone; `None` if it needs none.
    pub(super) alone: Option<Plot>,
    /// Servers with a curve, for the legend beside it; empty if the drawing names them.
    pub(super) legend: Vec<usize>,
}

impl<'a> View<'a> {
    /// Tabulates.
    pub(super) fn of(results: &'a Results) -> View<'a> {
        let mut missing = results.missing.clone();
        let tables = tabulate(results, &mut missing);
        let servers = &results.suite.servers;
        let baseline = match &results.suite.baseline {
            Some(name) => position(servers, name),
            None => servers.iter().position(|server| server.role == "baseline"),
        };
        if let (Some(name), None) = (&results.suite.baseline, baseline) {
            missing.push(format!("The baseline {name} is none of the servers."));
        }
        for workload in &results.suite.workloads {
            let table = tables
                .iter()
                .find(|table| table.workload.name == workload.name);
            missing.extend(never_measured(results, workload, table));
            missing.extend(table.and_then(|table| short_of_rounds(results, table)));
        }
        View {
            results,
            tables,
            baseline,
            missing,
        }
    }

    /// The ratio of a figure to the baseline's in the same rounds; `None` for the baseline itself.
    pub(super) fn ratio(
        &self,
        table: &Table<'_>,
        metric: Metric,
        number: usize,
    ) -> Option<Estimate> {
        let baseline = self.baseline.filter(|baseline| *baseline != number)?;
        let of = |number| -> Option<&ByRound> { table.cells.get(&number)?.metrics.get(&metric) };
        Estimate::of(paired(of(number)?, of(baseline)?), self.ratios())
    }

    /// How many ratios the report has: each server's in each workload but the baseline's.
    fn ratios(&self) -> usize {
        let of = |table: &Table<'_>| match self.baseline {
            Some(baseline) if table.cells.contains_key(&baseline) => table.cells.len() - 1,
            _ => 0,
        };
        self.tables.iter().map(of).sum()
    }

    /// A server by its number.
    pub(super) fn server(&self, number: usize) -> &ServerEntry {
        &self.results.suite.servers[number]
    }

    /// Whether a server is the project's own.
    pub(super) fn is_ours(&self, number: usize) -> bool {
        self.server(number).role == "ours"
    }

    /// Workloads that belong side by side, in the suite's order.
    pub(super) fn families(&self) -> Vec<Family<'_, 'a>> {
        let mut families: Vec<(String, Family<'_, 'a>)> = Vec::new();
        for table in &self.tables {
            let key = family_key(table);
            match families.iter_mut().find(|(other, _)| *other == key) {
                Some((_, family)) => family.tables.push(table),
                None => {
                    let family = Family {
                        title: family_title(table),
                        tables: vec![table],
                    };
                    families.push((key, family));
                }
            }
        }
        families.into_iter().map(|(_, family)| family).collect()
    }

    /// The workload that stands for all: the first at saturation, or else of any pace, for which the CPU time
    /// of one of the project's own servers is known; only if there is none, that of any server.
    pub(super) fn main(&self) -> Option<&Table<'a>> {
        const KINDS: [&[Kind]; 2] = [&[Kind::Saturated], &[Kind::Paced, Kind::Storm]];
        let find = |kinds: &[Kind], is_ours: bool| {
            self.tables.iter().find(|table| {
                let counts = |(number, cell): (&usize, &Cell<'_>)| {
                    cell.metrics.contains_key(&Metric::Cpu) && (!is_ours || self.is_ours(*number))
                };
                kinds.contains(&table.kind) && table.cells.iter().any(counts)
            })
        };
        let of = |is_ours| KINDS.into_iter().find_map(|kinds| find(kinds, is_ours));
        of(true).or_else(|| of(false))
    }

    /// Bars of one figure, a row a server.
    pub(super) fn bars(&self, table: &Table<'_>, metric: Metric) -> Option<Figure> {
        let (what, axis, unit) = match metric {
            Metric::Throughput if table.kind == Kind::Storm => {
                ("visits per second", "visits per second", Unit::Count)
            }
            Metric::Throughput => ("messages per second", "messages per second", Unit::Count),
            Metric::Cpu if table.kind == Kind::Storm => (
                "server CPU per visit",
                "server CPU per visit",
                Unit::Nanoseconds,
            ),
            Metric::Cpu => (
                "server CPU per message",
                "server CPU per message",
                Unit::Nanoseconds,
            ),
            Metric::BestRate => (
                "highest rate within the objective",
                "messages per second",
                Unit::Count,
            ),
            Metric::Rss => ("growth of resident memory", "per connection", Unit::Bytes),
            Metric::Pss => (
                "growth of proportional memory",
                "per connection",
                Unit::Bytes,
            ),
            _ => return None,
        };
        let rows: Vec<Bar> = table
            .cells
            .iter()
            .filter_map(|(number, cell)| {
                Some(Bar {
                    label: self.server(*number).title.clone(),
                    look: Look::of(*number),
                    rounds: cell.metrics.get(&metric)?.values().copied().collect(),
                })
            })
            .collect();
        let file = format!(
            "{}-{}",
            file_name(&table.workload.name),
            metric_file(metric)
        );
        let caption = format!("{}: {what}", table.workload.title);
        Some(Figure {
            plot: bars(&caption, axis, unit, &rows)?,
            caption,
            file,
            alone: None,
            legend: Vec::new(),
        })
    }

    /// Latency by percentile, a curve a server.
    pub(super) fn spectrum(&self, table: &Table<'_>) -> Option<Figure> {
        let mut curves = Vec::new();
        let mut legend = Vec::new();
        for (number, cell) in &table.cells {
            let Some(of) = cell
                .times
                .get(&Phase::Message)
                .filter(|times| !times.is_empty())
            else {
                continue;
            };
            legend.push(*number);
            curves.push(Curve {
                label: &self.server(*number).title,
                look: Look::of(*number),
                of,
            });
        }
        let caption = format!(
            "{}: latency by percentile, all rounds together",
            table.workload.title
        );
        let file = format!("{}-latency", file_name(&table.workload.name));
        Some(Figure {
            plot: spectrum(&caption, &curves, false)?,
            alone: spectrum(&caption, &curves, true),
            caption,
            file,
            legend,
        })
    }

    /// Latency by offered rate: of each server the round whose best rate is the middle one.
    pub(super) fn knee(&self, table: &Table<'_>) -> Option<Figure> {
        let mut curves = Vec::new();
        let mut legend = Vec::new();
        for (number, cell) in &table.cells {
            let mut rounds: Vec<_> = cell.knees.values().collect();
            rounds.sort_by(|a, b| {
                let rate = |knee: &KneeDocument| knee.best.map_or(0.0, |best| best.rate);
                rate(a).total_cmp(&rate(b))
            });
            let Some(middle) = rounds.get(rounds.len() / 2) else {
                continue;
            };
            legend.push(*number);
            curves.push(Curve {
                label: &self.server(*number).title,
                look: Look::of(*number),
                of: **middle,
            });
        }
        let caption = format!("{}: p99 latency by offered rate", table.workload.title);
        let file = format!("{}-knee", file_name(&table.workload.name));
        Some(Figure {
            plot: knee(&caption, &curves)?,
            alone: None,
            caption,
            file,
            legend,
        })
    }

    /// Phases of a storm.
    pub(super) fn phases(&self, table: &Table<'_>) -> Option<Figure> {
        let labels: Vec<String> = table
            .cells
            .keys()
            .map(|number| self.server(*number).title.clone())
            .collect();
        let stretch = |name, phase| Stretch {
            name,
            p50_p99_ns: table
                .cells
                .values()
                .map(|cell| {
                    cell.percentile_ns(phase, 0.5)
                        .zip(cell.percentile_ns(phase, 0.99))
                })
                .collect(),
        };
        let stretches = [
            stretch("connect", Phase::Connect),
            stretch("handshake", Phase::Handshake),
            stretch("first echo", Phase::FirstEcho),
        ];
        let caption = format!("{}: phases of a visit", table.workload.title);
        let file = format!("{}-phases", file_name(&table.workload.name));
        Some(Figure {
            plot: phases(&caption, &labels, &stretches)?,
            alone: None,
            caption,
            file,
            legend: Vec::new(),
        })
    }

    /// All drawings of one workload.
    pub(super) fn figures(&self, table: &Table<'_>) -> Vec<Figure> {
        let bars = |metric| self.bars(table, metric);
        let figures = match table.kind {
            Kind::Saturated => vec![
                bars(Metric::Cpu),
                self.spectrum(table),
                bars(Metric::Throughput),
            ],
            // Throughput of an open loop is the rate that was asked for; where it is not, the table says so.
            Kind::Paced => vec![bars(Metric::Cpu), self.spectrum(table)],
            Kind::Storm => vec![
                bars(Metric::Throughput),
                bars(Metric::Cpu),
                self.phases(table),
            ],
            Kind::Idle => vec![bars(Metric::Rss), bars(Metric::Pss)],
            Kind::Knee => vec![bars(Metric::BestRate), self.knee(table)],
        };
        figures.into_iter().flatten().collect()
    }
}

/// Says which servers have no run at all, though they are to have one.
fn never_measured(
    results: &Results,
    workload: &WorkloadEntry,
    table: Option<&Table<'_>>,
) -> Option<String> {
    let is_measured = |number| table.is_some_and(|table| table.cells.contains_key(&number));
    let servers = results.suite.servers.iter().enumerate();
    let absent: Vec<&str> = servers
        .filter(|(number, server)| {
            server.status == ServerStatus::Ok
                && workload.servers.contains(&server.name)
                && !is_measured(*number)
        })
        .map(|(_, server)| server.title.as_str())
        .collect();
    (!absent.is_empty()).then(|| {
        format!(
            "{}: there is no run of {}.",
            workload.title,
            absent.join(", ")
        )
    })
}

/// Says which servers have fewer rounds than the suite asks for.
fn short_of_rounds(results: &Results, table: &Table<'_>) -> Option<String> {
    let wanted = match table.workload.rounds {
        0 => results.suite.rounds,
        rounds => rounds,
    };
    let short: Vec<String> = table
        .cells
        .iter()
        .filter(|(_, cell)| cell.rounds < wanted)
        .map(|(number, cell)| {
            format!(
                "{} {} of {wanted}",
                results.suite.servers[*number].title, cell.rounds
            )
        })
        .collect();
    (!short.is_empty()).then(|| {
        format!(
            "{}: not every round has figures ({}).",
            table.workload.title,
            short.join(", ")
        )
    })
}

fn family_key(table: &Table<'_>) -> String {
    match table.kind {
        Kind::Saturated | Kind::Paced => {
            let options: BTreeMap<&String, &Value> = table
                .workload
                .options
                .iter()
                .filter(|(name, _)| !PACE_OPTIONS.contains(&name.as_str()))
                .collect();
            match options.is_empty() {
                true => format!("run {}", table.workload.name),
                false => format!(
                    "{} {}",
                    table.workload.tls,
                    serde_json::to_string(&options).unwrap_or_default()
                ),
            }
        }
        kind => format!("{kind:?}"),
    }
}

fn family_title(table: &Table<'_>) -> String {
    match table.kind {
        Kind::Storm => "Storms of connections".to_owned(),
        Kind::Idle => "Memory of idle connections".to_owned(),
        Kind::Knee => "Highest rate within an objective".to_owned(),
        Kind::Saturated | Kind::Paced => messages(table.workload),
    }
}

/// What is sent, from the options, such as `64 connections × 32 B`; else the workload's own title.
fn messages(workload: &WorkloadEntry) -> String {
    let text = |name: &str| {
        workload.options.get(name).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    };
    let is_set = |name: &str| workload.options.get(name) == Some(&Value::Bool(true));
    let (Some(connections), Some(size)) = (text("connections"), text("size")) else {
        return workload.title.clone();
    };
    let unit = if size.chars().all(|character| character.is_ascii_digit()) {
        " B"
    } else {
        ""
    };
    let plural = if connections == "1" { "" } else { "s" };
    let tls = if workload.tls { ", TLS" } else { "" };
    let deflate = if is_set("deflate") {
        ", compressed"
    } else {
        ""
    };
    format!("{connections} connection{plural} × {size}{unit}{tls}{deflate}")
}

/// A name that is safe as a file's and in an identifier: letters, digits and dashes.
fn file_name(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .take(80)
        .collect();
    format!("plot-{safe}")
}

fn metric_file(metric: Metric) -> &'static str {
    match metric {
        Metric::Throughput => "throughput",
        Metric::Offered => "offered",
        Metric::Cpu => "cpu",
        Metric::BestRate => "best-rate",
        Metric::Heavy => "heavy",
        Metric::MostByMean => "most-by-mean",
        Metric::Base => "base",
        Metric::P99 => "p99",
        Metric::Rss => "memory",
        Metric::Anonymous => "memory-anonymous",
        Metric::Pss => "memory-proportional",
        Metric::Kept => "memory-kept",
    }
}

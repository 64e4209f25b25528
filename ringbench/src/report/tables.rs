//! The tables of a report.

use ringload::assess::estimate::Estimate;
use ringload::assess::spread::Spread;
use ringload::output::document::Status;
use serde_json::Value;

use super::figures::{Cell, Kind, Metric, Phase, Table, time};
use super::grid::{Entry, Grid};
use super::view::View;
use crate::suite::document::ServerStatus;

/// An open loop that reached less of its rate than this did not hold it.
const HELD_SHARE: f64 = 0.99;

/// Figures of one workload, a row a server.
pub(super) fn figures(view: &View<'_>, table: &Table<'_>) -> Grid {
    let head: &[&str] = match table.kind {
        Kind::Saturated => &[
            "Server",
            "#Messages/s",
            "#p50",
            "#p99",
            "#p99.9",
            "#Worst",
            "#Heavy messages/s",
            "#Most by mean share",
            "#CPU per message",
            "#CPU × baseline",
            "#Rounds",
            "Verdicts",
        ],
        Kind::Paced => &[
            "Server",
            "#Messages/s",
            "#p50",
            "#p99",
            "#p99.9",
            "#Worst",
            "#p99 since sent",
            "#Heavy messages/s",
            "#Most by mean share",
            "#CPU per message",
            "#CPU × baseline",
            "#Rounds",
            "Verdicts",
        ],
        Kind::Storm => &[
            "Server",
            "#Visits/s",
            "#Visit p50",
            "#Visit p99",
            "#Connect p50",
            "#Handshake p50",
            "#First echo p50",
            "#CPU per visit",
            "#CPU × baseline",
            "#Rounds",
            "Closes",
            "Verdicts",
        ],
        Kind::Idle => &[
            "Server",
            "#Base",
            "#Resident",
            "#Anonymous",
            "#Proportional",
            "#Kept afterwards",
            "#Resident × baseline",
            "#Rounds",
        ],
        Kind::Knee => &[
            "Server",
            "#Highest rate",
            "#p99 there",
            "#Rate × baseline",
            "#Rounds",
            "Objective",
            "Verdicts",
        ],
    };
    let mut grid = Grid::new(head);
    for (number, cell) in &table.cells {
        let mut row = vec![Entry {
            is_strong: view.is_ours(*number),
            ..Entry::of(view.server(*number).title.clone())
        }];
        row.extend(entries(view, table, *number, cell));
        grid.row(row);
    }
    grid.without_empty_columns()
}

fn entries(view: &View<'_>, table: &Table<'_>, number: usize, cell: &Cell<'_>) -> Vec<Entry> {
    let spread = |metric| spread(metric, cell.spread(metric));
    let percentile = |phase, quantile| {
        cell.percentile_ns(phase, quantile)
            .map_or_else(Entry::unknown, |ns| Entry::of(time(ns)))
    };
    // Beside heavy connections the question is whether anybody starves.
    let worst = || match cell.metrics.contains_key(&Metric::Heavy) {
        true => percentile(Phase::Message, 1.0),
        false => Entry::unknown(),
    };
    let ratio = |metric| match view.baseline == Some(number) {
        true => Entry::of("1"),
        false => ratio(view.ratio(table, metric, number)),
    };
    let rounds = Entry::of(cell.rounds.to_string());
    match table.kind {
        Kind::Saturated => vec![
            spread(Metric::Throughput),
            percentile(Phase::Message, 0.5),
            p99(cell),
            percentile(Phase::Message, 0.999),
            worst(),
            spread(Metric::Heavy),
            spread(Metric::MostByMean),
            spread(Metric::Cpu),
            ratio(Metric::Cpu),
            rounds,
            verdicts(cell),
        ],
        Kind::Paced => vec![
            held(cell),
            percentile(Phase::Message, 0.5),
            p99(cell),
            percentile(Phase::Message, 0.999),
            worst(),
            percentile(Phase::Service, 0.99),
            spread(Metric::Heavy),
            spread(Metric::MostByMean),
            spread(Metric::Cpu),
            ratio(Metric::Cpu),
            rounds,
            verdicts(cell),
        ],
        Kind::Storm => vec![
            spread(Metric::Throughput),
            percentile(Phase::Visit, 0.5),
            percentile(Phase::Visit, 0.99),
            percentile(Phase::Connect, 0.5),
            percentile(Phase::Handshake, 0.5),
            percentile(Phase::FirstEcho, 0.5),
            spread(Metric::Cpu),
            ratio(Metric::Cpu),
            rounds,
            closes(cell),
            verdicts(cell),
        ],
        Kind::Idle => vec![
            spread(Metric::Base),
            spread(Metric::Rss),
            spread(Metric::Anonymous),
            spread(Metric::Pss),
            spread(Metric::Kept),
            ratio(Metric::Rss),
            rounds,
        ],
        Kind::Knee => vec![
            spread(Metric::BestRate),
            spread(Metric::P99),
            ratio(Metric::BestRate),
            rounds,
            Entry::of(
                cell.knees
                    .values()
                    .next()
                    .map_or("–", |knee| knee.objective.as_str()),
            ),
            verdicts(cell),
        ],
    }
}

/// A median with its range.
fn spread(metric: Metric, spread: Option<Spread>) -> Entry {
    let Some(spread) = spread else {
        return Entry::unknown();
    };
    let text = metric.text(spread.median);
    // Of a single round, and of rounds that agree to the last digit, there is no range to show.
    match metric.text(spread.min) == metric.text(spread.max) {
        true => Entry::of(text),
        false => Entry::with(text, format!("({})", metric.range(&spread))),
    }
}

/// A ratio with its interval; `?` if that leaves open on which side of 1 it lies.
fn ratio(ratio: Option<Estimate>) -> Entry {
    let Some(ratio) = ratio else {
        return Entry::unknown();
    };
    let mark = if ratio.is_resolved() { "" } else { " ?" };
    Entry::with(
        format!("{}×{mark}", times(ratio.ratio)),
        format!("({}–{})", times(ratio.low), times(ratio.high)),
    )
}

/// A ratio to two decimals, of a small one two digits that say something: 1.06, 0.39, 0.039, 0.0034.
fn times(ratio: f64) -> String {
    let leading_zeros = match ratio > 0.0 && ratio < 0.1 {
        true => (-ratio.log10()).floor() as usize,
        false => 0,
    };
    format!("{ratio:.*}", 2 + leading_zeros)
}

/// The 99th percentile of all rounds together, and the range of the single rounds'.
fn p99(cell: &Cell<'_>) -> Entry {
    let Some(ns) = cell.percentile_ns(Phase::Message, 0.99) else {
        return Entry::unknown();
    };
    match cell.spread(Metric::P99).filter(|spread| spread.count > 1) {
        Some(spread) => Entry::with(time(ns), format!("({})", Metric::P99.range(&spread))),
        None => Entry::of(time(ns)),
    }
}

/// Throughput of an open loop, and whether that is what was asked for.
fn held(cell: &Cell<'_>) -> Entry {
    let reached = cell.spread(Metric::Throughput);
    let entry = spread(Metric::Throughput, reached);
    match reached.zip(cell.spread(Metric::Offered)) {
        Some((reached, offered)) if reached.median < HELD_SHARE * offered.median => Entry {
            aside: format!("of {} offered", Metric::Offered.text(offered.median)),
            ..entry
        },
        _ => entry,
    }
}

fn verdicts(cell: &Cell<'_>) -> Entry {
    let mut texts: Vec<String> = cell
        .verdicts
        .iter()
        .map(|(verdict, count)| match cell.verdicts.len() {
            1 => (*verdict).to_owned(),
            _ => format!("{verdict} {count}"),
        })
        .collect();
    if cell.failed > 0 {
        texts.push(format!("{} not counted", cell.failed));
    }
    match texts.is_empty() {
        true => Entry::unknown(),
        false => Entry::of(texts.join(", ")),
    }
}

/// How visits ended, other than in order.
fn closes(cell: &Cell<'_>) -> Entry {
    let texts: Vec<String> = cell
        .closes
        .iter()
        .filter(|(name, count)| **count > 0 && **name != "orderly")
        .map(|(name, count)| format!("{name}: {count}"))
        .collect();
    match (texts.is_empty(), cell.closes.is_empty()) {
        (true, true) => Entry::unknown(),
        (true, false) => Entry::of("orderly"),
        (false, _) => Entry::of(texts.join(", ")),
    }
}

/// Every run: how it ended, who was the limit, and why.
pub(super) fn runs(view: &View<'_>) -> Grid {
    let mut grid = Grid::new(&["Workload", "Server", "#Round", "Verdict", "Why", "File"]);
    for run in &view.results.runs {
        let (status, error) = run.document.ending();
        let (verdict, why) = match (run.document.verdict(), status) {
            (_, Status::Failed) => ("failed", error.unwrap_or_default()),
            (_, Status::Interrupted) => ("interrupted", error.unwrap_or_default()),
            (Some((verdict, why)), _) => (verdict.name(), why),
            (None, _) => ("–", error.unwrap_or_default()),
        };
        grid.row(vec![
            Entry::of(run.workload.clone()),
            Entry::of(run.server.clone()),
            Entry::of(run.round.to_string()),
            Entry::of(verdict),
            Entry::of(why),
            Entry::of(run.raw.clone()),
        ]);
    }
    grid
}

/// Runs whose figures do not count.
pub(super) fn failed(view: &View<'_>) -> Vec<String> {
    let failures = &view.results.suite.failures;
    let runs = view.results.runs.iter().filter_map(|run| {
        let (status, error) = run.document.ending();
        // The suite tells of a run by the server's name first, and has seen more than the document says.
        let told = format!("{}, {}, round {}: ", run.server, run.workload, run.round);
        if failures.iter().any(|sentence| sentence.starts_with(&told)) {
            return None;
        }
        let what = match status {
            Status::Failed => "failed",
            Status::Interrupted => "was interrupted",
            Status::Ok | Status::Missed => return None,
        };
        let why = error.unwrap_or("no reason was given");
        Some(format!(
            "{}, {}, round {}: {what}: {why}",
            run.server, run.workload, run.round
        ))
    });
    failures.iter().cloned().chain(runs).collect()
}

/// Servers that were not measured, and why.
pub(super) fn skipped(view: &View<'_>) -> Vec<String> {
    view.results
        .suite
        .servers
        .iter()
        .filter(|server| server.status != ServerStatus::Ok)
        .map(|server| {
            let reason = server.reason.as_deref().unwrap_or("no reason was given");
            format!("{} ({}): {reason}", server.title, server.status.name())
        })
        .collect()
}

/// A JSON value as rows of `path  value`, without structure.
pub(super) fn flatten(value: &Value) -> Vec<(String, String)> {
    fn walk(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
        let below = |name: &str| match path.is_empty() {
            true => name.to_owned(),
            false => format!("{path}.{name}"),
        };
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    walk(&below(name), value, rows);
                }
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                for (number, item) in items.iter().enumerate() {
                    walk(&below(&number.to_string()), item, rows);
                }
            }
            Value::Array(items) => {
                let texts: Vec<String> = items.iter().map(plain).collect();
                rows.push((path.to_owned(), texts.join(" ")));
            }
            other => rows.push((path.to_owned(), plain(other))),
        }
    }
    let mut rows = Vec::new();
    walk("", value, &mut rows);
    rows
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

/// `environment.json` or `selftest.json`, row by row.
pub(super) fn properties(value: &Value) -> Grid {
    let mut grid = Grid::new(&["Property", "Value"]);
    for (path, value) in flatten(value) {
        // A histogram says nothing to a reader.
        if !path.ends_with("histogram_v2_deflate_base64") {
            grid.row(vec![Entry::of(path), Entry::of(value)]);
        }
    }
    grid
}

//! What a report says of one suite.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::once;

use itertools::Itertools as _;
use ringload::assess::estimate::{Estimate, ROUNDS_TO_DECIDE};
use ringload::result::capacity::Point;
use serde_json::{Value, json};

use super::content::{Block, Page};
use super::figures::{Unit, capacity, disturbances};
use super::grid::{Entry, Grid};
use super::plot::{self, Curve, Plot, Points};
use super::view::{Figure, Row, Table, View};
use crate::suite::document::{Archive, ServerEntry, ServerStatus, plain};

/// How to read the figures.
const LEGEND: &str = include_str!("legend.txt");

/// Percentiles that are drawn, and how many values must lie beyond them.
const PERCENTILES: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
const BEYOND_MIN: f64 = 10.0;

/// Curves in one drawing, the reference besides: more are not told apart.
const CURVES_MAX: usize = 7;

/// The whole report.
pub(super) fn page(view: &View<'_>) -> Page {
    let suite = &view.archive.suite;
    let circumstances = circumstances(view.archive);
    let behind = view.references().into_iter();
    let behind = behind.filter_map(|server| behind_the_best(view, server));
    let lead = once(fastest(view)).chain(behind).chain([disturbed(view)]);
    let finished = suite.finished.as_deref().unwrap_or("no end");
    let machine = ["environment.cpu.model", "environment.kernel"];
    let machine = machine.iter().filter_map(|path| circumstances.get(*path));
    let machine = machine.map(|it| format!(" · {it}")).join("");
    let under = format!("{} to {finished}{machine}", suite.started);
    let mut blocks = vec![Block::Text(under)];
    if let Some(prediction) = &suite.prediction {
        let mut grid = Grid::new(["Predicted before the run", "What came of it"]);
        grid.row([prediction.clone(), lead.collect::<Vec<_>>().join(" ")]);
        blocks.push(Block::Table(grid));
    } else {
        blocks.extend(lead.map(Block::Lead));
    }
    let servers = suite.servers.iter();
    let skipped = servers.filter(|server| server.status != ServerStatus::Ok);
    let skipped = skipped.map(|server| {
        let reason = server.reason.as_deref().unwrap_or("no reason was given");
        let is_failed = server.status == ServerStatus::Failed;
        let status = if is_failed { "failed" } else { "skipped" };
        format!("{} ({status}): {reason}", server.title)
    });
    blocks.extend([
        Block::Table(overview(view)),
        Block::List("Skipped", skipped.collect()),
        Block::List("Went wrong", suite.failures.clone()),
        Block::List("Notes", [&suite.notes[..], &view.missing].concat()),
        Block::Text(LEGEND.to_owned()),
    ]);
    blocks.extend(view.tables.iter().flat_map(|it| section(view, it)));
    let mut properties = Grid::new(["Property", "Value"]);
    for (path, value) in &circumstances {
        properties.row([path, value]);
    }
    blocks.push(Block::Heading("Servers and environment".to_owned()));
    blocks.push(Block::Table(properties));
    Page(suite.title.clone(), blocks)
}

/// In how many workloads each server is of the fastest class.
fn fastest(view: &View<'_>) -> String {
    let is_told = |table: &&Table<'_>| table.rows.iter().any(|row| row.class == Some(2));
    let told: Vec<&Table<'_>> = view.tables.iter().filter(is_told).collect();
    let counts = view.archive.suite.servers.iter().filter_map(|server| {
        let classes = told
            .iter()
            .filter_map(|table| table.row(&server.name)?.class);
        let (first, others): (Vec<_>, Vec<_>) = classes.partition(|class| *class == 1);
        let (first, all) = (first.len(), first.len() + others.len());
        (all > 0).then(|| (first, format!("{} in {first} of {all}", server.title)))
    });
    let counts = counts.sorted_by_key(|(first, _)| Reverse(*first));
    let counts = counts.map(|(_, text)| text).join(", ");
    let (told, all) = (told.len(), view.tables.len());
    if told == 0 {
        return format!("None of {all} workloads tells the servers' speed apart.");
    }
    format!(
        "{told} of {all} workloads tell the servers' speed apart. Of the fastest class are {counts}."
    )
}

/// How far a server is behind the best, over all workloads.
fn behind_the_best(view: &View<'_>, server: &ServerEntry) -> Option<String> {
    let ratios = view.tables.iter().filter_map(|table| {
        let ratio = table
            .row(&server.name)?
            .first()?
            .to(table.rows.first()?.first()?, 1);
        Some(ratio?.ratio)
    });
    let (least, most) = ratios.minmax().into_option()?;
    let [least, most] = [least, most].map(times);
    Some(format!(
        "{} takes {least} to {most} times as much as the best, by workload.",
        server.title
    ))
}

/// How many rounds have findings that forbid comparing, by what was found.
fn disturbed(view: &View<'_>) -> String {
    let runs = &view.archive.runs;
    let whole = runs.iter().filter(|run| run.is_whole());
    let found: Vec<Vec<_>> = whole.map(disturbances).collect();
    let names = found
        .iter()
        .flatten()
        .counts_by(|finding| finding.id.name());
    let names = names.into_iter().sorted();
    let names = names
        .map(|(name, count)| format!(", {name} in {count}"))
        .join("");
    let (all, failed) = (runs.len(), runs.len() - found.len());
    let count = found.iter().filter(|found| !found.is_empty()).count();
    format!(
        "Of {all} rounds {count} were disturbed, so that not all their figures may be compared{names}; {failed} failed."
    )
}

/// Workload by workload: the best, what the reference and its variants take by that, and who is as fast.
fn overview(view: &View<'_>) -> Grid {
    let references = view.references();
    let head = ["Workload", "#Best", "Fastest class", "#Disturbed"];
    let by = references.iter().map(|server| &server.title);
    let by = by.map(|title| format!("#{title}, by the best"));
    let mut grid = Grid::new(head.map(str::to_owned).into_iter().chain(by));
    for table in &view.tables {
        let best = &table.rows[0];
        let text = best.first().map(|it| table.unit(0).text(it.value));
        let best_of_all = Entry::with(text.unwrap_or_default(), &best.server.title);
        let class = table.rows.iter().filter(|row| row.class == Some(1));
        let class = class.map(|row| &row.server.title).join(", ");
        let runs: usize = table.rows.iter().map(|row| row.runs.len()).sum();
        let disturbed: usize = table.rows.iter().map(Row::disturbed).sum();
        let rest = [class, format!("{disturbed} of {runs}")].map(Entry::from);
        let beside = references.iter().map(|server| {
            let those = table.row(&server.name)?.first()?;
            Some(shown(&those.to(best.first()?, references.len())?))
        });
        let row = [Entry::from(&table.workload.title), best_of_all].into_iter();
        grid.row(row.chain(rest).chain(beside.map(Entry::known)));
    }
    grid.without_empty_columns()
}

/// One workload: its pictures, its table and how to repeat it.
fn section(view: &View<'_>, table: &Table<'_>) -> Vec<Block> {
    let workload = table.workload;
    let mut blocks = vec![Block::Heading(workload.title.clone())];
    let runs = table.rows.iter().flat_map(|row| &row.runs);
    if let Some(found) = runs.filter_map(|run| capacity(run)).next() {
        blocks.push(Block::Text(format!("Objective: {}.", found.objective)));
    }
    let pictures = [
        bars(view, table),
        percentiles(view, table),
        searches(view, table),
    ];
    blocks.push(Block::Pictures(pictures.into_iter().flatten().collect()));
    blocks.push(Block::Table(figures(table, usize::MAX)));
    let called = view.archive.environment["command_line"].to_string();
    if let Some(file) = called.split('"').find(|word| word.ends_with(".toml")) {
        let seed = view.archive.suite.seed.to_string();
        let options = ["--only", &workload.name, "--seed", &seed];
        let words = ["ringbench", "suite", file].into_iter().chain(options);
        blocks.extend(shlex::try_join(words).ok().map(Block::Command));
    }
    blocks
}

/// `columns` figures of one workload, a row a server, the best first.
pub(super) fn figures(table: &Table<'_>, columns: usize) -> Grid {
    let columns = 0..table.kind.metrics.len().min(columns);
    let titles = columns
        .clone()
        .map(|at| format!("#{}", table.kind.title(at)));
    let counts = ["#Rounds", "#Disturbed", "#Failed"].map(str::to_owned);
    let mut grid = Grid::new(once("Server".to_owned()).chain(titles).chain(counts));
    for row in &table.rows {
        let class = match row.class {
            Some(class) => format!("class {class}"),
            None if row.is_limit() => "no WebSocket".to_owned(),
            None => "no class".to_owned(),
        };
        let style = if row.is_ours() { "ours" } else { "" };
        let server = Entry::with(&row.server.title, class).classed(style);
        let figures = columns.clone().map(|at| {
            let figure = row.figures[at].as_ref();
            Entry::known(figure.map(|figure| entry(table.unit(at), figure)))
        });
        let counts = [row.runs.len(), row.disturbed(), row.failed];
        let counts = counts.map(|it| Entry::known((it > 0).then(|| it.to_string())));
        grid.row(once(server).chain(figures).chain(counts));
    }
    grid.without_empty_columns()
}

/// A figure with its ratio; or grey, with what forbids comparing it.
fn entry(unit: Unit, figure: &Figure) -> Entry {
    let text = unit.text(figure.value);
    match &figure.why_not {
        Some(why) => Entry::with(text, why).classed("grey"),
        None => Entry::with(text, figure.ratio.as_ref().map_or_else(String::new, shown)),
    }
}

/// A ratio with its interval, if there are rounds for one; `?` if it settles nothing.
fn shown(ratio: &Estimate) -> String {
    let mark = if ratio.is_resolved() { "" } else { " ?" };
    let [times, low, high] = [ratio.ratio, ratio.low, ratio.high].map(times);
    if ratio.rounds < ROUNDS_TO_DECIDE {
        return format!("{times}× ?");
    }
    format!("{times}× ({low}–{high}){mark}")
}

/// A ratio to two decimals, of a small one two digits that say something: 1.06, 0.39, 0.039.
fn times(ratio: f64) -> String {
    let is_small = ratio > 0.0 && ratio < 0.1;
    let zeros = if is_small { -ratio.log10() } else { 0.0 };
    format!("{ratio:.*}", 2 + zeros as usize)
}

/// Bars of the first figure, in the order of the table.
pub(super) fn bars(view: &View<'_>, table: &Table<'_>) -> Option<Plot> {
    let reference = table.row(view.reference).and_then(Row::first);
    let bars = table.rows.iter().filter_map(|row| {
        let figure = row.first()?;
        let is_settled = |ratio: &Estimate| ratio.rounds >= ROUNDS_TO_DECIDE;
        let interval = figure.ratio.filter(is_settled).zip(reference);
        let interval = interval.map(|(ratio, of)| [ratio.low * of.value, ratio.high * of.value]);
        let color = match (figure.why_not.is_some(), row.is_ours()) {
            (true, _) => "var(--grid)",
            (_, true) => "var(--s1)",
            _ => "var(--s6)",
        };
        Some((&*row.server.title, figure.value, interval, color))
    });
    let title = format!("{}: {}", table.workload.title, table.kind.title(0));
    plot::bars(title, table.unit(0), &bars.collect::<Vec<_>>())
}

/// Curves of the best rows and of the reference.
fn curves<'t>(
    view: &View<'_>,
    table: &'t Table<'_>,
    points: impl Fn(&Row<'_>) -> Option<Points>,
) -> Vec<Curve<'t>> {
    let rows = table.rows.iter().enumerate();
    let drawn = rows.filter(|(at, row)| *at < CURVES_MAX || row.server.name == view.reference);
    let curves = drawn.filter_map(|(_, row)| {
        let points = points(row).filter(|points| !points.is_empty())?;
        Some((&*row.server.title, row.number, points))
    });
    curves.collect()
}

/// Latency by percentile.
fn percentiles(view: &View<'_>, table: &Table<'_>) -> Option<Plot> {
    let places = || (0..).map(f64::from).zip(PERCENTILES);
    let curves = curves(view, table, |row| {
        let latency = row.latency.as_ref()?;
        let beyond = |percent: f64| latency.len() as f64 * (1.0 - percent / 100.0);
        let known = places().filter(|(_, percent)| beyond(*percent) >= BEYOND_MIN);
        let ns = |percent: f64| latency.value_at_percentile(percent).max(1) as f64;
        let points = known.map(|(at, percent)| (at, ns(percent), false));
        Some(points.collect())
    });
    let ticks = places().map(|(at, percent)| (at, format!("p{percent}")));
    let titles = ["Latency, all rounds together", "percentile"];
    plot::curves(titles, &ticks.collect::<Vec<_>>(), &curves)
}

/// Latency by rate, of each server's last search.
fn searches(view: &View<'_>, table: &Table<'_>) -> Option<Plot> {
    let curves = curves(view, table, |row| {
        let points = capacity(row.runs.last()?)?.points.iter();
        let points = points.filter(|point| point.rate > 0.0);
        let points = points.sorted_by(|one, other| one.rate.total_cmp(&other.rate));
        let ns = |point: &Point| Some(point.p99_ns?.max(1) as f64);
        let points = points.filter_map(|it| Some((it.rate.log10(), ns(it)?, !it.meets)));
        Some(points.collect())
    });
    let points = curves.iter().flat_map(|curve| &curve.2);
    let ends = plot::ends(points.map(|point| point.0))?;
    let titles = ["p99 by rate; × missed the objective", "messages per second"];
    plot::curves(titles, &plot::logarithmic(ends, Unit::Count), &curves)
}

/// Everything that holds for the whole suite, by its path; what is in a list goes by its name, if it has one.
pub(super) fn circumstances(archive: &Archive) -> BTreeMap<String, String> {
    fn walk(path: &str, value: &Value, rows: &mut BTreeMap<String, String>) {
        let below = |name: &str| format!("{path}.{name}").trim_start_matches('.').to_owned();
        match value {
            Value::Null => {}
            Value::Object(members) => {
                let members = members.iter();
                members.for_each(|(name, value)| walk(&below(name), value, rows));
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for (at, item) in items.iter().enumerate() {
                    let name = item["name"].as_str().map(str::to_owned);
                    walk(&below(&name.unwrap_or_else(|| at.to_string())), item, rows);
                }
            }
            // A histogram says nothing to a reader.
            _ if path.ends_with("_base64") => {}
            _ => drop(rows.insert(path.to_owned(), plain(value))),
        }
    }
    let Archive {
        suite,
        environment,
        selftest,
        ..
    } = archive;
    let mut rows = BTreeMap::new();
    let all = json!({"environment": environment, "selftest": selftest, "suite": suite});
    walk("", &all, &mut rows);
    rows
}

//! Two results side by side.
//!
//! They were not measured in the same minutes, so nothing is taken inside a round: a change is told from
//! the medians, and it counts only if the ranges of the rounds have no value in common, of four at least.

use maud::html;
use ringload::output::page::{frame, theme};
use ringload::trial::spread::Spread;

use super::figures::{Metric, Table, position};
use super::grid::{Entry, Grid, escape};
use super::tables::flatten;
use super::view::View;

/// Differences that any two results have, and that say nothing.
const ALWAYS_DIFFERENT: [&str; 6] = [
    "date_time",
    "seed",
    "memory.MemAvailable",
    "load_average_before",
    "busy_percent_before",
    "started",
];

const LEGEND: &str = "\
Each change is of the median, the second result relative to the first. The brackets hold the ranges of the \
rounds, first and second. ~ marks a change that is no result: the ranges overlap, so it is within the spread, or \
either has fewer than four rounds, whose ranges are apart too often by chance. \
The two were measured at different times, and maybe on different machines; see the differences below.";

/// Both forms of the comparison.
pub(super) struct Comparison {
    pub(super) html: String,
    pub(super) markdown: String,
}

/// Compares `earlier` with `later`.
pub(super) fn compare(earlier: &View<'_>, later: &View<'_>) -> Comparison {
    let title = format!("{} → {}", earlier.results.name, later.results.name);
    let tables = changes(earlier, later);
    let environment = differences(earlier, later);
    let only = unmatched(earlier, later);
    let notes: Vec<String> = [(earlier, "first"), (later, "second")]
        .into_iter()
        .flat_map(|(view, which)| {
            view.missing
                .iter()
                .map(move |note| format!("Of the {which}: {note}"))
        })
        .chain(only)
        .collect();
    let body = html! {
        header {
            (theme())
            h1 { (title) }
            p.quiet { (earlier.results.suite.title) " and " (later.results.suite.title) }
        }
        main {
            @if !notes.is_empty() {
                section.notes aria-label="Notes" { ul { @for note in &notes { li { (note) } } } }
            }
            p { (LEGEND) }
            @if tables.is_empty() { p { "No workload and server is in both with figures." } }
            @for (workload, grid) in &tables {
                h2 { (workload) }
                (grid.html())
            }
            h2 { "Differences of the environments" }
            @match environment.is_empty() {
                true => p { "None that was recorded." },
                false => (environment.html()),
            }
        }
        footer { p { "Made by ringbench " (env!("CARGO_PKG_VERSION")) "." } }
    };
    let mut markdown = format!("# {}\n\n{LEGEND}\n", escape(&title));
    if !notes.is_empty() {
        markdown.push('\n');
    }
    for note in &notes {
        markdown.push_str(&format!("- {}\n", escape(note)));
    }
    if tables.is_empty() {
        markdown.push_str("\nNo workload and server is in both with figures.\n");
    }
    for (workload, grid) in &tables {
        markdown.push_str(&format!("\n## {}\n\n{}", escape(workload), grid.markdown()));
    }
    markdown.push_str("\n## Differences of the environments\n\n");
    match environment.is_empty() {
        true => markdown.push_str("None that was recorded.\n"),
        false => markdown.push_str(&environment.markdown()),
    }
    Comparison {
        html: frame(&title, "", &body),
        markdown,
    }
}

/// A table for each workload that both have.
fn changes(earlier: &View<'_>, later: &View<'_>) -> Vec<(String, Grid)> {
    let mut tables = Vec::new();
    for new in &later.tables {
        let Some(old) = twin(new, earlier) else {
            continue;
        };
        let mut grid = Grid::new(&[
            "Server",
            "#Throughput",
            "#CPU",
            "#p99",
            "#Memory",
            "#Highest rate",
        ]);
        for (number, cell) in &new.cells {
            let server = later.server(*number);
            let Some(old_cell) = position(&earlier.results.suite.servers, &server.name)
                .and_then(|number| old.cells.get(&number))
            else {
                continue;
            };
            let change = |metric| change(metric, old_cell.spread(metric), cell.spread(metric));
            grid.row(vec![
                Entry {
                    is_strong: later.is_ours(*number),
                    ..Entry::of(server.title.clone())
                },
                change(Metric::Throughput),
                change(Metric::Cpu),
                change(Metric::P99),
                change(Metric::Rss),
                change(Metric::BestRate),
            ]);
        }
        if !grid.is_empty() {
            tables.push((new.workload.title.clone(), grid.without_empty_columns()));
        }
    }
    tables
}

/// The table of the same workload, measured in the same way.
fn twin<'v, 'a>(table: &Table<'_>, other: &'v View<'a>) -> Option<&'v Table<'a>> {
    other
        .tables
        .iter()
        .find(|twin| twin.workload.name == table.workload.name && twin.kind == table.kind)
}

fn change(metric: Metric, old: Option<Spread>, new: Option<Spread>) -> Entry {
    let (Some(old), Some(new)) = (old, new) else {
        return Entry::unknown();
    };
    let aside = format!("({} → {})", metric.range(&old), metric.range(&new));
    // A percentage of nothing, or of what shrank, says nothing.
    if old.median <= 0.0 {
        let text = format!("{} → {}", metric.text(old.median), metric.text(new.median));
        return Entry::with(text, aside);
    }
    let percent = 100.0 * (new.median / old.median - 1.0);
    let mark = if new.is_apart_from(&old) { "" } else { " ~" };
    Entry::with(format!("{percent:+.1} %{mark}"), aside)
}

/// What differs between the environments and the suites, row by row.
fn differences(earlier: &View<'_>, later: &View<'_>) -> Grid {
    let rows = |view: &View<'_>| {
        let mut rows = view
            .results
            .environment
            .as_ref()
            .map(flatten)
            .unwrap_or_default();
        for server in &view.results.suite.servers {
            let version = server.version.clone().unwrap_or_else(|| "–".to_owned());
            rows.push((format!("version of {}", server.name), version));
        }
        for workload in &view.results.suite.workloads {
            for (option, value) in &workload.options {
                rows.push((
                    format!("{} of {}", option, workload.name),
                    value.to_string(),
                ));
            }
        }
        rows
    };
    let (old, new) = (rows(earlier), rows(later));
    let find = |rows: &[(String, String)], path: &str| {
        rows.iter()
            .find(|(other, _)| other == path)
            .map_or("–".to_owned(), |(_, value)| value.clone())
    };
    let mut grid = Grid::new(&["Property", "First", "Second"]);
    let added = new
        .iter()
        .filter(|(path, _)| !old.iter().any(|(other, _)| other == path));
    for (path, _) in old.iter().chain(added) {
        let (a, b) = (find(&old, path), find(&new, path));
        if a != b && !ALWAYS_DIFFERENT.contains(&path.as_str()) {
            grid.row(vec![Entry::of(path.clone()), Entry::of(a), Entry::of(b)]);
        }
    }
    grid
}

/// Workloads that only one of the two has.
fn unmatched(earlier: &View<'_>, later: &View<'_>) -> Vec<String> {
    let only = |these: &View<'_>, those: &View<'_>, which: &str| -> Vec<String> {
        these
            .tables
            .iter()
            .filter(|table| twin(table, those).is_none())
            .map(|table| format!("{} is in the {which} only.", table.workload.title))
            .collect()
    };
    [
        only(earlier, later, "first"),
        only(later, earlier, "second"),
    ]
    .concat()
}

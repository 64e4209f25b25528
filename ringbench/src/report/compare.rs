//! Two results side by side.
//!
//! They were not measured in the same minutes, so a round of one has nothing in common with that of the same number in
//! the other. Taken as pairs all the same they are what any two samples are, and one rule says everywhere what counts.

use maud::html;
use ringload::assess::estimate::Estimate;
use ringload::output::page::{frame, theme};

use super::figures::{Cell, Metric, Table, paired, position};
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
Each change is the geometric mean of the rounds, the second result relative to the first, with its interval; the \
brackets hold the ranges of the rounds, first and second. ~ marks a change that is no result: no change at all lies in \
the interval, or there are fewer than 6 rounds. The intervals are Student's, widened so that all here hold at once 95 \
times in 100. The two were measured at different times, and maybe on different machines; see the differences below.";

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

/// What is compared, with the head of its column.
const COLUMNS: [(&str, Metric); 5] = [
    ("#Throughput", Metric::Throughput),
    ("#CPU", Metric::Cpu),
    ("#p99", Metric::P99),
    ("#Memory", Metric::Rss),
    ("#Highest rate", Metric::BestRate),
];

/// The cells of both of each server that is in both, by its number in the later.
type Pairs<'v, 'a> = Vec<(usize, &'v Cell<'a>, &'v Cell<'a>)>;

/// A table for each workload that both have.
fn changes(earlier: &View<'_>, later: &View<'_>) -> Vec<(String, Grid)> {
    let both = later.tables.iter().filter_map(|new| {
        let old = twin(new, earlier)?;
        let pair = |(number, cell): (&usize, _)| {
            let name = &later.server(*number).name;
            let number_before = position(&earlier.results.suite.servers, name)?;
            Some((*number, old.cells.get(&number_before)?, cell))
        };
        let pairs: Pairs<'_, '_> = new.cells.iter().filter_map(pair).collect();
        (!pairs.is_empty()).then_some((new, pairs))
    });
    let both: Vec<_> = both.collect();
    let pairs = both.iter().flat_map(|(_, pairs)| pairs);
    let of_pair = |(_, old, new): &(usize, &Cell<'_>, &Cell<'_>)| {
        let has = |cell: &Cell<'_>, metric| cell.metrics.contains_key(&metric);
        let in_both = |(_, metric): &&(&str, Metric)| has(old, *metric) && has(new, *metric);
        COLUMNS.iter().filter(in_both).count()
    };
    let figures = pairs.map(of_pair).sum();
    let grid = |(table, pairs): (&Table<'_>, Pairs<'_, '_>)| {
        let mut head = vec!["Server"];
        head.extend(COLUMNS.map(|(title, _)| title));
        let mut grid = Grid::new(&head);
        for (number, old, new) in pairs {
            let mut row = vec![Entry {
                is_strong: later.is_ours(number),
                ..Entry::of(later.server(number).title.clone())
            }];
            row.extend(COLUMNS.map(|(_, metric)| change(metric, old, new, figures)));
            grid.row(row);
        }
        (table.workload.title.clone(), grid.without_empty_columns())
    };
    both.into_iter().map(grid).collect()
}

/// The table of the same workload, measured in the same way.
fn twin<'v, 'a>(table: &Table<'_>, other: &'v View<'a>) -> Option<&'v Table<'a>> {
    other
        .tables
        .iter()
        .find(|twin| twin.workload.name == table.workload.name && twin.kind == table.kind)
}

/// One of `figures` changes.
fn change(metric: Metric, old: &Cell<'_>, new: &Cell<'_>, figures: usize) -> Entry {
    let (Some(before), Some(after)) = (old.spread(metric), new.spread(metric)) else {
        return Entry::unknown();
    };
    let ranges = format!("{} → {}", metric.range(&before), metric.range(&after));
    let ratios = paired(&new.metrics[&metric], &old.metrics[&metric]);
    // A percentage of nothing, or of what shrank, says nothing.
    let Some(ratio) = Estimate::of(ratios, figures).filter(|_| before.median > 0.0) else {
        let text = format!(
            "{} → {}",
            metric.text(before.median),
            metric.text(after.median)
        );
        return Entry::with(text, format!("({ranges})"));
    };
    let percent = |ratio: f64| 100.0 * (ratio - 1.0);
    let mark = if ratio.is_resolved() { "" } else { " ~" };
    Entry::with(
        format!("{:+.1} %{mark}", percent(ratio.ratio)),
        format!(
            "({:+.1} to {:+.1} %; {ranges})",
            percent(ratio.low),
            percent(ratio.high)
        ),
    )
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

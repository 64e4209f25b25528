//! Two results side by side.
//!
//! They were not measured in the same minutes, so a round of one has nothing in common with that of the same number in
//! the other. Taken as pairs all the same they are what any two samples are, and one rule says everywhere what counts.

use std::iter::once;

use itertools::Itertools as _;

use super::content::{Block, Page};
use super::grid::{Entry, Grid};
use super::page::{circumstances, entry};
use super::view::{Row, Table, View};

/// Differences that any two results have, and that say nothing.
const ALWAYS_DIFFERENT: [&str; 7] = [
    "date_time",
    "memory.MemAvailable",
    "load_average_before",
    "busy_percent_before",
    "seed",
    "started",
    "finished",
];

const LEGEND: &str = include_str!("compare.txt");

/// What changed from `earlier` to `later`.
pub(super) fn compare(earlier: &View<'_>, later: &View<'_>) -> Page {
    let missing = earlier
        .missing
        .iter()
        .map(|note| format!("Of the first: {note}"));
    let missing = missing.chain(
        later
            .missing
            .iter()
            .map(|note| format!("Of the second: {note}")),
    );
    let mut notes: Vec<String> = missing.collect();
    let mut blocks = vec![Block::Text(LEGEND.to_owned())];
    for new in &later.tables {
        let Some(old) = twin(new, earlier) else {
            continue;
        };
        blocks.push(Block::Heading(new.workload.title.clone()));
        blocks.push(Block::Table(changes(old, new)));
    }
    for (these, those, which) in [(earlier, later, "first"), (later, earlier, "second")] {
        let alone = these
            .tables
            .iter()
            .filter(|table| twin(table, those).is_none());
        notes
            .extend(alone.map(|table| format!("{} is in the {which} only.", table.workload.title)));
    }
    blocks.push(Block::List("Notes", notes));
    blocks.push(Block::Heading("Differences".to_owned()));
    blocks.push(Block::Table(differences(earlier, later)));
    let [first, second] = [earlier, later].map(|view| &view.archive.suite);
    let under = format!(
        "{}, {} → {}, {}",
        first.title, first.started, second.title, second.started
    );
    Page::new("Two results".to_owned(), under, blocks)
}

/// The table of the same workload, measured in the same way.
fn twin<'v, 'a>(table: &Table<'_>, other: &'v View<'a>) -> Option<&'v Table<'a>> {
    let is_twin = |twin: &&Table<'_>| {
        let [this, that] = [table.workload, twin.workload];
        (&this.name, &this.kind) == (&that.name, &that.kind)
    };
    other.tables.iter().find(is_twin)
}

fn changes(old: &Table<'_>, new: &Table<'_>) -> Grid {
    let metrics = new.kind.metrics;
    let titles = (0..metrics.len()).map(|at| format!("#{}", new.kind.title(at)));
    let mut grid = Grid::new(once("Server".to_owned()).chain(titles));
    let pairs = new
        .rows
        .iter()
        .filter_map(|row| Some((old.row(&row.server.name)?, row)));
    let pairs: Vec<(&Row<'_>, &Row<'_>)> = pairs.collect();
    let count = pairs
        .iter()
        .flat_map(|(_, after)| &after.figures)
        .flatten()
        .count();
    for (before, after) in pairs {
        let cells = (0..metrics.len()).map(|at| {
            let (before, mut after) = (before.figures[at].as_ref()?, after.figures[at].clone()?);
            after.ratio = after.to(before, count);
            after.why_not = after.why_not.or(before.why_not.clone());
            Some(entry(new.unit(at), &after))
        });
        grid.row(once(Entry::from(&after.server.title)).chain(cells.map(Entry::known)));
    }
    grid.without_empty_columns()
}

/// What differs between the environments and the suites, row by row.
fn differences(earlier: &View<'_>, later: &View<'_>) -> Grid {
    let [old, new] = [earlier, later].map(|view| circumstances(view.archive));
    let mut grid = Grid::new(["Property", "First", "Second"]);
    for path in old.keys().chain(new.keys()).sorted().dedup() {
        let (first, second) = (old.get(path), new.get(path));
        let is_always = ALWAYS_DIFFERENT.iter().any(|end| path.ends_with(end));
        if first != second && !is_always {
            let row = [Some(path), first, second];
            grid.row(row.map(Entry::known));
        }
    }
    grid
}

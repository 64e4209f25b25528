//! Two results side by side.
//!
//! They were not measured in the same minutes, so a round of one has nothing in common with that of the same number in
//! the other. Taken as pairs all the same they are what any two samples are, and one rule says everywhere what counts.

use itertools::Itertools as _;

use super::content::{Block, Page};
use super::grid::{Entry, Grid};
use super::page::{circumstances, figures};
use super::view::{Table, View};

/// How differences end that any two results have, and that say nothing.
const ALWAYS_DIFFERENT: &str =
    "date_time MemAvailable load_average_before busy_percent_before seed started finished";

const LEGEND: &str = include_str!("compare.txt");

/// What changed from `earlier` to `later`.
pub(super) fn compare(earlier: &View<'_>, mut later: View<'_>) -> Page {
    let mut notes = [&earlier.missing[..], &later.missing].concat();
    for (these, those) in [(earlier, &later), (&later, earlier)] {
        let alone = these.tables.iter().filter(|it| twin(it, those).is_none());
        let titles = alone.map(|table| &table.workload.title);
        notes.extend(titles.map(|title| format!("{title} is in one of the two only.")));
    }
    let mut blocks = vec![Block::Text(LEGEND.to_owned()), Block::List("Notes", notes)];
    for new in &mut later.tables {
        if let Some(old) = twin(new, earlier) {
            new.set_ratios(|row| Some(old.row(&row.server.name)?.figures.clone()));
            blocks.push(Block::Heading(new.workload.title.clone()));
            blocks.push(Block::Table(figures(new, usize::MAX)));
        }
    }
    blocks.push(Block::Heading("Differences".to_owned()));
    blocks.push(Block::Table(differences(earlier, &later)));
    let begun = [earlier, &later].map(|view| &*view.archive.suite.started);
    Page(format!("Results of {}", begun.join(" and of ")), blocks)
}

/// The table of the same workload, measured in the same way.
fn twin<'v, 'a>(table: &Table<'_>, other: &'v View<'a>) -> Option<&'v Table<'a>> {
    let what = |table: &Table<'_>| (table.workload.name.clone(), table.workload.kind.clone());
    other.tables.iter().find(|it| what(it) == what(table))
}

/// What differs between the environments and the suites, row by row.
fn differences(earlier: &View<'_>, later: &View<'_>) -> Grid {
    let [old, new] = [earlier, later].map(|view| circumstances(view.archive));
    let mut grid = Grid::new(["Property", "First", "Second"]);
    for path in old.keys().chain(new.keys()).sorted().dedup() {
        let row = [Some(path), old.get(path), new.get(path)];
        let mut always = ALWAYS_DIFFERENT.split(' ');
        if row[1] != row[2] && !always.any(|end| path.ends_with(end)) {
            grid.row(row.map(Entry::known));
        }
    }
    grid
}

//! `ringbench report`: one page of a suite's results, or of two, as HTML and as Markdown.
//!
//! ```text
//! suite::document (archive) ── view (rounds, intervals, classes; figures says what there is)
//!                                │
//!                    page, compare (what is said) ── content (blocks) ── grid, plot
//! ```
//!
//! Everything that comes from a file is text and stays text: it is escaped where it is written.

mod compare;
mod content;
mod figures;
mod grid;
mod page;
mod plot;
#[cfg(test)]
mod tests;
mod view;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ringload::output::{print, tell};
use ringload::result::Status;

use self::content::Page;
use self::grid::without_controls;
use self::view::{Table, View};
use crate::options::report::ReportOptions;
use crate::suite::document::Archive;

/// Figures that a terminal has room for.
const COLUMNS: usize = 4;

/// Below the tables of a terminal.
const HINT: &str = "What is in brackets may not be compared; ? settles nothing.";

/// Renders and writes; says where.
pub(crate) fn run(options: &ReportOptions) -> anyhow::Result<Status> {
    options.check()?;
    let archives = options.directories.iter().map(|path| Archive::read(path));
    let archives = archives.collect::<anyhow::Result<Vec<Archive>>>()?;
    let mut views: Vec<View<'_>> = archives.iter().map(View::of).collect();
    // Of two results the page goes to the later.
    let (Some(results), Some(last)) = (options.directories.last(), views.pop()) else {
        anyhow::bail!("give a directory");
    };
    let missing = [views.first(), Some(&last)].into_iter().flatten();
    for note in missing.flat_map(|view| &view.missing) {
        tell(format_args!("note: {note}"));
    }
    let beside = results.parent().filter(|_| !results.is_dir());
    let out = options.out.as_deref().or(beside).unwrap_or(results);
    let (tables, page) = match views.first() {
        Some(earlier) => {
            let page = compare::compare(earlier, last);
            let names = ["compare.html", "compare.md"];
            (String::new(), write(out, names, &page)?)
        }
        None => report(&last, out)?,
    };
    print(&format!("{tables}{}\n", page.display()))?;
    Ok(Status::Ok)
}

/// Renders a results directory into itself: the figures for a terminal, and where the page is.
pub(crate) fn make(directory: &Path) -> anyhow::Result<(String, PathBuf)> {
    let archive = Archive::read(directory)?;
    report(&View::of(&archive), directory)
}

/// The same of one suite: its page, and a picture of its first workload for those who show one.
fn report(view: &View<'_>, out: &Path) -> anyhow::Result<(String, PathBuf)> {
    let page = write(out, ["report.html", "summary.md"], &page::page(view))?;
    if let Some(plot) = view.tables.iter().find_map(|table| page::bars(view, table)) {
        fs::write(out.join("main.svg"), plot.standalone()).context("writing main.svg")?;
    }
    Ok((tables(view), page))
}

/// Writes both forms of a page; says where the first is.
fn write(out: &Path, [html, markdown]: [&str; 2], page: &Page) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    for (name, text) in [(html, page.html()), (markdown, page.markdown())] {
        fs::write(out.join(name), text).with_context(|| format!("writing {name}"))?;
    }
    Ok(out.join(html))
}

/// The figures of every workload for a terminal, the best first.
fn tables(view: &View<'_>) -> String {
    let table = |table: &Table<'_>| {
        let figures = page::figures(table, COLUMNS).markdown(without_controls);
        format!("{}\n{figures}\n", without_controls(&table.workload.title))
    };
    view.tables
        .iter()
        .map(table)
        .chain([format!("{HINT}\n")])
        .collect()
}

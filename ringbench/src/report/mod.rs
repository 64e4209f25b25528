//! `ringbench report`: one page and a summary of a suite's results.
//!
//! ```text
//! input (files, as far as they are there) ── figures (rounds, added histograms) ── view
//!                                                        │
//!                          plot (SVG) ── page (HTML), summary (Markdown), compare (both)
//! ```
//!
//! Everything that comes from a file is text and stays text: it is escaped where it is written.

mod compare;
mod documents;
mod figures;
mod grid;
mod input;
mod page;
mod plot;
mod summary;
mod tables;
mod view;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ringload::output::document::Status;
use ringload::output::{print, tell};

use self::input::Results;
use self::view::View;
use crate::options::report::ReportOptions;

/// Renders and writes; says where.
pub(crate) fn run(options: &ReportOptions) -> anyhow::Result<Status> {
    options.check()?;
    // The last is the only one, or of two the later.
    let results = options
        .directories
        .last()
        .expect("at least one is required");
    let out = options.out.as_ref().unwrap_or(results);
    let rendered = match &options.directories[..] {
        [earlier, later] => render_comparison(earlier, later)?,
        _ => render(results)?,
    };
    rendered.write(out)?;
    let page = out.join(&rendered.page);
    print(&format!("{}{}\n", rendered.tables, page.display()))?;
    for note in &rendered.missing {
        tell(format_args!("note: {note}"));
    }
    Ok(Status::Ok)
}

/// Renders a results directory into itself: the figures for a terminal, and where the page is.
pub(crate) fn make(directory: &Path) -> anyhow::Result<(String, PathBuf)> {
    let rendered = render(directory)?;
    rendered.write(directory)?;
    Ok((rendered.tables, directory.join(rendered.page)))
}

/// A finished report.
struct Rendered {
    /// The name of the page among the files.
    page: String,
    /// Contents by name.
    files: BTreeMap<String, String>,
    /// The figures for a terminal.
    tables: String,
    /// What is missing or could not be read; the page says so too.
    missing: Vec<String>,
}

impl Rendered {
    /// Writes all files into `directory`, which is made if it is not there.
    fn write(&self, directory: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("making the directory {}", directory.display()))?;
        for (name, text) in &self.files {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

/// Renders a results directory: the page, the summary, and its plots as files.
fn render(directory: &Path) -> anyhow::Result<Rendered> {
    let results = Results::read(directory)?;
    let view = View::of(&results);
    let mut files = BTreeMap::new();
    for table in &view.tables {
        for figure in view.figures(table) {
            let plot = figure.alone.as_ref().unwrap_or(&figure.plot);
            files.insert(unused(&files, &figure.file), plot.standalone());
        }
    }
    if let Some(figure) = view
        .main()
        .and_then(|table| view.bars(table, figures::Metric::Cpu))
    {
        files.insert("main.svg".to_owned(), figure.plot.standalone());
    }
    let tables = view.tables.iter().map(|table| {
        let title = &table.workload.title;
        format!("{title}\n{}\n", tables::figures(&view, table).text())
    });
    let tables = tables.collect();
    files.insert("report.html".to_owned(), page::page(&view));
    files.insert("summary.md".to_owned(), summary::summary(&view));
    Ok(Rendered {
        page: "report.html".to_owned(),
        files,
        tables,
        missing: view.missing,
    })
}

/// A name for a plot that no other has: names of workloads may differ in more than file names can.
fn unused(files: &BTreeMap<String, String>, stem: &str) -> String {
    let mut name = format!("{stem}.svg");
    let mut number = 2;
    while files.contains_key(&name) {
        name = format!("{stem}-{number}.svg");
        number += 1;
    }
    name
}

/// Renders two results side by side.
fn render_comparison(earlier: &Path, later: &Path) -> anyhow::Result<Rendered> {
    let (earlier, later) = (Results::read(earlier)?, Results::read(later)?);
    let (earlier, later) = (View::of(&earlier), View::of(&later));
    let comparison = compare::compare(&earlier, &later);
    Ok(Rendered {
        page: "compare.html".to_owned(),
        files: BTreeMap::from([
            ("compare.html".to_owned(), comparison.html),
            ("compare.md".to_owned(), comparison.markdown),
        ]),
        tables: String::new(),
        missing: [earlier.missing, later.missing].concat(),
    })
}

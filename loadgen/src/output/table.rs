//! What people read: first the sentence, then rows of `name  value`, and a grid where there are several of a kind.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, presets};

pub(crate) use super::tables::table;
use crate::result::Document;

/// Width of the names' column.
const NAME_COLUMNS: usize = 18;

/// A sentence, rows of `name  value`, and a grid below them.
#[derive(Default)]
pub struct Table {
    /// What is said first; empty if there is nothing to say.
    sentence: String,
    rows: Vec<(String, String)>,
    /// A heading, and what stands below it; each row has as many cells as the heading.
    grid: Vec<Vec<String>>,
}

impl Table {
    /// A table that says this first.
    pub(crate) fn of(sentence: &str) -> Table {
        Table {
            sentence: sentence.to_owned(),
            ..Table::default()
        }
    }

    /// Appends a row.
    pub fn row(&mut self, name: &str, value: impl AsRef<str>) {
        self.rows.push((name.to_owned(), value.as_ref().to_owned()));
    }

    /// Sets the grid.
    pub(crate) fn grid<const N: usize>(
        &mut self,
        heading: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) {
        self.grid = vec![heading.map(str::to_owned).to_vec()];
        self.grid.extend(rows.into_iter().map(Vec::from));
    }

    /// The finished text.
    pub fn into_text(self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        if !self.sentence.is_empty() {
            let _ = writeln!(text, "{}\n", self.sentence);
        }
        for (name, value) in self.rows {
            let _ = writeln!(text, "{name:<NAME_COLUMNS$}{value}");
        }
        if !self.grid.is_empty() {
            let mut grid = comfy_table::Table::new();
            grid.load_style(presets::NOTHING)
                .set_content_arrangement(ContentArrangement::Disabled);
            grid.add_rows(self.grid);
            let last = grid.column_count() - 1;
            for column in grid.column_iter_mut().take(last) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            let _ = writeln!(text, "\n{}", grid.trim_fmt());
        }
        text
    }

    /// The same as Markdown.
    pub(crate) fn into_markdown(self) -> String {
        let mut text = String::new();
        if !self.sentence.is_empty() {
            let _ = writeln!(text, "{}\n", markdown(&self.sentence));
        }
        text.push_str("| | |\n|---|---|\n");
        for (name, value) in self.rows {
            let _ = writeln!(text, "| {} | {} |", markdown(&name), markdown(&value));
        }
        for (index, row) in self.grid.iter().enumerate() {
            let cells: Vec<_> = row.iter().map(|cell| markdown(cell)).collect();
            let before = if index == 0 { "\n" } else { "" };
            let after = if index == 0 {
                format!("{}|\n", "|---".repeat(row.len()))
            } else {
                String::new()
            };
            let _ = write!(text, "{before}| {} |\n{after}", cells.join(" | "));
        }
        text
    }
}

/// A document as text.
pub(crate) fn text(document: &Document) -> String {
    table(document).into_text()
}

/// Text that Markdown takes for nothing but text, in one line.
pub(crate) fn markdown(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            c if c.is_control() => escaped.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '&' | '#' | '!' | '~' | '$' => {
                escaped.extend(['\\', c]);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

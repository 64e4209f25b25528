//! What people read: first the sentence, then rows of `name  value`, and a grid where there are several of a kind.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, presets};

/// Width of the names' column.
const NAME_COLUMNS: usize = 18;

/// A sentence, rows of `name  value`, and a grid below them.
#[derive(Default)]
pub(crate) struct Table {
    /// What is said first; empty if there is nothing to say.
    sentence: String,
    rows: Vec<[String; 2]>,
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

    /// Appends a row, and one without a name for each further line of its value.
    pub(crate) fn row(&mut self, name: &str, value: impl AsRef<str>) {
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        let lines = names.zip(value.as_ref().split('\n'));
        let rows = lines.map(|(name, line)| [name, line].map(str::to_owned));
        self.rows.extend(rows);
    }

    /// Appends those rows that have a value.
    pub(super) fn rows<const N: usize>(&mut self, rows: [(&str, Option<String>); N]) {
        for (name, value) in rows {
            if let Some(value) = value {
                self.row(name, value);
            }
        }
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
    pub(crate) fn into_text(self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        if !self.sentence.is_empty() {
            let _ = writeln!(text, "{}\n", self.sentence);
        }
        for [name, value] in self.rows {
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
        let line = |cells: &[String]| {
            let cells: Vec<_> = cells.iter().map(|cell| markdown(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = String::new();
        if !self.sentence.is_empty() {
            text = markdown(&self.sentence) + "\n\n";
        }
        text.push_str("| | |\n|---|---|\n");
        text.extend(self.rows.iter().map(|row| line(row)));
        if let Some((heading, rows)) = self.grid.split_first() {
            let rule = "|---".repeat(heading.len());
            text.push_str(&format!("\n{}{rule}|\n", line(heading)));
            text.extend(rows.iter().map(|row| line(row)));
        }
        text
    }
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

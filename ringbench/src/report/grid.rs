//! A table of cells, as HTML, as Markdown and for a terminal: written once, so that all say the same.

use maud::{Markup, html};

/// A table.
pub(super) struct Grid {
    head: Vec<Column>,
    rows: Vec<Vec<Entry>>,
}

/// A column.
struct Column {
    title: String,
    is_number: bool,
}

/// What is in a cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) text: String,
    /// Said more quietly behind it: a range.
    pub(super) aside: String,
    /// Set off: the row's subject.
    pub(super) is_strong: bool,
}

impl Entry {
    /// Text, without more.
    pub(super) fn of(text: impl Into<String>) -> Entry {
        Entry {
            text: text.into(),
            ..Entry::default()
        }
    }

    /// Text with something quieter behind it.
    pub(super) fn with(text: impl Into<String>, aside: impl Into<String>) -> Entry {
        Entry {
            text: text.into(),
            aside: aside.into(),
            ..Entry::default()
        }
    }

    /// What is not known.
    pub(super) fn unknown() -> Entry {
        Entry::of("–")
    }
}

impl Grid {
    /// An empty table. Titles that begin with `#` are of numbers, which go to the right.
    pub(super) fn new(titles: &[&str]) -> Grid {
        let column = |title: &&str| Column {
            title: title.trim_start_matches('#').to_owned(),
            is_number: title.starts_with('#'),
        };
        Grid {
            head: titles.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// Appends a row.
    pub(super) fn row(&mut self, entries: Vec<Entry>) {
        self.rows.push(entries);
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Leaves out columns in which nothing is known.
    pub(super) fn without_empty_columns(mut self) -> Grid {
        let is_empty = |entry: &Entry| entry.text.is_empty() || entry.text == "–";
        let kept: Vec<bool> = (0..self.head.len())
            .map(|at| {
                at == 0
                    || self
                        .rows
                        .iter()
                        .any(|row| row.get(at).is_some_and(|cell| !is_empty(cell)))
            })
            .collect();
        let keep = |at: usize| kept.get(at).copied().unwrap_or(true);
        self.head = filter(self.head, keep);
        self.rows = self.rows.into_iter().map(|row| filter(row, keep)).collect();
        self
    }

    /// As HTML, in a box that scrolls sideways by itself.
    pub(super) fn html(&self) -> Markup {
        let class = |at: usize| {
            let is_number = self.head.get(at).is_some_and(|column| column.is_number);
            is_number.then_some("n")
        };
        html! {
            div.scroll tabindex="0" {
                table {
                    thead {
                        tr {
                            @for (at, column) in self.head.iter().enumerate() {
                                th scope="col" class=[class(at)] { (column.title) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr class=[row.iter().any(|entry| entry.is_strong).then_some("ours")] {
                                @for (at, entry) in row.iter().enumerate() {
                                    td class=[class(at)] {
                                        (entry.text)
                                        @if !entry.aside.is_empty() { " " span.aside { (entry.aside) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// As columns for a terminal, without what is said more quietly.
    pub(super) fn text(&self) -> String {
        let titles = self.head.iter().map(|column| &column.title[..]);
        let mut lines: Vec<Vec<&str>> = vec![titles.collect()];
        let rows = self.rows.iter();
        lines.extend(rows.map(|row| row.iter().map(|entry| &entry.text[..]).collect()));
        let width = |at: usize| {
            let cells = lines.iter().filter_map(|line| line.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |cells: &Vec<&str>| {
            let columns = cells.iter().zip(&self.head).zip(&widths);
            let padded = columns.map(|((cell, column), &width)| match column.is_number {
                true => format!("{cell:>width$}"),
                false => format!("{cell:<width$}"),
            });
            let text = padded.collect::<Vec<_>>().join("  ");
            format!("{}\n", text.trim_end())
        };
        lines.iter().map(line).collect()
    }

    /// As a table of GitHub's Markdown.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(
            self.head
                .iter()
                .map(|column| escape(&column.title))
                .collect(),
        );
        let rule = |column: &Column| if column.is_number { "--:" } else { "---" }.to_owned();
        text.push_str(&line(self.head.iter().map(rule).collect()));
        for row in &self.rows {
            let cell = |entry: &Entry| {
                let mut text = escape(&entry.text);
                if entry.is_strong {
                    text = format!("**{text}**");
                }
                if !entry.aside.is_empty() {
                    text = format!("{text} {}", escape(&entry.aside));
                }
                text
            };
            text.push_str(&line(row.iter().map(cell).collect()));
        }
        text
    }
}

fn filter<T>(items: Vec<T>, keep: impl Fn(usize) -> bool) -> Vec<T> {
    let numbered = items.into_iter().enumerate();
    numbered
        .filter(|(at, _)| keep(*at))
        .map(|(_, item)| item)
        .collect()
}

/// Text that Markdown takes for nothing but text.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A mention would write to somebody.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => {
                out.push('\\');
                out.push(character);
            }
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_every_cell_and_no_markup_of_the_cells_own() {
        let mut grid = Grid::new(&["Server", "#Rate"]);
        grid.row(vec![
            Entry::of("<b>|`x`\n[y](z) @all"),
            Entry::with("1,000", "(900–1,100)"),
        ]);
        let html = grid.html().into_string();
        assert!(
            html.contains("&lt;b&gt;|`x`\n[y](z) @all") && !html.contains("<b>"),
            "{html}"
        );
        assert!(
            html.contains("(900–1,100)") && html.contains("class=\"n\""),
            "{html}"
        );
        let markdown = grid.markdown();
        assert_eq!(markdown.lines().count(), 3, "{markdown}");
        assert!(
            markdown.contains("&lt;b&gt;\\|\\`x\\` \\[y\\](z) &#64;all | 1,000 (900–1,100) |"),
            "{markdown}"
        );
    }

    #[test]
    fn a_terminal_gets_columns() {
        let mut grid = Grid::new(&["Server", "#p50"]);
        grid.row(vec![Entry::of("x"), Entry::with("104 µs", "(90–120 µs)")]);
        grid.row(vec![Entry::of("longer one"), Entry::unknown()]);
        let text = "Server         p50\nx           104 µs\nlonger one       –\n";
        assert_eq!(grid.text(), text);
    }

    #[test]
    fn columns_without_a_value_go() {
        let mut grid = Grid::new(&["Server", "#A", "#B"]);
        grid.row(vec![Entry::of("x"), Entry::unknown(), Entry::of("1")]);
        grid.row(vec![Entry::of("y"), Entry::unknown(), Entry::unknown()]);
        let markdown = grid.without_empty_columns().markdown();
        assert!(markdown.starts_with("| Server | B |\n"), "{markdown}");
        assert!(
            markdown.contains("| x | 1 |") && markdown.contains("| y | – |"),
            "{markdown}"
        );
    }
}

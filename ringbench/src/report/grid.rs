//! A table of cells, as HTML, and as Markdown, which a terminal gets as well: written once, so that all say the same.

use maud::{Markup, html};

/// A table.
pub(super) struct Grid {
    /// Titles that begin with `#` are of numbers, which go to the right.
    head: Vec<String>,
    rows: Vec<Vec<Entry>>,
}

/// What is in a cell.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    text: String,
    /// Said more quietly below it: an interval, or why it may not be compared.
    aside: String,
    /// `ours` and `grey` of the page's style, or nothing. What is grey is in brackets where there is no colour.
    class: &'static str,
}

impl Entry {
    /// Text with something quieter below it.
    pub(super) fn with(text: impl Into<String>, aside: impl Into<String>) -> Entry {
        let (text, aside, class) = (text.into(), aside.into(), "");
        Entry { text, aside, class }
    }

    /// The same in another style.
    pub(super) fn classed(self, class: &'static str) -> Entry {
        Entry { class, ..self }
    }

    /// What is not known is a dash, never 0.
    pub(super) fn known(entry: Option<impl Into<Entry>>) -> Entry {
        entry.map_or_else(|| Entry::from("–"), Into::into)
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() || self.text == "–"
    }
}

impl<T: Into<String>> From<T> for Entry {
    fn from(text: T) -> Entry {
        Entry::with(text, "")
    }
}

impl Grid {
    /// A table without rows.
    pub(super) fn new<T: Into<String>>(titles: impl IntoIterator<Item = T>) -> Grid {
        let head = titles.into_iter().map(T::into).collect();
        Grid { head, rows: vec![] }
    }

    /// Appends a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<Entry>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Leaves out columns in which nothing is known, but the first.
    pub(super) fn without_empty_columns(mut self) -> Grid {
        for at in (1..self.head.len()).rev() {
            if self.rows.iter().all(|row| row[at].is_empty()) {
                self.head.remove(at);
                self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
            }
        }
        self
    }

    fn is_number(&self, at: usize) -> bool {
        self.head[at].starts_with('#')
    }

    /// The style of a column.
    fn side(&self, at: usize) -> &'static str {
        if self.is_number(at) { "n" } else { "" }
    }

    fn titles(&self) -> impl Iterator<Item = &str> {
        self.head.iter().map(|title| title.trim_start_matches('#'))
    }

    /// As HTML, in a box that scrolls sideways by itself.
    pub(super) fn html(&self) -> Markup {
        html! {
            div.scroll tabindex="0" {
                table {
                    thead { tr { @for (at, title) in self.titles().enumerate() { th class=(self.side(at)) scope="col" { (title) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (at, Entry { text, aside, class }) in row.iter().enumerate() {
                                    td class={ (self.side(at)) " " (class) } { (text) " " span.aside { (aside) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// As a table of Markdown; of each text what `clean` makes of it.
    pub(super) fn markdown(&self, clean: fn(&str) -> String) -> String {
        let cell = |entry: &Entry| {
            let (text, aside) = (clean(&entry.text), clean(&entry.aside));
            let is_grey = entry.class == "grey";
            let text = if is_grey { format!("({text})") } else { text };
            [text, aside].join(" ").trim_end().to_owned()
        };
        let rule = |at| if self.is_number(at) { "--:" } else { "---" }.to_owned();
        let mut lines: Vec<Vec<String>> = vec![
            self.titles().map(clean).collect(),
            (0..self.head.len()).map(rule).collect(),
        ];
        lines.extend(self.rows.iter().map(|row| row.iter().map(cell).collect()));
        let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
        // A cell of many words must not make all of its column as wide.
        let widths = (0..self.head.len()).filter_map(width);
        let widths: Vec<usize> = widths.map(|width| width.min(WIDTH_MAX)).collect();
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths);
            let padded: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            format!("| {} |\n", padded.join(" | "))
        };
        lines.iter().map(line).collect()
    }
}

/// Columns of a table are padded to no more characters than this.
const WIDTH_MAX: usize = 34;

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
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' => out.extend(['\\', character]),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}

/// Text that a terminal takes for nothing but text.
pub(super) fn without_controls(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_holds_every_cell_and_no_markup_of_the_cells_own() {
        let mut grid = Grid::new(["Server", "#Rate"]);
        let rate = Entry::with("1,000", "(900–1,100)");
        grid.row([Entry::from("<b>|`x`\n[y](z) @all"), rate.clone()]);
        grid.row([Entry::from("b"), rate.classed("grey")]);
        let html = grid.html().into_string();
        assert!(html.contains("&lt;b&gt;|`x`\n[y](z) @all"), "{html}");
        assert!(!html.contains("<b>"), "{html}");
        assert!(html.contains("<td class=\"n grey\">1,000"), "{html}");
        let markdown = grid.markdown(escape);
        assert_eq!(markdown.lines().count(), 4, "{markdown}");
        let row = "&lt;b&gt;\\|\\`x\\` \\[y\\](z) &#64;all | 1,000 (900–1,100)";
        assert!(markdown.contains(row), "{markdown}");
        assert!(markdown.contains("| (1,000) (900–1,100) |"), "{markdown}");
    }

    #[test]
    fn columns_without_a_value_go() {
        let mut grid = Grid::new(["Server", "#A", "#B"]);
        grid.row([Entry::from("x"), Entry::known(None::<&str>), "1".into()]);
        grid.row(["y", "–", "–"]);
        let text = grid.without_empty_columns().markdown(without_controls);
        let table = "| Server | B   |\n| ---    | --: |\n| x      | 1   |\n| y      | –   |\n";
        assert_eq!(text, table);
    }
}

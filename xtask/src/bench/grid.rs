//! Figures as people read them, and tables that line up.

use super::statistics::Spread;
use std::collections::BTreeMap;

/// A Markdown table with padded cells; the first and the last column to the left, numbers to the
/// right.
pub(crate) fn grid(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let columns = header.len();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&header[column]]);
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_left = |column: usize| column == 0 || rows.iter().all(|row| is_word(&row[column]));
    let line = |cells: &[String]| {
        let padded: Vec<String> = (0..columns)
            .map(|column| {
                let (cell, width) = (&cells[column], widths[column]);
                if is_left(column) {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        format!("| {} |\n", padded.join(" | "))
    };
    let rule: Vec<String> = (0..columns)
        .map(|column| {
            let dashes = "-".repeat(widths[column] - 1);
            if is_left(column) {
                format!(":{dashes}")
            } else {
                format!("{dashes}:")
            }
        })
        .collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}| {} |\n{body}", line(&header), rule.join(" | "))
}

fn is_word(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// The median with the smallest and the largest value.
pub(crate) fn with_range(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |Spread {
             median, min, max, ..
         }| { format!("{} [{}–{}]", number(median), number(min), number(max)) },
    )
}

/// The median alone.
pub(crate) fn median_of(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| number(spread.median))
}

/// A ratio with its range, and a mark if it is not resolved.
pub(crate) fn ratio(spread: Option<Spread>) -> String {
    let Some(spread) = spread else {
        return "-".to_owned();
    };
    let Spread {
        median, min, max, ..
    } = spread;
    let digits = if median < 0.1 { 3 } else { 2 };
    let mark = if !spread.is_resolved() { " ?" } else { "" };
    format!("{median:.digits$} [{min:.digits$}–{max:.digits$}]{mark}")
}

/// Three significant digits, with `k` and `M` for thousands and millions.
fn number(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 999_500.0 => (value / 1e6, " M"),
        value if value >= 9_995.0 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let digits = match scaled {
        scaled if scaled < 0.09995 => 4,
        scaled if scaled < 0.9995 => 3,
        scaled if scaled < 9.995 => 2,
        scaled if scaled < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$}{unit}")
}

/// A number of bytes as MiB.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// `server` when every round agrees, otherwise `server 3, generator 2`.
pub(crate) fn counts(saturated: &BTreeMap<String, u32>) -> String {
    if saturated.len() == 1 {
        return saturated.keys().cloned().collect();
    }
    let mut sides: Vec<_> = saturated.iter().collect();
    sides.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    sides
        .iter()
        .map(|(side, count)| format!("{side} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [
            0.0351,
            0.35,
            4.712,
            9.996,
            63.4,
            240.4,
            9_234.0,
            9_999.0,
            58_231.0,
            2_859_000.0,
        ];
        let texts = numbers.map(number);
        let wanted = [
            "0.0351", "0.350", "4.71", "10.0", "63.4", "240", "9234", "10.0 k", "58.2 k", "2.86 M",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn an_unresolved_ratio_is_marked() {
        assert_eq!(
            ratio(Spread::of([0.40, 0.41, 0.41, 0.41, 0.41, 0.42])),
            "0.41 [0.40–0.42]"
        );
        assert_eq!(ratio(Spread::of([0.40, 0.42, 0.41])), "0.41 [0.40–0.42] ?");
        assert_eq!(ratio(Spread::of([0.97, 1.02, 1.04])), "1.02 [0.97–1.04] ?");
        assert_eq!(ratio(Spread::of([0.0397])), "0.040 [0.040–0.040] ?");
        assert_eq!(ratio(None), "-");
    }

    #[test]
    fn columns_line_up_and_count_characters_not_bytes() {
        let rows = vec![
            vec!["a".to_owned(), "1 [1–2]".to_owned(), "server".to_owned()],
            vec!["bcd".to_owned(), "-".to_owned(), "both".to_owned()],
        ];
        let wanted = "\
| name |       µ | side   |
| :--- | ------: | :----- |
| a    | 1 [1–2] | server |
| bcd  |       - | both   |
";
        assert_eq!(grid(&["name", "µ", "side"], &rows), wanted);
    }

    #[test]
    fn saturation_is_counted_when_rounds_differ() {
        let once = BTreeMap::from([("server".to_owned(), 5)]);
        assert_eq!(counts(&once), "server");
        let mixed = BTreeMap::from([("generator".to_owned(), 2), ("server".to_owned(), 3)]);
        assert_eq!(counts(&mixed), "server 3, generator 2");
    }
}

//! The series of a run as CSV: a row for each slice of the window, the unit in each column's name.

use std::path::Path;

use crate::output::{Column, write_file as write_whole};
use crate::result::figures::Slice;

/// The series of one part of a merged result.
pub(crate) struct Part<'a> {
    /// What the first column says.
    pub(crate) name: &'a str,
    pub(crate) window_start_unix_seconds: f64,
    pub(crate) series: &'a [Slice],
}

/// The columns that a merged result has before those of a slice.
const OF_PART: [&str; 2] = ["part", "window_start_unix_seconds"];

/// Each column and what it has of a slice: nothing for what is not known.
const COLUMNS: [Column<Slice>; 12] = [
    ("from_seconds", |it| real(it.until_seconds - it.seconds)),
    ("until_seconds", |it| real(it.until_seconds)),
    ("completed", |it| it.completed.to_string()),
    ("completed_per_second", |it| {
        real(it.completed as f64 / it.seconds.max(1e-9))
    }),
    ("offered", |it| it.offered.map(real).unwrap_or_default()),
    ("backlog", |it| it.backlog.to_string()),
    ("in_flight", |it| it.in_flight.to_string()),
    ("p50_ns", |it| it.p50_ns.to_string()),
    ("p99_ns", |it| it.p99_ns.to_string()),
    ("max_ns", |it| it.max_ns.to_string()),
    ("generator_cpu_ns", |it| it.generator_cpu_ns.to_string()),
    ("server_cpu_ns", |it| {
        it.server_cpu_ns
            .map(|ns| ns.to_string())
            .unwrap_or_default()
    }),
];

/// A number that need not be whole shows that.
fn real(number: f64) -> String {
    format!("{number:?}")
}

fn cells(slice: &Slice) -> Vec<String> {
    COLUMNS.iter().map(|(_, of)| of(slice)).collect()
}

/// Writes a run's series; times are from the opening of the window.
pub(crate) fn write_file(path: &Path, series: &[Slice]) -> anyhow::Result<()> {
    write_whole(path, &text(&[], series.iter().map(cells))?)
}

/// Writes the series of several parts one after the other, each row with its part's name and when that
/// part's window opened. They are not added up: a slice's percentiles cannot be.
pub(crate) fn write_parts(path: &Path, parts: &[Part<'_>]) -> anyhow::Result<()> {
    write_whole(path, &text_of_parts(parts)?)
}

fn text_of_parts(parts: &[Part<'_>]) -> anyhow::Result<Vec<u8>> {
    let rows = parts.iter().flat_map(|part| {
        let of_part = [part.name.to_owned(), real(part.window_start_unix_seconds)];
        let slices = part.series.iter();
        slices.map(move |slice| [&of_part[..], &cells(slice)].concat())
    });
    text(&OF_PART, rows)
}

/// The heading, of these columns and those of a slice, and the rows.
fn text(first: &[&str], rows: impl Iterator<Item = Vec<String>>) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = COLUMNS.iter().map(|(name, _)| name);
    writer.write_record(first.iter().chain(columns))?;
    for row in rows {
        writer.write_record(row)?;
    }
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(until_seconds: f64, completed: u64) -> Slice {
        Slice {
            until_seconds,
            seconds: 0.5,
            completed,
            p99_ns: 1234,
            server_cpu_ns: (completed > 0).then_some(99),
            ..Slice::default()
        }
    }

    #[test]
    fn what_is_written_can_be_read_back_by_column() {
        let slices = [slice(0.5, 10), slice(1.0, 0)];
        let out = text(&[], slices.iter().map(cells)).unwrap();
        let mut reader = csv::Reader::from_reader(&out[..]);
        let rows: Vec<std::collections::HashMap<String, String>> =
            reader.deserialize().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].len(), 12);
        assert_eq!(rows[0]["completed_per_second"], "20.0");
        assert_eq!(rows[0]["p99_ns"], "1234");
        assert_eq!(rows[0]["server_cpu_ns"], "99");
        assert_eq!(rows[1]["from_seconds"], "0.5");
        assert_eq!(rows[1]["server_cpu_ns"], "", "unknown is empty, not 0");
        assert_eq!(rows[1]["offered"], "");
    }

    #[test]
    fn names_of_parts_are_quoted_where_they_must_be() {
        let series = [slice(0.5, 3)];
        let parts = [Part {
            name: "a, \"b\"\nc.json",
            window_start_unix_seconds: 5.25,
            series: &series,
        }];
        let out = text_of_parts(&parts).unwrap();
        let mut reader = csv::Reader::from_reader(&out[..]);
        let row = reader.records().next().unwrap().unwrap();
        assert_eq!((&row[0], &row[1]), ("a, \"b\"\nc.json", "5.25"));
        assert_eq!(row.len(), reader.headers().unwrap().len());
    }
}

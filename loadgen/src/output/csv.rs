//! The series of a run as CSV: a row for each slice of the window, the unit in each column's name.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::result::figures::Slice;

/// The series of one part of a merged result.
pub(crate) struct Part<'a> {
    /// What the first column says.
    pub(crate) name: &'a str,
    pub(crate) window_start_unix_seconds: f64,
    pub(crate) series: &'a [Slice],
}

/// A slice, flat.
#[derive(Serialize)]
struct Row {
    from_seconds: f64,
    until_seconds: f64,
    completed: u64,
    completed_per_second: f64,
    offered: Option<f64>,
    backlog: u64,
    in_flight: u64,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    generator_cpu_ns: u64,
    server_cpu_ns: Option<u64>,
}

impl Row {
    fn of(slice: &Slice) -> Row {
        Row {
            from_seconds: slice.until_seconds - slice.seconds,
            until_seconds: slice.until_seconds,
            completed: slice.completed,
            completed_per_second: match slice.seconds > 0.0 {
                true => slice.completed as f64 / slice.seconds,
                false => 0.0,
            },
            offered: slice.offered,
            backlog: slice.backlog,
            in_flight: slice.in_flight,
            p50_ns: slice.p50_ns,
            p99_ns: slice.p99_ns,
            max_ns: slice.max_ns,
            generator_cpu_ns: slice.generator_cpu_ns,
            server_cpu_ns: slice.server_cpu_ns,
        }
    }
}

/// The columns of [`Row`], for a series without slices has a header too.
const COLUMNS: [&str; 12] = [
    "from_seconds",
    "until_seconds",
    "completed",
    "completed_per_second",
    "offered",
    "backlog",
    "in_flight",
    "p50_ns",
    "p99_ns",
    "max_ns",
    "generator_cpu_ns",
    "server_cpu_ns",
];

/// Writes a run's series; times are from the opening of the window.
pub(crate) fn write_file(path: &Path, series: &[Slice]) -> anyhow::Result<()> {
    create(path, |file| write_series(file, series))
}

/// Writes the series of several parts one after the other, each row with its part's name and when that
/// part's window opened. They are not added up: a slice's percentiles cannot be.
pub(crate) fn write_parts(path: &Path, parts: &[Part<'_>]) -> anyhow::Result<()> {
    create(path, |file| write_all(file, parts))
}

fn create(path: &Path, write: impl FnOnce(File) -> io::Result<()>) -> anyhow::Result<()> {
    File::create(path)
        .and_then(write)
        .with_context(|| format!("writing {}", path.display()))
}

fn write_series(out: impl Write, series: &[Slice]) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(COLUMNS)?;
    for slice in series {
        writer.serialize(Row::of(slice))?;
    }
    writer.flush()
}

fn write_all(out: impl Write, parts: &[Part<'_>]) -> io::Result<()> {
    let mut writer = writer(out);
    writer.write_record(["part", "window_start_unix_seconds"].iter().chain(&COLUMNS))?;
    for part in parts {
        for slice in part.series {
            writer.serialize((part.name, part.window_start_unix_seconds, Row::of(slice)))?;
        }
    }
    writer.flush()
}

/// A writer that leaves the header to us.
fn writer<W: Write>(out: W) -> csv::Writer<W> {
    csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(out)
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
        let mut out = Vec::new();
        write_series(&mut out, &[slice(0.5, 10), slice(1.0, 0)]).unwrap();
        let mut reader = csv::Reader::from_reader(&out[..]);
        assert_eq!(reader.headers().unwrap(), &COLUMNS[..]);
        let rows: Vec<std::collections::HashMap<String, String>> =
            reader.deserialize().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["completed_per_second"], "20.0");
        assert_eq!(rows[0]["p99_ns"], "1234");
        assert_eq!(rows[0]["server_cpu_ns"], "99");
        assert_eq!(rows[1]["from_seconds"], "0.5");
        assert_eq!(rows[1]["server_cpu_ns"], "", "unknown is empty, not 0");
        assert_eq!(rows[1]["offered"], "");
    }

    #[test]
    fn a_series_without_slices_is_a_header() {
        let mut out = Vec::new();
        write_series(&mut out, &[]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 1);
    }

    #[test]
    fn names_of_parts_are_quoted_where_they_must_be() {
        let series = [slice(0.5, 3)];
        let parts = [Part {
            name: "a, \"b\"\nc.json",
            window_start_unix_seconds: 5.25,
            series: &series,
        }];
        let mut out = Vec::new();
        write_all(&mut out, &parts).unwrap();
        let mut reader = csv::Reader::from_reader(&out[..]);
        let row = reader.records().next().unwrap().unwrap();
        assert_eq!((&row[0], &row[1]), ("a, \"b\"\nc.json", "5.25"));
        assert_eq!(row.len(), reader.headers().unwrap().len());
    }
}

//! The series of a run as CSV: a row for each slice of the window, the unit in each column's name.

use std::fs::File;
use std::io::Write;
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

/// A slice, flat; the first two columns are those of a merged result.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_start_unix_seconds: Option<f64>,
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

impl<'a> Row<'a> {
    fn of(part: Option<&Part<'a>>, slice: &Slice) -> Row<'a> {
        Row {
            part: part.map(|part| part.name),
            window_start_unix_seconds: part.map(|part| part.window_start_unix_seconds),
            from_seconds: slice.until_seconds - slice.seconds,
            until_seconds: slice.until_seconds,
            completed: slice.completed,
            completed_per_second: slice.completed as f64 / slice.seconds.max(1e-9),
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

/// Writes a run's series; times are from the opening of the window.
pub(crate) fn write_file(path: &Path, series: &[Slice]) -> anyhow::Result<()> {
    let rows = series.iter().map(|slice| Row::of(None, slice));
    write_to(path, rows)
}

/// Writes the series of several parts one after the other, each row with its part's name and when that
/// part's window opened. They are not added up: a slice's percentiles cannot be.
pub(crate) fn write_parts(path: &Path, parts: &[Part<'_>]) -> anyhow::Result<()> {
    write_to(path, rows(parts))
}

fn rows<'a>(parts: &'a [Part<'a>]) -> impl Iterator<Item = Row<'a>> {
    let of = |part: &'a Part<'a>| {
        let slices = part.series.iter();
        slices.map(move |slice| Row::of(Some(part), slice))
    };
    parts.iter().flat_map(of)
}

fn write_to<'a>(path: &Path, rows: impl Iterator<Item = Row<'a>>) -> anyhow::Result<()> {
    let written = File::create(path).map_err(csv::Error::from);
    written
        .and_then(|file| write(file, rows))
        .with_context(|| format!("writing {}", path.display()))
}

fn write<'a>(out: impl Write, rows: impl Iterator<Item = Row<'a>>) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for row in rows {
        writer.serialize(row)?;
    }
    Ok(writer.flush()?)
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
        let mut out = Vec::new();
        write(&mut out, slices.iter().map(|slice| Row::of(None, slice))).unwrap();
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
        let mut out = Vec::new();
        write(&mut out, rows(&parts)).unwrap();
        let mut reader = csv::Reader::from_reader(&out[..]);
        let row = reader.records().next().unwrap().unwrap();
        assert_eq!((&row[0], &row[1]), ("a, \"b\"\nc.json", "5.25"));
        assert_eq!(row.len(), reader.headers().unwrap().len());
    }
}

//! HDR histogram log, V2: a row for each stretch of time, with its whole histogram, as HdrHistogram's
//! own tools read and plot it.
//!
//! The library has a writer for this format, but it borrows its output and its serializer for as long
//! as it lives, so it cannot be kept beside them; the format is four lines and a row.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use hdrhistogram::Histogram;

use crate::result::latency::encode;

/// Values are nanoseconds; the column of maxima is in milliseconds, as the Java tools write it.
const NS_PER_MAX_UNIT: f64 = 1e6;

/// A log that grows row by row.
pub(crate) struct HdrLog {
    out: BufWriter<File>,
    path: PathBuf,
}

impl HdrLog {
    /// Creates the file and writes its head. Times of rows count from `start_unix_seconds`.
    pub(crate) fn create(path: &Path, start_unix_seconds: f64) -> anyhow::Result<HdrLog> {
        let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
        let mut log = HdrLog {
            out: BufWriter::new(file),
            path: path.to_owned(),
        };
        log.write(format_args!(
            "#[Histogram log format version 1.3]\n\
             #[ringload: values are nanoseconds, Interval_Max is in milliseconds]\n\
             #[StartTime: {start_unix_seconds:.3} (seconds since epoch)]\n\
             #[BaseTime: {start_unix_seconds:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        ))?;
        Ok(log)
    }

    /// Appends what was recorded within `length_seconds` from `start_seconds` after the log's start.
    pub(crate) fn append(
        &mut self,
        start_seconds: f64,
        length_seconds: f64,
        histogram: &Histogram<u64>,
    ) -> anyhow::Result<()> {
        let max = histogram.max() as f64 / NS_PER_MAX_UNIT;
        let text = encode(histogram);
        self.write(format_args!(
            "{start_seconds:.3},{length_seconds:.3},{max:.3},{text}\n"
        ))
    }

    /// Writes out what is buffered; an error that only shows here is not lost as it would be on drop.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.out
            .flush()
            .with_context(|| format!("writing {}", self.path.display()))
    }

    fn write(&mut self, text: fmt::Arguments<'_>) -> anyhow::Result<()> {
        let written = self.out.write_fmt(text);
        written.with_context(|| format!("writing {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = latency_histogram();
        for value in values {
            histogram.saturating_record(value);
        }
        histogram
    }

    #[test]
    fn the_librarys_reader_finds_every_row_again() {
        let stretches = [
            histogram((1..500).map(|value| value * 1000)),
            histogram([]),
            histogram([2_500_000_000]),
        ];
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = HdrLog::create(file.path(), 1_700_000_000.25).unwrap();
        for (second, histogram) in stretches.iter().enumerate() {
            log.append(second as f64, 1.0, histogram).unwrap();
        }
        log.finish().unwrap();
        let out = std::fs::read(file.path()).unwrap();
        let mut read = Vec::new();
        let mut times = Vec::new();
        for entry in IntervalLogIterator::new(&out) {
            match entry.expect("every line is one that the format knows") {
                LogEntry::Interval(row) => read.push((
                    row.start_timestamp().as_secs_f64(),
                    row.duration().as_secs_f64(),
                    row.max(),
                    crate::result::latency::decode(row.encoded_histogram()).unwrap(),
                )),
                LogEntry::BaseTime(time) | LogEntry::StartTime(time) => times.push(time),
            }
        }
        assert_eq!(times.len(), 2);
        assert!(
            times
                .iter()
                .all(|time| time.as_secs_f64() == 1_700_000_000.25)
        );
        assert_eq!(read.len(), stretches.len());
        for (second, ((start, length, max, found), written)) in
            read.iter().zip(&stretches).enumerate()
        {
            assert_eq!((*start, *length), (second as f64, 1.0));
            assert_eq!(found, written);
            assert!((max * 1e6 - written.max() as f64).abs() < 1000.0);
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let error = HdrLog::create(Path::new("/nonexistent/x.hlog"), 0.0)
            .err()
            .unwrap();
        assert_eq!(error.to_string(), "writing /nonexistent/x.hlog");
    }
}

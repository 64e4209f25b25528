//! Percentiles as `.hgrm` text, which other HDR tools read.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use hdrhistogram::Histogram;

use crate::echo::tally::LATENCY_DIGITS;

/// Steps per halving of the distance to 100 % in `.hgrm` text.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Writes `.hgrm` text; see [`write_percentiles`].
pub(crate) fn write_file(path: &Path, histogram: &Histogram<u64>) -> anyhow::Result<()> {
    File::create(path)
        .and_then(|file| {
            let mut out = BufWriter::new(file);
            write_percentiles(&mut out, histogram)?;
            out.flush()
        })
        .with_context(|| format!("writing {}", path.display()))
}

/// Writes the percentile distribution as HdrHistogram's own tools print it. Values are recorded
/// in nanoseconds and printed in microseconds.
fn write_percentiles(out: &mut impl Write, histogram: &Histogram<u64>) -> io::Result<()> {
    let microseconds = |nanoseconds: f64| nanoseconds / 1000.0;
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let value = microseconds(step.value_iterated_to() as f64);
        let quantile = step.quantile_iterated_to();
        write!(out, "{value:12.3} {quantile:14.12} {count:10}")?;
        match quantile < 1.0 {
            true => writeln!(out, " {:14.2}", 1.0 / (1.0 - quantile))?,
            false => writeln!(out)?,
        }
    }
    let mean = microseconds(histogram.mean());
    let deviation = microseconds(histogram.stdev());
    let highest = microseconds(histogram.max() as f64);
    writeln!(
        out,
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]"
    )?;
    writeln!(
        out,
        "#[Max     = {highest:12.3}, Total count    = {:12}]",
        histogram.len()
    )?;
    writeln!(
        out,
        "#[Unit    = microseconds, SignificantDigits = {LATENCY_DIGITS}]"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;

    #[test]
    fn percentile_text_ends_with_the_whole_count_in_microseconds() {
        let mut histogram = latency_histogram();
        (1..=100).for_each(|value| histogram.saturating_record(value * 1000));
        let mut out = Vec::new();
        write_percentiles(&mut out, &histogram).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
        let last: Vec<&str> = rows.last().unwrap().split_ascii_whitespace().collect();
        assert_eq!(last, ["100.031", "1.000000000000", "100"]);
        assert!(
            text.contains("#[Max     =      100.031, Total count    =          100]"),
            "{text}"
        );
    }
}

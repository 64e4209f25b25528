//! Percentiles as `.hgrm` text, which other HDR tools read.

use std::fmt::Write as _;
use std::path::Path;

use hdrhistogram::Histogram;

use crate::echo::tally::LATENCY_DIGITS;
use crate::output::write_file as write_whole;

/// Steps per halving of the distance to 100 % in `.hgrm` text.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Writes `.hgrm` text; see [`percentiles`].
pub(crate) fn write_file(path: &Path, histogram: &Histogram<u64>) -> anyhow::Result<()> {
    write_whole(path, &percentiles(histogram))
}

/// The percentile distribution as HdrHistogram's own tools print it. Values are recorded in nanoseconds and printed
/// in microseconds.
fn percentiles(histogram: &Histogram<u64>) -> String {
    let microseconds = |nanoseconds: f64| nanoseconds / 1000.0;
    let mut text = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n".to_owned();
    let mut count = 0;
    // Writing to a string cannot fail.
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let value = microseconds(step.value_iterated_to() as f64);
        let quantile = step.quantile_iterated_to();
        let odds = (quantile < 1.0).then(|| format!(" {:14.2}", 1.0 / (1.0 - quantile)));
        let odds = odds.unwrap_or_default();
        let _ = writeln!(text, "{value:12.3} {quantile:14.12} {count:10}{odds}");
    }
    let mean = microseconds(histogram.mean());
    let deviation = microseconds(histogram.stdev());
    let highest = microseconds(histogram.max() as f64);
    let count = histogram.len();
    text + &format!(
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n\
         #[Max     = {highest:12.3}, Total count    = {count:12}]\n\
         #[Unit    = microseconds, SignificantDigits = {LATENCY_DIGITS}]\n"
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
        let text = percentiles(&histogram);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
        let last: Vec<&str> = rows.last().unwrap().split_ascii_whitespace().collect();
        assert_eq!(last, ["100.031", "1.000000000000", "100"]);
        assert!(
            text.contains("#[Max     =      100.031, Total count    =          100]"),
            "{text}"
        );
    }
}

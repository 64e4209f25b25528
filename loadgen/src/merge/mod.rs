//! `ringload merge`: combines results of several machines that ran at the same time.
//!
//! ```text
//! files (which, whole, each once) ── combine (sums, added histograms) ── document
//! ```
//!
//! Percentiles are never averaged: the histograms are added, and the percentiles read from the sum.

mod combine;
mod files;
pub(crate) mod options;

use crate::merge::options::MergeOptions;
use crate::output::{csv, histogram, publish};
use crate::result::Status;

/// Combines and reports. The status is the worst of the parts'.
pub(crate) fn run(options: &MergeOptions) -> anyhow::Result<Status> {
    options.check()?;
    let inputs = files::gather(options)?;
    let (mut document, latency) = combine::combine(&inputs, options.force)?;
    let mut written = vec![publish(&mut document, &options.gate, &options.output)];
    if let Some(path) = &options.histogram {
        written.push(histogram::write_file(path, &latency));
    }
    if let Some(path) = &options.csv {
        let parts: Vec<csv::Part<'_>> = inputs
            .iter()
            .filter_map(|input| {
                let figures = input.document.figures()?;
                Some(csv::Part {
                    name: &input.name,
                    window_start_unix_seconds: figures.window_start_unix_seconds,
                    series: &figures.series,
                })
            })
            .collect();
        written.push(csv::write_parts(path, &parts));
    }
    written.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(document.status)
}

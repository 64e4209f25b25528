//! `ringload merge`: combines results of several machines that ran at the same time.
//!
//! ```text
//! files (which, whole, each once) ── combine (sums, added histograms) ── table
//! ```
//!
//! Percentiles are never averaged: the histograms are added, and the percentiles read from the sum.

mod combine;
mod files;
pub(crate) mod options;
mod table;

use crate::merge::options::MergeOptions;
use crate::output::document::Status;
use crate::output::{csv, deliver, histogram};

/// Combines and reports. The status is the worst of the parts'.
pub(crate) fn run(options: &MergeOptions) -> anyhow::Result<Status> {
    options.check()?;
    let inputs = files::gather(options)?;
    let merged = combine::combine(&inputs, options.force)?;
    let document = &merged.document;
    let mut written = vec![deliver(
        document,
        || table::merge_table(document),
        document.error.as_deref(),
        options.output.json.as_deref(),
        options.output.quiet,
    )];
    if let Some(path) = &options.histogram {
        written.push(histogram::write_file(path, &merged.latency));
    }
    if let Some(path) = &options.csv {
        let parts: Vec<csv::Part<'_>> = inputs
            .iter()
            .filter_map(|input| {
                let result = input.document.result.as_ref()?;
                Some(csv::Part {
                    name: &input.name,
                    window_start_unix_seconds: result.window_start_unix_seconds,
                    series: &result.series,
                })
            })
            .collect();
        written.push(csv::write_parts(path, &parts));
    }
    written.into_iter().collect::<anyhow::Result<()>>()?;
    Ok(document.status)
}

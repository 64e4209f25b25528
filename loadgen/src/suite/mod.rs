//! `ringload suite`: many servers under many workloads.

use crate::options::suite::SuiteOptions;
use crate::output::document::Status;

/// Runs and reports.
pub(crate) fn run(_options: &SuiteOptions) -> anyhow::Result<Status> {
    anyhow::bail!("not there yet")
}

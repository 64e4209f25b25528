//! `ringload compare`: two commands, interleaved rounds, an interval.

use crate::options::compare::CompareOptions;
use crate::output::document::Status;

/// Runs and reports.
pub(crate) fn run(_options: &CompareOptions) -> anyhow::Result<Status> {
    anyhow::bail!("not there yet")
}

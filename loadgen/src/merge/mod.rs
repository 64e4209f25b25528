//! `ringload merge`: combines results of several machines.

use crate::options::merge::MergeOptions;
use crate::output::document::Status;

/// Runs and reports.
pub(crate) fn run(_options: &MergeOptions) -> anyhow::Result<Status> {
    anyhow::bail!("not there yet")
}

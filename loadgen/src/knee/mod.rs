//! `ringload knee`: finds the highest rate that meets an objective.

use crate::options::knee::KneeOptions;
use crate::output::document::Status;

/// Runs and reports.
pub(crate) fn run(_options: &KneeOptions) -> anyhow::Result<Status> {
    anyhow::bail!("not there yet")
}

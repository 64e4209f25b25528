//! `ringload selftest`: measures the generator's own ceiling.

use crate::options::selftest::SelftestOptions;
use crate::output::document::Status;

/// Runs and reports.
pub(crate) fn run(_options: &SelftestOptions) -> anyhow::Result<Status> {
    anyhow::bail!("not there yet")
}

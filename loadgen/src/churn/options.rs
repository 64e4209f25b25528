//! `ringload churn`.

use std::time::Duration;

use clap::Args;

use crate::quantity::parse_duration;
use crate::run::options::{LoadArgs, ReportOptions, TimingArgs, not_zero};
use crate::run::place::PlaceArgs;
use crate::usage::UsageError;

/// `ringload churn`.
#[derive(Args, Clone, Debug)]
pub struct ChurnOptions {
    #[command(flatten)]
    pub(crate) load: LoadArgs,

    /// Messages of each session, one after the other
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,

    /// How long a session may take, from its connect on
    #[arg(long, alias = "visit-timeout", default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) session_timeout: Duration,

    /// Go on when a session fails, and count what failed by kind; else the first failure is the end
    #[arg(long, alias = "tolerate")]
    pub(crate) keep_going: bool,

    /// Measure no more than this many sessions: each leaves a port in TIME_WAIT for a minute
    #[arg(long, alias = "visits", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sessions: Option<u64>,

    /// Number of the first session. Towards 127.0.0.0/8 every 20,000 numbers have a source address
    /// of their own, so sessions numbered on from the last ones need none of their ports
    #[arg(long, alias = "first-visit", value_name = "N", default_value_t = 0)]
    pub(crate) first_session: u32,

    #[command(flatten)]
    pub(crate) timing: TimingArgs,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    #[command(flatten)]
    pub(crate) report: ReportOptions,
}

impl ChurnOptions {
    /// Refuses what cannot be run. The error says what would be right.
    pub fn check(&self) -> Result<(), UsageError> {
        self.load.target.pace.refuse("--connections")?;
        self.load.check(self.load.exchange.kinds(None), 1)?;
        not_zero("session-timeout", self.session_timeout)?;
        self.timing.check()
    }
}

//! `ringload idle`.

use std::time::Duration;

use clap::Args;

use crate::load::Threads;
use crate::quantity::parse_duration;
use crate::run::options::{LoadArgs, ReportOptions};
use crate::run::place::PlaceArgs;
use crate::usage::{UsageError, make_room_for, refuse_if};

/// `ringload idle`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("connections", |arg| arg.default_value("10000").help("Connections to open")),
    mut_arg("threads", |arg| arg.hide(true)),
    mut_arg("size", |arg| arg.help("Payload of a sample echo")),
    mut_arg("server_pids", |arg| arg.required_unless_present("server_cgroup"))
)]
pub struct IdleOptions {
    #[command(flatten)]
    pub(crate) load: LoadArgs,

    /// How long to hold them, once open
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) hold: Duration,

    /// How long to wait at most, once all are closed, for their memory to be given back
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) settle: Duration,

    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    #[command(flatten)]
    pub(crate) report: ReportOptions,
}

impl IdleOptions {
    /// Refuses more connections than may be open, and none. The error says what would be right.
    pub fn check(&self) -> Result<(), UsageError> {
        let why = "--threads: one thread holds all connections, which do nothing; leave it out";
        refuse_if(self.load.threads != Threads::Auto, why)?;
        make_room_for(self.load.connections)?;
        self.load.check(self.load.exchange.kinds(None), 1)
    }
}

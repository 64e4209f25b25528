//! `ringload idle`.

use std::time::Duration;

use clap::Args;

use crate::dial::options::TargetOptions;
use crate::echo::options::ExchangeOptions;
use crate::live::LiveOptions;
use crate::output::OutputOptions;
use crate::output::gate::GateOptions;
use crate::quantity::parse_duration;
use crate::usage::{UsageError, at_least_one, make_room_for};

/// `ringload idle`.
#[derive(Args, Clone, Debug)]
pub struct IdleOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    #[command(flatten)]
    pub(crate) exchange: ExchangeOptions,

    /// Connections to open
    #[arg(long, short, default_value_t = 10_000, value_name = "N")]
    pub(crate) connections: usize,

    /// How long to hold them, once open
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) hold: Duration,

    /// How long to wait at most, once all are closed, for their memory to be given back
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) settle: Duration,

    /// A process of the server, which stands for those that it started too; repeatable
    #[arg(long = "server-pid", value_name = "PID", required = true, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pids: Vec<i32>,

    /// Seed of payloads and masking keys [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) gate: GateOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,

    #[command(flatten)]
    pub(crate) live: LiveOptions,
}

impl IdleOptions {
    /// Refuses more connections than may be open, and none. The error says what would be right.
    pub fn check(&self) -> Result<(), UsageError> {
        at_least_one("connections", self.connections)?;
        let (protocol, deflate) = (self.target.protocol(), self.target.deflate);
        let kinds = self.exchange.kinds(None);
        self.exchange.check(protocol, kinds, deflate)?;
        make_room_for(self.connections)
    }
}

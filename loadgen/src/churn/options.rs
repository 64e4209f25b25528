//! `ringload storm`.

use std::time::Duration;

use clap::Args;

use crate::dial::options::TargetOptions;
use crate::echo::options::ExchangeOptions;
use crate::live::LiveOptions;
use crate::load::allowed_cpus;
use crate::load::{Threads, parse_threads};
use crate::output::OutputOptions;
use crate::output::gate::GateOptions;
use crate::payload::size::Sizes;
use crate::quantity::{CpuList, parse_cpu_list, parse_duration, parse_size};
use crate::schedule::{Arrivals, Rates};
use crate::target::Protocol;
use crate::usage::{UsageError, at_least_one};

/// Most payload bytes under way in all: each visit holds its message.
const IN_FLIGHT_BYTES_MAX: usize = 4 << 30;

/// How long to measure, unless told otherwise.
const DURATION: Duration = Duration::from_secs(5);

/// `ringload storm`.
#[derive(Args, Clone, Debug)]
pub struct StormOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    /// Connections at a time; with --rate, the most at a time
    #[arg(long, short, default_value_t = 64, value_name = "N")]
    pub(crate) connections: usize,

    /// Open storm: connects per second, whatever the server does: 500; a ramp 100..2k/30s; steps
    /// 100/10s,1k/10s. A visit then counts from when it was due
    #[arg(long, short = 'q', value_name = "RATE", value_parser = Rates::parse)]
    pub(crate) rate: Option<Rates>,

    /// When the visits of an open storm are due
    #[arg(long, value_enum, default_value_t = Arrivals::Even, requires = "rate")]
    pub(crate) arrivals: Arrivals,

    /// Messages of each visit, one after the other
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) messages: u64,

    /// Payload of a message: 32, 4KiB
    #[arg(long, default_value = "32", value_name = "SIZE", value_parser = parse_size, conflicts_with = "message")]
    pub(crate) size: usize,

    #[command(flatten)]
    pub(crate) exchange: ExchangeOptions,

    /// How long a visit may take, from its connect on
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) visit_timeout: Duration,

    /// Go on when a visit fails, and count what failed by kind; else the first failure ends the storm
    #[arg(long)]
    pub(crate) tolerate: bool,

    /// How long to measure [default: 5s, or as long as the steps of --rate]
    #[arg(long, short, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// Load before that, which does not count; of an open storm, at its first rate
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) warmup: Duration,

    /// Measure no more than this many visits: each leaves a port in TIME_WAIT for a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) visits: Option<u64>,

    /// Number of the first visit. Towards 127.0.0.0/8 every 20,000 numbers have a source address
    /// of their own, so a storm numbered on from the last one needs none of its ports
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) first_visit: u32,

    /// Threads that visit; auto is one for each CPU that may be used
    #[arg(long, short, default_value = "1", value_name = "N|auto", value_parser = parse_threads)]
    pub(crate) threads: Threads,

    /// Run on these CPUs only, each thread on one of them: 1 or 0,2-3
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) cpu: Option<CpuList>,

    /// A process of the server, for its CPU time and that of the processes that it started; repeatable
    #[arg(long = "server-pid", value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pids: Vec<i32>,

    /// Seed of payloads, masking keys and Poisson arrivals [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) gate: GateOptions,

    #[command(flatten)]
    pub(crate) output: OutputOptions,

    #[command(flatten)]
    pub(crate) live: LiveOptions,
}

impl StormOptions {
    /// Threads that visit: no more than there are connections, if it is for us to say.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            Threads::Count(threads) => threads,
            Threads::Auto => allowed_cpus().min(self.connections),
        }
    }

    /// How long to measure.
    pub(crate) fn duration(&self) -> Duration {
        let steps = self.rate.as_ref().and_then(Rates::length);
        self.duration.or(steps).unwrap_or(DURATION)
    }

    /// Payload of each message.
    pub(crate) fn message_bytes(&self) -> usize {
        self.exchange.sizes(&Sizes::fixed(self.size)).bytes_max()
    }

    /// Refuses what cannot be run. The error says what would be right.
    pub fn check(&self) -> Result<(), UsageError> {
        at_least_one("connections", self.connections)?;
        if let Threads::Count(threads) = self.threads {
            at_least_one("threads", threads)?;
            if threads > self.connections {
                return Err(UsageError(format!(
                    "--threads {threads} is more than --connections {}; each thread needs one",
                    self.connections
                )));
            }
        }
        for (name, value) in [
            ("duration", self.duration()),
            ("visit-timeout", self.visit_timeout),
        ] {
            if value.is_zero() {
                return Err(UsageError(format!("--{name} is 0; give a time such as 5s")));
            }
        }
        let (protocol, deflate) = (self.target.protocol(), self.target.deflate);
        let kinds = self.exchange.kinds(None);
        self.exchange.check(protocol, kinds, deflate)?;
        let in_flight = self.message_bytes().saturating_mul(self.connections);
        if in_flight > IN_FLIGHT_BYTES_MAX {
            return Err(UsageError(format!(
                "--connections × --size is {in_flight} bytes under way; at most 4GiB"
            )));
        }
        if self.size == 0 && protocol == Protocol::Tcp {
            return Err(UsageError(
                "--size is 0, which a TCP echo cannot answer; give at least 1".to_owned(),
            ));
        }
        Ok(())
    }
}

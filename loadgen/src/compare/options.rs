//! `ringload compare`.

use std::time::Duration;

use clap::Args;

use crate::compare::gate::Condition;
use crate::output::OutputOptions;
use crate::quantity::{CpuList, parse_cpu_list, parse_duration};
use crate::usage::UsageError;

/// `ringload compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareOptions {
    /// The first command, in words as a shell takes them; {port} in it becomes a free port, which is in
    /// the variable PORT, too
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// The second one: ratios are B/A
    #[arg(value_name = "B")]
    pub(crate) b: String,

    /// Where each is reached once it runs
    #[arg(long, default_value = "ws://127.0.0.1:{port}/", value_name = "URL")]
    pub(crate) url: String,

    /// Rounds: in each, both run once, in random order, each in a fresh process
    #[arg(long, default_value_t = 15, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rounds: u32,

    /// How long to measure each, in each round
    #[arg(long, short, default_value = "2s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) duration: Duration,

    /// Load before that, which does not count
    #[arg(long, default_value = "500ms", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) warmup: Duration,

    /// Fail with exit status 3 if a ratio B/A is beyond a bound: cpu>1.05, throughput<0.95, p99>1.1,
    /// p50>1.1. It is if the estimate is beyond the bound and the interval is beyond 1, too (beyond the
    /// bound, if the bound is no loss). Throughput settles nothing once a round was generator-bound, and
    /// cannot be judged with --rate; repeatable
    #[arg(long, value_name = "CONDITION", value_parser = Condition::parse)]
    pub(crate) fail_if: Vec<Condition>,

    /// Fail, too, if the rounds cannot tell whether a condition holds
    #[arg(long, requires = "fail_if")]
    pub(crate) strict: bool,

    /// Connections [default: 64]
    #[arg(long, short, value_name = "N")]
    pub(crate) connections: Option<String>,

    /// Messages in flight per connection [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<String>,

    /// An open loop at this rate instead
    #[arg(long, short = 'q', value_name = "RATE")]
    pub(crate) rate: Option<String>,

    /// Full duplex instead
    #[arg(long)]
    pub(crate) duplex: bool,

    /// Payload of a message [default: 32]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<String>,

    /// Text messages
    #[arg(long)]
    pub(crate) text: bool,

    /// CPUs of the servers: 0 or 0,2-3 [default: the first that may be used]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) server_cpu: Option<CpuList>,

    /// CPUs of the generator [default: the next one on a core of its own]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) generator_cpu: Option<CpuList>,

    /// Seed of the order [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) output: OutputOptions,

    /// Any further options of `ringload run`
    #[arg(last = true, value_name = "OPTION")]
    pub(crate) load: Vec<String>,
}

impl CompareOptions {
    /// The load as arguments of `ringload run`, without URL, times and what is ours to say.
    pub(crate) fn load_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let with_values = [
            ("--connections", &self.connections),
            ("--depth", &self.depth),
            ("--rate", &self.rate),
            ("--size", &self.size),
        ];
        for (name, value) in with_values {
            if let Some(value) = value {
                arguments.extend([name.to_owned(), value.clone()]);
            }
        }
        for (name, is_given) in [("--duplex", self.duplex), ("--text", self.text)] {
            if is_given {
                arguments.push(name.to_owned());
            }
        }
        arguments.extend(self.load.iter().cloned());
        arguments
    }

    /// Refuses what cannot be followed. The error says what would be right.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        if self.duration.is_zero() {
            return Err(UsageError(
                "--duration is 0; give a time such as 2s".to_owned(),
            ));
        }
        Ok(())
    }
}

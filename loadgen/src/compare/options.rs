//! `ringload compare`.

use clap::{ArgAction, Args};

use crate::output::OutputOptions;
use crate::output::gate::GateOptions;
use crate::quantity::{CpuList, parse_cpu_list};
use crate::run::options::{LoadArgs, LoopArgs, TimingArgs, TrafficArgs};
use crate::target::Target;

/// What stands for the port in a command and a URL.
pub(super) const PORT: &str = "{port}";

/// What `--fail-if` is of ratios.
const FAIL_IF: &str = "Fail with exit status 3 if a ratio B/A is beyond a bound: cpu>1.05, throughput<0.95, p99>1.1, \
    p50>1.1. It is if the estimate is beyond the bound and the interval is beyond 1, too (beyond the bound, if the \
    bound is no loss). Throughput and latency settle nothing once the generator was the limit in a round; repeatable";

/// `ringload compare`.
#[derive(Args, Clone, Debug)]
#[command(
    mut_arg("urls", |arg| arg
        .long("url")
        .action(ArgAction::Set)
        .num_args(1)
        .required(false)
        .default_value("ws://127.0.0.1:{port}/")
        .value_parser(parse_url)
        .help("Where each is reached once it runs")),
    mut_arg("duration", |arg| arg
        .default_value("2s")
        .help("How long to measure each, in each round")),
    mut_arg("warmup", |arg| arg.default_value("500ms")),
    mut_arg("fail_if", |arg| arg.help(FAIL_IF))
)]
pub struct CompareOptions {
    /// The first command, in words as a shell takes them; {port} in it becomes a free port, which is in
    /// the variable PORT, too
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// The second one: ratios are B/A
    #[arg(value_name = "B")]
    pub(crate) b: String,

    /// Rounds: in each, both run once, in random order, each in a fresh process
    #[arg(long, default_value_t = 15, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rounds: u32,

    #[command(flatten)]
    pub(crate) load: LoadArgs,

    #[command(flatten)]
    pub(crate) traffic: TrafficArgs,

    #[command(flatten)]
    pub(crate) pace: LoopArgs,

    #[command(flatten)]
    pub(crate) timing: TimingArgs,

    /// CPUs of the servers: 0 or 0,2-3 [default: the first that may be used]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) server_cpu: Option<CpuList>,

    /// CPUs of the generator [default: the next one on a core of its own]
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) generator_cpu: Option<CpuList>,

    #[command(flatten)]
    pub(crate) gate: GateOptions,

    /// Fail, too, if the rounds cannot tell whether a condition holds
    #[arg(long, requires = "fail_if")]
    pub(crate) strict: bool,

    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Reads a URL that may have `{port}` where its port stands; it keeps its text.
fn parse_url(text: &str) -> Result<Target, String> {
    Ok(Target {
        url: text.to_owned(),
        ..Target::parse(&text.replace(PORT, "1"))?
    })
}

//! `ringload run`, and the part of it that `ringload knee` shares.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, Parser, ValueEnum};

use crate::dial::options::TargetOptions;
use crate::echo::options::ExchangeOptions;
use crate::engine::Choice;
use crate::live::LiveOptions;
use crate::load::{Threads, parse_threads};
use crate::output::OutputOptions;
use crate::output::gate::GateOptions;
use crate::payload::Kinds;
use crate::payload::size::Sizes;
use crate::quantity::{CpuList, parse_cpu_list, parse_duration, parse_size};
use crate::schedule::{Arrivals, Rates};
use crate::target::Protocol;
use crate::usage::{UsageError, at_least_one, first_line};

/// Furthest time to begin at, in seconds from now.
const START_SECONDS_MAX: f64 = 1000.0 * 366.0 * 86_400.0;

/// Most frames that a message may be sent in.
const FRAGMENTS_MAX: usize = 1000;

/// What a message in flight takes beside its payload: its header, and what is remembered of it.
const MESSAGE_OVERHEAD_BYTES: usize = 48;

/// Most bytes in flight over all connections of a closed loop: each is held in a send buffer.
const IN_FLIGHT_BYTES_MAX: usize = 4 << 30;

/// What is sent, over how many connections, and by whom.
#[derive(Args, Clone, Debug)]
pub struct TrafficOptions {
    /// Connections, spread evenly over the threads
    #[arg(long, short, default_value_t = 64, value_name = "N")]
    pub connections: usize,

    /// Payload of a message: 32, 64KiB; a list 32,1KiB,64KiB (each as likely as the others); a range
    /// 16..4KiB; log-normal:MEDIAN,SIGMA; or file:PATH with a size in each line, drawn at random
    #[arg(long, default_value = "32", value_name = "SIZE", value_parser = Sizes::parse, conflicts_with = "message")]
    pub size: Sizes,

    #[command(flatten)]
    pub(crate) exchange: ExchangeOptions,

    /// Text messages: valid UTF-8 with characters of one to four bytes
    #[arg(long, conflicts_with_all = ["binary", "mixed"])]
    pub(crate) text: bool,

    /// Binary messages (the default)
    #[arg(long, conflicts_with = "mixed")]
    pub(crate) binary: bool,

    /// Text and binary messages, in random order
    #[arg(long, conflicts_with = "message")]
    pub(crate) mixed: bool,

    /// Frames that each message is sent in
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) fragments: usize,

    /// Ping each connection this often, and time the pongs apart from the messages
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) ping_every: Option<Duration>,

    /// full compares every byte that comes back; sample compares one message in sixteen, of the
    /// others the length only
    #[arg(long, value_enum, default_value_t = Verify::Full)]
    pub verify: Verify,

    /// Count replies that differ from what was sent and go on, where the first would end the load; that
    /// is a failure all the same
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Further connections that send as fast as they may and read next to nothing: what they do to the
    /// others is what is measured
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) slow_readers: usize,

    /// Further connections that send as much as their sockets take and read all of it, on one more thread:
    /// what they do to the others is what is measured, and whether they get the same share
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        conflicts_with = "message"
    )]
    pub(crate) heavy: usize,

    /// Payload of each of their messages
    #[arg(long, default_value = "64KiB", value_name = "SIZE", value_parser = parse_size, requires = "heavy")]
    pub(crate) heavy_size: usize,

    /// Load threads; auto is one for each CPU that may be used
    #[arg(long, short, default_value = "auto", value_name = "N|auto", value_parser = parse_threads)]
    pub(crate) threads: Threads,

    /// Run on these CPUs only, each load thread on one of them: 1 or 0,2-3
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub cpu: Option<CpuList>,

    /// A process of the server, for its CPU time and memory and those of the processes that it
    /// started; repeatable
    #[arg(long = "server-pid", value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pids: Vec<i32>,

    /// How to move bytes; auto takes io_uring where it works
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub engine: Choice,

    /// Seed of payloads, masking keys and Poisson arrivals [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// How closely replies are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// Every byte.
    Full,
    /// Every byte of one message in sixteen, of the others the length.
    Sample,
}

impl Verify {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verify::Full => "full",
            Verify::Sample => "sample",
        }
    }
}

/// `ringload run`.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    /// What is sent.
    #[command(flatten)]
    pub traffic: TrafficOptions,

    /// Closed loop: messages in flight per connection [default: 1]
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "duplex"])]
    pub depth: Option<usize>,

    /// Open loop: messages per second over all connections, whatever the server does: 50k; a ramp
    /// 1k..50k/30s; steps 1k/10s,2k/10s. Latency then counts from when each message was due
    #[arg(long, short = 'q', value_name = "RATE", value_parser = Rates::parse, conflicts_with = "duplex")]
    pub rate: Option<Rates>,

    /// When the messages of an open loop are due
    #[arg(long, value_enum, default_value_t = Arrivals::Even, requires = "rate")]
    pub(crate) arrivals: Arrivals,

    /// Full duplex: keep both directions full, as fast as the sockets take it
    #[arg(long)]
    pub(crate) duplex: bool,

    /// How long to measure [default: 5s, or as long as the steps of --rate]
    #[arg(long, short, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Load before that, which does not count; of an open loop, at its first rate
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_duration)]
    pub warmup: Duration,

    /// Begin the load at this time, in seconds since 1970, so that several machines begin together
    #[arg(long, value_name = "UNIX_SECONDS")]
    pub(crate) start_at: Option<f64>,

    #[command(flatten)]
    pub(crate) gate: GateOptions,

    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputOptions,

    #[command(flatten)]
    pub(crate) live: LiveOptions,

    /// Write the series of the window as CSV, a row a slice
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write the latency distribution as .hgrm text, in microseconds
    #[arg(long, value_name = "FILE")]
    pub(crate) histogram: Option<PathBuf>,

    /// Write an HDR histogram log (V2) of the latency in nanoseconds, a row a slice
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr_log: Option<PathBuf>,
}

impl TrafficOptions {
    /// What messages are.
    pub(crate) fn kinds(&self) -> Kinds {
        let asked = match (self.text, self.binary, self.mixed) {
            (true, _, _) => Some(Kinds::Text),
            (_, true, _) => Some(Kinds::Binary),
            (_, _, true) => Some(Kinds::Mixed),
            _ => None,
        };
        self.exchange.kinds(asked)
    }

    /// How long they are.
    pub(crate) fn sizes(&self) -> Sizes {
        self.exchange.sizes(&self.size)
    }

    /// Refuses what cannot be run. The error says what would be right.
    pub(crate) fn check(&self, protocol: Protocol) -> Result<(), UsageError> {
        at_least_one("connections", self.connections)?;
        at_least_one("fragments", self.fragments)?;
        if self.fragments > FRAGMENTS_MAX {
            return Err(UsageError(format!(
                "--fragments {} is too many; give at most {FRAGMENTS_MAX}",
                self.fragments
            )));
        }
        if let Threads::Count(threads) = self.threads {
            at_least_one("threads", threads)?;
            if threads > self.connections {
                return Err(UsageError(format!(
                    "--threads {threads} is more than --connections {}; each thread needs a connection",
                    self.connections
                )));
            }
        }
        if self.ping_every.is_some_and(|every| every.is_zero()) {
            return Err(UsageError(
                "--ping-every is 0; give a time such as 1s".to_owned(),
            ));
        }
        if protocol == Protocol::Tcp {
            if self.size.bytes_min() == 0 || self.heavy_size == 0 {
                return Err(UsageError(
                    "--size is 0, which a TCP echo cannot answer; give at least 1".to_owned(),
                ));
            }
            if self.fragments > 1 || self.ping_every.is_some() {
                return Err(UsageError(
                    "--fragments and --ping-every are WebSocket's; a TCP echo has neither"
                        .to_owned(),
                ));
            }
        }
        Ok(())
    }
}

/// Refuses a time to begin at that is none, or over.
fn check_start(start_at: f64) -> Result<(), UsageError> {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
    let is_far = start_at - now > START_SECONDS_MAX;
    let wrong = match start_at.is_finite() {
        false => "is no time".to_owned(),
        true if start_at < now => format!("was {:.1} s ago", now - start_at),
        true if is_far => "is more than a thousand years from now".to_owned(),
        true => return Ok(()),
    };
    Err(UsageError(format!(
        "--start-at {start_at} {wrong}; give seconds since 1970, such as {:.0} for in a minute",
        now + 60.0
    )))
}

impl RunOptions {
    /// What `ringload run` takes `words` for. The error is what it would say of them, in one line.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<RunOptions, UsageError> {
        #[derive(Parser)]
        #[command(name = "run", no_binary_name = true)]
        struct Line {
            #[command(flatten)]
            options: RunOptions,
        }
        let line = Line::try_parse_from(words);
        line.map(|line| line.options)
            .map_err(|error| UsageError(first_line(&error)))
    }

    /// Messages in flight of a closed loop.
    pub(crate) fn depth(&self) -> usize {
        self.depth.unwrap_or(1)
    }

    /// Refuses what cannot be run. The error says what would be right.
    pub fn check(&self) -> Result<(), UsageError> {
        let TrafficOptions { exchange, .. } = &self.traffic;
        let protocol = self.target.protocol();
        self.traffic.check(protocol)?;
        exchange.check(protocol, self.traffic.kinds(), self.target.deflate)?;
        if self.traffic.slow_readers > 0 && self.target.urls.iter().any(|url| url.tls) {
            return Err(UsageError(
                "--slow-readers speak no TLS; give ws:// or tcp:// URLs".to_owned(),
            ));
        }
        at_least_one("depth", self.depth())?;
        if self.duration.is_some_and(|duration| duration.is_zero()) {
            return Err(UsageError(
                "--duration is 0; give a time such as 5s".to_owned(),
            ));
        }
        if let Some(start_at) = self.start_at {
            check_start(start_at)?;
        }
        let in_flight = self
            .traffic
            .sizes()
            .bytes_max()
            .saturating_add(MESSAGE_OVERHEAD_BYTES)
            .saturating_mul(self.depth())
            .saturating_mul(self.traffic.connections);
        if in_flight > IN_FLIGHT_BYTES_MAX {
            return Err(UsageError(format!(
                "--connections × --depth × --size is {in_flight} bytes in flight; at most 4GiB"
            )));
        }
        Ok(())
    }
}

//! The command line, and what it means.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::echo::payload::Kind;
use crate::engine::Choice;
use crate::quantity::{CpuList, parse_cpu_list, parse_duration, parse_size};
use crate::target::{Protocol, Target};

/// File descriptors kept for everything that is not a connection.
const SPARE_FDS: u64 = 64;

/// Largest message: fits the 32-bit length of one io_uring send with room for its header.
const SIZE_BYTES_MAX: usize = 1 << 30;

/// Most bytes in flight over all connections: each is held in a send buffer.
const IN_FLIGHT_BYTES_MAX: usize = 4 << 30;

/// A WebSocket load generator that checks every echoed byte.
#[derive(Debug, Parser)]
#[command(name = "ringload", version, about, arg_required_else_help = true)]
pub(crate) struct Options {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Closed loop: every connection keeps DEPTH messages in flight; reports throughput,
    /// latency and CPU time per message
    Run(RunOptions),
    /// Opens connections, holds them idle, and reports the server's memory per connection
    Idle(IdleOptions),
    /// Connect, handshake, one echo, close, over and over; reports connections per second and
    /// the server's CPU time per connection
    Storm(StormOptions),
}

/// Where to connect and what to speak.
#[derive(Args, Debug)]
pub(crate) struct TargetOptions {
    /// ws://HOST:PORT/PATH or tcp://HOST:PORT; HOST is a name, an IPv4 address, or an IPv6 one in brackets
    #[arg(value_parser = Target::parse)]
    pub(crate) url: Target,

    /// What to speak, if not what the URL says: tcp is the RFC 862 echo
    #[arg(long)]
    pub(crate) protocol: Option<Protocol>,
}

impl TargetOptions {
    /// The protocol in force.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol.unwrap_or(self.url.protocol)
    }
}

/// `ringload run`.
#[derive(Args, Debug)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    /// Connections, spread evenly over the threads
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub(crate) connections: usize,

    /// Messages in flight per connection
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) depth: usize,

    /// Payload of a message: 32, 64KiB, 1MiB
    #[arg(long, default_value = "32", value_name = "BYTES", value_parser = parse_size)]
    pub(crate) size: usize,

    /// Text messages: valid UTF-8 with characters of one to four bytes
    #[arg(long, conflicts_with = "binary")]
    pub(crate) text: bool,

    /// Binary messages (the default)
    #[arg(long)]
    pub(crate) binary: bool,

    /// How long to measure
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub(crate) duration: Duration,

    /// Load before that, which does not count
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub(crate) warmup: Duration,

    /// Load threads
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) threads: usize,

    /// Run on these CPUs only, each load thread on one of them: 1 or 0,2-3
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) cpu: Option<CpuList>,

    /// The server's process, for its CPU time and memory
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pid: Option<i32>,

    /// How to move bytes; auto takes io_uring where it works
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub(crate) engine: Choice,

    /// Write the result as JSON; - is standard output, which then gets no table
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the latency distribution as .hgrm text, in microseconds
    #[arg(long, value_name = "FILE")]
    pub(crate) histogram: Option<PathBuf>,

    /// Seed of payloads and masking keys [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Print no progress and no table
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl RunOptions {
    /// What messages are.
    pub(crate) fn kind(&self) -> Kind {
        if self.text { Kind::Text } else { Kind::Binary }
    }

    /// Refuses what cannot be run. The error says what would be right.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        let at_least_one = |name: &str, value: usize| match value {
            0 => Err(UsageError(format!("--{name} is 0; give at least 1"))),
            _ => Ok(()),
        };
        at_least_one("connections", self.connections)?;
        at_least_one("depth", self.depth)?;
        at_least_one("threads", self.threads)?;
        if self.threads > self.connections {
            return Err(UsageError(format!(
                "--threads {} is more than --connections {}; each thread needs a connection",
                self.threads, self.connections
            )));
        }
        if self.duration.is_zero() {
            return Err(UsageError(
                "--duration is 0; give a time such as 5s".to_owned(),
            ));
        }
        if self.size > SIZE_BYTES_MAX {
            return Err(UsageError(format!(
                "--size {} is above the most, 1GiB",
                self.size
            )));
        }
        if self.size == 0 && self.target.protocol() == Protocol::Tcp {
            return Err(UsageError(
                "--size is 0, which a TCP echo cannot answer; give at least 1".to_owned(),
            ));
        }
        let in_flight = self
            .size
            .max(1)
            .saturating_mul(self.depth)
            .saturating_mul(self.connections);
        if in_flight > IN_FLIGHT_BYTES_MAX {
            return Err(UsageError(format!(
                "--connections × --depth × --size is {in_flight} bytes in flight; at most 4GiB"
            )));
        }
        Ok(())
    }
}

/// `ringload idle`.
#[derive(Args, Debug)]
pub(crate) struct IdleOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    /// Connections to open
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) connections: usize,

    /// How long to hold them, once open
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    pub(crate) hold: Duration,

    /// How long to wait at most, once all are closed, for their memory to be given back
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub(crate) settle: Duration,

    /// The server's process
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pid: i32,

    /// Write the result as JSON; - is standard output, which then gets no table
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Seed of payloads and masking keys [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Print no progress and no table
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// `ringload storm`.
#[derive(Args, Debug)]
pub(crate) struct StormOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    /// Connections at a time
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub(crate) connections: usize,

    /// How long to measure
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub(crate) duration: Duration,

    /// Load before that, which does not count
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub(crate) warmup: Duration,

    /// Measure no more than this many visits: each leaves a port in TIME_WAIT for a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) visits: Option<u64>,

    /// Number of the first visit. Towards 127.0.0.0/8 every 20,000 numbers have a source address
    /// of their own, so a storm numbered on from the last one needs none of its ports
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) first_visit: u32,

    /// Run on these CPUs only: 1 or 0,2-3
    #[arg(long, value_name = "LIST", value_parser = parse_cpu_list)]
    pub(crate) cpu: Option<CpuList>,

    /// The server's process, for its CPU time
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) server_pid: Option<i32>,

    /// Write the result as JSON; - is standard output, which then gets no table
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Seed of payloads and masking keys [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Print no table
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// Arguments that cannot be followed: exit status 2.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Raises the soft limit of open files to the hard one and refuses more connections than fit.
pub(crate) fn make_room_for(connections: usize) -> Result<(), UsageError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Raising soft to hard is always allowed; should it fail, the soft limit is what there is.
    let raised = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
    .is_ok();
    let usable = if raised { limit.maximum } else { limit.current };
    let needed = connections as u64 + SPARE_FDS;
    match usable {
        Some(usable) if usable < needed => Err(UsageError(format!(
            "--connections {connections} needs {needed} open files and the limit is {usable}; \
             raise it (ulimit -Hn) or ask for at most {}",
            usable.saturating_sub(SPARE_FDS)
        ))),
        _ => Ok(()),
    }
}

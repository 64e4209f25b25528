//! What a load is asked to be: the arguments that commands share, and those of `ringload run`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches as _, ValueEnum};

use crate::control::Control;
use crate::dial::options::TargetOptions;
use crate::echo::options::ExchangeOptions;
use crate::engine::Choice;
use crate::live::{Live, LiveOptions};
use crate::load::{Threads, allowed_cpus, parse_threads};
use crate::output::gate::GateOptions;
use crate::output::{OutputOptions, check_writable, publish};
use crate::payload::Kinds;
use crate::payload::size::Sizes;
use crate::quantity::{parse_duration, parse_size};
use crate::result::load::{Load, Loop, Message, Rate};
use crate::result::{Document, Status};
use crate::run::place::PlaceArgs;
use crate::run::unix_seconds;
use crate::schedule::{Arrivals, Rates, Timeline};
use crate::target::Protocol;
use crate::usage::{UsageError, at_least_one, first_line, refuse_if};

/// How long is measured if nobody says.
const DURATION: Duration = Duration::from_secs(5);

/// Furthest time to begin at, in seconds from now.
const START_SECONDS_MAX: f64 = 1000.0 * 366.0 * 86_400.0;

/// Most frames that a message may be sent in.
const FRAGMENTS_MAX: usize = 1000;

/// What a message in flight takes beside its payload: its header, and what is remembered of it.
const MESSAGE_OVERHEAD_BYTES: usize = 48;

/// Most bytes in flight over all connections: each is held in a send buffer.
const IN_FLIGHT_BYTES_MAX: usize = 4 << 30;

/// When what is due, and how far apart.
pub(crate) type Schedule = (Arc<Timeline>, Arrivals);

/// What every command takes that loads a server.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
    #[command(flatten)]
    pub(crate) target: TargetOptions,

    /// Connections, spread evenly over the threads; of churn, those at a time
    #[arg(long, short, default_value_t = 64, value_name = "N")]
    pub connections: usize,

    /// Payload of a message: 32, 64KiB; a list 32,1KiB,64KiB (each as likely as the others); a range
    /// 16..4KiB; log-normal:MEDIAN,SIGMA; or file:PATH with a size in each line, drawn at random
    #[arg(long, default_value = "32", value_name = "SIZE", value_parser = Sizes::parse, conflicts_with = "message")]
    pub size: Sizes,

    #[command(flatten)]
    pub(crate) exchange: ExchangeOptions,

    /// Load threads; auto is one for each CPU that may be used
    #[arg(long, short, default_value = "auto", value_name = "N|auto", value_parser = parse_threads)]
    pub(crate) threads: Threads,

    /// Seed of all that is random: payloads, sizes, masking keys, Poisson arrivals [default: from the kernel]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// When there is load, and how much of it at a rate.
#[derive(Args, Clone, Debug)]
pub struct TimingArgs {
    /// Open loop: messages (of churn, sessions) per second over all connections, whatever the server does: 50k; a
    /// ramp 1k..50k/30s; steps 1k/10s,2k/10s. Latency then counts from when each was due
    #[arg(long, short = 'q', value_name = "RATE", value_parser = Rates::parse)]
    pub rate: Option<Rates>,

    /// When those of an open loop are due
    #[arg(long, value_enum, default_value_t = Arrivals::Even, requires = "rate")]
    pub(crate) arrivals: Arrivals,

    /// How long to measure [default: 5s, or as long as the steps of --rate]
    #[arg(long, short, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Load before that, which does not count; of an open loop, at its first rate
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_duration)]
    pub warmup: Duration,
}

/// What messages are beside their size, and what presses beside them.
#[derive(Args, Clone, Debug)]
pub struct TrafficArgs {
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

    /// Make a connection again that ends before its time, which would end the load; what was in flight on it
    /// counts as unanswered
    #[arg(long)]
    pub(crate) reconnect: bool,

    /// How to move bytes; auto takes io_uring where it works
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub engine: Choice,
}

/// What decides when a message is sent where there is no schedule.
#[derive(Args, Clone, Debug, Default)]
pub struct LoopArgs {
    /// Closed loop: messages in flight per connection [default: 1]
    #[arg(long, alias = "depth", value_name = "N", conflicts_with_all = ["rate", "duplex"])]
    pub in_flight: Option<usize>,

    /// Full duplex: keep both directions full, as fast as the sockets take it
    #[arg(long, conflicts_with = "rate")]
    pub(crate) duplex: bool,
}

/// What is asked of the result, who gets it, and what is shown meanwhile: of every command that measures one server.
#[derive(Args, Clone, Debug)]
pub struct ReportOptions {
    #[command(flatten)]
    pub(crate) gate: GateOptions,

    /// Where the result goes.
    #[command(flatten)]
    pub output: OutputOptions,

    #[command(flatten)]
    pub(crate) live: LiveOptions,
}

/// How closely replies are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// Every byte.
    Full,
    /// Every byte of one message in sixteen, of the others the length.
    Sample,
}

/// `ringload run`.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    /// Where to, over how many connections.
    #[command(flatten)]
    pub load: LoadArgs,

    /// What is sent.
    #[command(flatten)]
    pub traffic: TrafficArgs,

    /// How much at a time.
    #[command(flatten)]
    pub pace: LoopArgs,

    /// For how long.
    #[command(flatten)]
    pub timing: TimingArgs,

    /// By whom, and who is observed.
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Begin the load at this time, in seconds since 1970, so that several machines begin together
    #[arg(long, value_name = "UNIX_SECONDS")]
    pub(crate) start_at: Option<f64>,

    /// Who is told.
    #[command(flatten)]
    pub report: ReportOptions,

    #[command(flatten)]
    pub(crate) files: FileOptions,
}

/// Files of a run beside its result.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FileOptions {
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

impl LoadArgs {
    /// How long messages are.
    pub(crate) fn sizes(&self) -> Sizes {
        self.exchange.sizes(&self.size)
    }

    /// How many load threads: no more than there are connections, if it is for us to say.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            Threads::Count(threads) => threads,
            Threads::Auto => allowed_cpus().clamp(1, self.connections),
        }
    }

    /// What the result tells of it: messages of `kinds`.
    pub(crate) fn describe(&self, kinds: Kinds, seed: u64) -> Load {
        let (exchange, sizes) = (&self.exchange, self.sizes());
        let urls = self.target.urls.iter();
        let verify = if exchange.expect.is_exact() {
            "full"
        } else {
            "none"
        };
        Load {
            urls: urls.map(|target| target.url.clone()).collect(),
            protocol: self.target.protocol().to_string(),
            connections: self.connections,
            message: Message {
                kind: kinds.name().to_owned(),
                size: sizes.text().to_owned(),
                bytes_min: sizes.bytes_min(),
                bytes_max: sizes.bytes_max(),
                given: exchange.message.as_ref().map(|it| it.text().to_owned()),
                expect: exchange.expect.to_string(),
                fragments: 1,
                verify: verify.to_owned(),
            },
            threads: self.threads(),
            seed,
            ..Load::default()
        }
    }

    /// Refuses what cannot be: messages of `kinds`, so many of them in flight per connection. The error says what
    /// would be right.
    pub(crate) fn check(&self, kinds: Kinds, in_flight: usize) -> Result<(), UsageError> {
        at_least_one("connections", self.connections)?;
        at_least_one("in-flight", in_flight)?;
        if let Threads::Count(threads) = self.threads {
            at_least_one("threads", threads)?;
            let connections = self.connections;
            let why = format!(
                "--threads {threads} is more than --connections {connections}; each thread needs one"
            );
            refuse_if(threads > connections, why)?;
        }
        let (protocol, deflate) = (self.target.protocol(), self.target.deflate);
        self.exchange.check(protocol, kinds, deflate)?;
        let is_nothing = protocol == Protocol::Tcp && self.size.bytes_min() == 0;
        let why = "--size is 0, which a TCP echo cannot answer; give at least 1";
        refuse_if(is_nothing, why)?;
        let each = self.sizes().bytes_max() + MESSAGE_OVERHEAD_BYTES;
        let bytes = each
            .saturating_mul(in_flight)
            .saturating_mul(self.connections);
        let why = format!(
            "--connections × --in-flight × --size is {bytes} bytes in flight; at most 4GiB"
        );
        refuse_if(bytes > IN_FLIGHT_BYTES_MAX, why)
    }
}

impl ReportOptions {
    /// Refuses what `command` has no figures for, and files that cannot be written.
    pub(crate) fn check(&self, command: &str) -> Result<(), UsageError> {
        self.gate.check(command)?;
        self.output.json.as_deref().map_or(Ok(()), check_writable)
    }

    /// Judges the document and hands it to whoever asked for it; says how the command ended.
    pub(crate) fn publish(&self, document: &mut Document) -> anyhow::Result<Status> {
        publish(document, &self.gate, &self.output)?;
        Ok(document.status)
    }

    /// Shows what is going on, as [`Live::new`] does.
    pub(crate) fn live(&self, control: Option<&Arc<Control>>) -> anyhow::Result<Live> {
        Live::new(self.output.quiet, &self.live, control)
    }
}

impl TimingArgs {
    /// How long to measure.
    pub(crate) fn duration(&self) -> Duration {
        let steps = self.rate.as_ref().and_then(Rates::length);
        self.duration.or(steps).unwrap_or(DURATION)
    }

    /// The schedule of an open loop.
    pub(crate) fn schedule(&self) -> Option<Schedule> {
        let rates = self.rate.as_ref()?;
        Some((Arc::new(rates.timeline(self.warmup)), self.arrivals))
    }

    /// The same load, with what the result tells of when it was.
    pub(crate) fn describe(&self, load: Load) -> Load {
        let rate = self.rate.as_ref().map(|rates| Rate {
            text: rates.text().to_owned(),
            arrivals: self.arrivals.name().to_owned(),
        });
        let loop_kind = rate.as_ref().map_or(Loop::Closed, |_| Loop::Open);
        Load {
            rate,
            loop_kind,
            warmup_seconds: self.warmup.as_secs_f64(),
            duration_seconds: self.duration().as_secs_f64(),
            ..load
        }
    }

    /// Refuses to measure for no time at all.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        not_zero("duration", self.duration())
    }
}

/// Refuses a length of time that is none.
pub(crate) fn not_zero(name: &str, time: Duration) -> Result<(), UsageError> {
    let why = format!("--{name} is 0; give a time such as 5s");
    refuse_if(time.is_zero(), why)
}

impl TrafficArgs {
    /// What messages are, where `load` may have one of its own.
    pub(crate) fn kinds(&self, load: &LoadArgs) -> Kinds {
        let asked = match (self.text, self.binary, self.mixed) {
            (true, _, _) => Some(Kinds::Text),
            (_, true, _) => Some(Kinds::Binary),
            (_, _, true) => Some(Kinds::Mixed),
            _ => None,
        };
        load.exchange.kinds(asked)
    }

    /// Refuses what cannot be sent so. The error says what would be right.
    pub(crate) fn check(&self, load: &LoadArgs) -> Result<(), UsageError> {
        let fragments = self.fragments;
        at_least_one("fragments", fragments)?;
        let why = format!("--fragments {fragments} is too many; give at most {FRAGMENTS_MAX}");
        refuse_if(fragments > FRAGMENTS_MAX, why)?;
        not_zero("ping-every", self.ping_every.unwrap_or(DURATION))?;
        let is_slow_tls = self.slow_readers > 0 && load.target.urls.iter().any(|url| url.tls);
        let why = "--slow-readers speak no TLS; give ws:// or tcp:// URLs";
        refuse_if(is_slow_tls, why)?;
        let is_tcp = load.target.protocol() == Protocol::Tcp;
        let why = "--heavy-size is 0, which a TCP echo cannot answer; give at least 1";
        refuse_if(is_tcp && self.heavy_size == 0, why)?;
        let is_framed = fragments > 1 || self.ping_every.is_some();
        let why = "--fragments and --ping-every are WebSocket's; a TCP echo has neither";
        refuse_if(is_tcp && is_framed, why)
    }
}

/// Refuses a time to begin at that is none, or over.
fn check_start(start_at: f64) -> Result<(), UsageError> {
    let now = unix_seconds();
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
    /// A run that another command makes: quiet, and with no files of its own.
    pub(crate) fn within(
        load: LoadArgs,
        traffic: TrafficArgs,
        pace: LoopArgs,
        timing: TimingArgs,
        place: PlaceArgs,
    ) -> RunOptions {
        RunOptions {
            load,
            traffic,
            pace,
            timing,
            place,
            start_at: None,
            report: ReportOptions {
                gate: GateOptions::default(),
                output: OutputOptions {
                    json: None,
                    quiet: true,
                },
                live: LiveOptions::default(),
            },
            files: FileOptions::default(),
        }
    }

    /// What `ringload run` takes `words` for. The error is what it would say of them, in one line.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<RunOptions, UsageError> {
        let command = RunOptions::augment_args(Command::new("run").no_binary_name(true));
        let matches = command.try_get_matches_from(words);
        let options = matches.and_then(|matches| RunOptions::from_arg_matches(&matches));
        options.map_err(|error| UsageError(first_line(&error)))
    }

    /// Messages in flight of a closed loop.
    pub(crate) fn in_flight(&self) -> usize {
        self.pace.in_flight.unwrap_or(1)
    }

    /// Refuses what cannot be run. The error says what would be right.
    pub fn check(&self) -> Result<(), UsageError> {
        self.load
            .check(self.traffic.kinds(&self.load), self.in_flight())?;
        self.traffic.check(&self.load)?;
        self.timing.check()?;
        self.start_at.map_or(Ok(()), check_start)
    }
}

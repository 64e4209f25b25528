//! From what was said to what is meant: text in, a [`Config`] out.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::admin::{admin, log_filter, told};
use super::drain::goodbye;
use super::guests::guests;
use super::http::http;
use super::layers::{Given, Layers, Level};
use super::listen::{Listen, listen};
use super::policy::policy;
use super::tls::tls;
use super::units::{Refusal, duration, size};
use crate::engine::UringTuning;

use super::{Config, ConfigError, EngineChoice, EngineName, LogFormat, Protocol, SUCCEED_VARIABLE};

/// More threads than any machine has CPUs for.
const WORKERS_MAX: usize = 1024;

/// What a worker needs to hold frames for a few peers: fifteen slabs.
const BUFFER_MEMORY_BYTES_PER_WORKER_MIN: usize = 256 * 1024;

/// No machine spares more; a larger number is a slip of the unit.
const BUFFER_MEMORY_BYTES_MAX: u64 = 1 << 40;

/// The longest provided buffer ring (Linux, `io_uring_register_buf_ring(3)`).
const RING_BUFFERS_MAX: u32 = 32_768;

/// The longest submission queue: the rings of many workers have to fit into a small limit on locked
/// memory, and a full queue costs one more system call.
const RING_ENTRIES_MAX: u32 = 512;

/// The kernel counts in microseconds.
const MIN_WAIT_MIN: Duration = Duration::from_micros(1);

/// No peer should wait longer than this for others to be answered with it.
const MIN_WAIT_MAX: Duration = Duration::from_millis(10);

/// What a buffer may have, in bytes, a ring's or a socket's: the least takes a request head, the most is more than any
/// worker's cache.
const BUFFER_BYTES: std::ops::RangeInclusive<u64> = 1024..=16 << 20;

/// `TCP_CA_NAME_MAX` without its terminating zero.
const CONGESTION_CONTROL_BYTES_MAX: usize = 15;

/// What the machine allows. An argument, so that a test can be any machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    /// How many threads can run at once: the CPUs of the affinity mask, or fewer by a quota.
    pub(super) parallelism: NonZeroUsize,
    /// The CPUs of the affinity mask; zero: unknown.
    pub(super) cpus_allowed: usize,
    /// Whether somebody else opens sockets for this process, which may be for TLS: a service manager, or the process
    /// before this one.
    pub(super) has_sockets: bool,
}

impl Machine {
    /// The one this runs on.
    pub(super) fn this() -> Self {
        Machine {
            parallelism: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cpus_allowed: rustix::thread::sched_getaffinity(None)
                .map_or(0, |mask| mask.count() as usize),
            has_sockets: ["LISTEN_FDS", SUCCEED_VARIABLE]
                .iter()
                .any(|variable| std::env::var_os(variable).is_some()),
        }
    }
}

/// Reads every option.
pub(super) fn config(layers: &Layers, machine: Machine) -> Result<Config, ConfigError> {
    let say = Said(layers);
    let workers = say
        .required("workers")
        .read(|text| workers(text, machine))?;
    let listen = addresses(say.required("listen"))?;
    let drain_timeout = say.required("drain-timeout").read(duration)?;
    let config = Config {
        tls: tls(&say, &listen, machine.has_sockets)?,
        listen,
        listen_is_named: say.required("listen").level > Level::Default,
        engine: say.required("engine").read(|text| choice(text, &ENGINES))?,
        workers,
        balance: say
            .required("balance")
            .read(|text| choice(text, &ON_OR_OFF))?,
        pin: pin(&say, workers, machine)?,
        protocol: say
            .required("protocol")
            .read(|text| choice(text, &PROTOCOLS))?,
        http: http(&say)?,
        connections_max: say.required("max-connections").read(connections)?,
        drain_timeout,
        drain_delay: say.required("drain-delay").read(duration)?,
        goodbye: goodbye(&say, drain_timeout)?,
        buffer_memory_bytes: say
            .required("buffer-memory")
            .read(|text| buffer_memory(text, workers))?,
        uring: uring(&say)?,
        congestion_control: say.optional("congestion-control", congestion_control)?,
        socket_buffer_bytes: say.required("socket-buffers").read(buffer_bytes)?,
        log_format: say
            .required("log-format")
            .read(|text| choice(text, &LOG_FORMATS))?,
        log_filter: say.required("log-filter").read(log_filter)?,
        access_log: say
            .required("access-log")
            .read(|text| choice(text, &ON_OR_OFF))?,
        admin: admin(&say)?,
        said: super::Said(told(layers)),
        policy: policy(&say)?,
        guests: guests(&say)?,
    };
    match config.protocol {
        Protocol::WebSocket => Ok(config),
        Protocol::Tcp => plain(&say, config),
    }
}

/// What was said, by option.
pub(super) struct Said<'a>(&'a Layers);

impl<'a> Said<'a> {
    pub(super) fn get(&self, option: &str) -> Option<&'a Given> {
        self.0.get(option)
    }

    /// Of an option with a default, which is what was said at the lowest level.
    pub(super) fn required(&self, option: &str) -> &'a Given {
        self.get(option)
            .expect("options.rs gives this option a default")
    }

    fn optional<T>(
        &self,
        option: &str,
        meaning: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Result<Option<T>, ConfigError> {
        self.get(option)
            .map(|given| given.read(meaning))
            .transpose()
    }

    pub(super) fn switch(&self, option: &str) -> Result<Option<bool>, ConfigError> {
        self.optional(option, |text| choice(text, &SWITCH))
    }
}

const ENGINES: [(&str, EngineChoice); 4] = [
    ("auto", EngineChoice::Auto),
    ("uring", EngineChoice::Named(EngineName::Uring)),
    ("epoll", EngineChoice::Named(EngineName::Epoll)),
    ("tokio-uring", EngineChoice::Named(EngineName::TokioUring)),
];
const PROTOCOLS: [(&str, Protocol); 2] =
    [("websocket", Protocol::WebSocket), ("tcp", Protocol::Tcp)];
const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
const INCREMENTAL: [(&str, Option<bool>); 3] =
    [("auto", None), ("on", Some(true)), ("off", Some(false))];
pub(super) const ON_OR_OFF: [(&str, bool); 2] = [("on", true), ("off", false)];
const SWITCH: [(&str, bool); 8] = [
    ("true", true),
    ("false", false),
    ("yes", true),
    ("no", false),
    ("on", true),
    ("off", false),
    ("1", true),
    ("0", false),
];

/// One of a few words.
pub(super) fn choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Refusal> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let (last, others) = known.split_last().expect("a choice has words");
            Refusal::new(
                "is none of its values",
                format!("write {} or {last}", others.join(", ")),
            )
        })
}

/// A whole number above zero.
fn count(text: &str, remedy: &str) -> Result<NonZeroUsize, Refusal> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let problem = match error.kind() {
            std::num::IntErrorKind::Zero => "is not above zero",
            std::num::IntErrorKind::PosOverflow => "is too large",
            _ => "is not a whole number above zero",
        };
        Refusal::new(problem, remedy)
    })
}

fn addresses(given: &Given) -> Result<Vec<Listen>, ConfigError> {
    let texts = given.words()?;
    if texts.is_empty() {
        let remedy = "list one such as \"127.0.0.1:3000\", or leave it out";
        return Err(ConfigError::new(
            given.source.as_str(),
            "lists no address",
            remedy,
        ));
    }
    listen(texts).map_err(|(value, refusal)| given.refuse(&value, refusal))
}

fn workers(text: &str, machine: Machine) -> Result<NonZeroUsize, Refusal> {
    const REMEDY: &str = "write a number from 1 to 1024, or auto";
    let auto = || {
        machine
            .parallelism
            .min(NonZeroUsize::new(WORKERS_MAX).expect("not zero"))
    };
    match text {
        "auto" => Ok(auto()),
        _ => match count(text, REMEDY)? {
            many if many.get() > WORKERS_MAX => Err(Refusal::new("is too large", REMEDY)),
            some => Ok(some),
        },
    }
}

/// Pinned by default only where there are as many workers as CPUs in the mask, and several. Then
/// each CPU gets its own worker, and caches stay warm. Fewer workers would choose CPUs blindly:
/// under a quota of two CPUs on a large machine, every container would sit on the first two.
fn pin(say: &Said<'_>, workers: NonZeroUsize, machine: Machine) -> Result<bool, ConfigError> {
    let pin = say.switch("pin")?;
    let excess = machine.cpus_allowed > 0 && workers.get() > machine.cpus_allowed;
    match say.get("pin").filter(|_| excess && pin == Some(true)) {
        Some(given) => Err(ConfigError::new(
            given.source.as_str(),
            format!(
                "{workers} workers do not fit on {} CPUs one by one",
                machine.cpus_allowed
            ),
            "use fewer workers, or --no-pin",
        )),
        None => Ok(pin.unwrap_or(workers.get() > 1 && workers.get() == machine.cpus_allowed)),
    }
}

fn connections(text: &str) -> Result<Option<NonZeroUsize>, Refusal> {
    match text {
        "unlimited" => Ok(None),
        _ => count(text, "write a number such as 10000, or unlimited").map(Some),
    }
}

fn buffer_memory(text: &str, workers: NonZeroUsize) -> Result<usize, Refusal> {
    let bytes = size(text)?;
    let least = workers
        .get()
        .saturating_mul(BUFFER_MEMORY_BYTES_PER_WORKER_MIN);
    match usize::try_from(bytes) {
        Ok(few) if few < least => Err(Refusal::new(
            format!("is too little for {workers} workers"),
            format!("write at least {}KiB", least / 1024),
        )),
        Ok(enough) if bytes <= BUFFER_MEMORY_BYTES_MAX => Ok(enough),
        _ => Err(Refusal::new("is too large", "write at most 1TiB")),
    }
}

fn uring(say: &Said<'_>) -> Result<UringTuning, ConfigError> {
    Ok(UringTuning {
        buffers: say.required("uring-buffers").read(|text| match text {
            "auto" => Ok(None),
            _ => power_of_two(text, RING_BUFFERS_MAX, ", or auto")
                .map(|count| u16::try_from(count).ok()),
        })?,
        buffer_bytes: say.required("uring-buffer-size").read(buffer_bytes)?,
        incremental: say
            .required("uring-incremental")
            .read(|text| choice(text, &INCREMENTAL))?,
        entries: say
            .required("uring-entries")
            .read(|text| power_of_two(text, RING_ENTRIES_MAX, ""))?,
        min_wait: say
            .required("uring-min-wait")
            .read(|text| match duration(text)? {
                wait if wait > MIN_WAIT_MAX => {
                    Err(Refusal::new("is too long", "write at most 10ms, or 0"))
                }
                wait if !wait.is_zero() && wait < MIN_WAIT_MIN => {
                    Err(Refusal::new("is too short", "write at least 1us, or 0"))
                }
                wait => Ok(wait),
            })?,
    })
}

fn power_of_two(text: &str, max: u32, otherwise: &str) -> Result<u32, Refusal> {
    let remedy = format!("write a power of two from 1 to {max}{otherwise}");
    match text.parse::<u32>() {
        Ok(entries) if entries > max => Err(Refusal::new("is too large", remedy)),
        Ok(entries) if entries.is_power_of_two() => Ok(entries),
        _ => Err(Refusal::new("is not a power of two", remedy)),
    }
}

/// The size of a buffer; none: that is left to whoever makes it.
fn buffer_bytes(text: &str) -> Result<Option<u32>, Refusal> {
    if text == "auto" {
        return Ok(None);
    }
    let bytes = size(text)?;
    match u32::try_from(bytes) {
        Ok(fit) if BUFFER_BYTES.contains(&bytes) => Ok(Some(fit)),
        _ => Err(Refusal::new(
            "is out of range",
            "write a size from 1KiB to 16MiB, or auto",
        )),
    }
}

/// Only the form: whether the kernel has it is seen when a listener asks for it.
fn congestion_control(text: &str) -> Result<String, Refusal> {
    let formed = text.len() <= CONGESTION_CONTROL_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    match formed {
        true => Ok(text.to_owned()),
        false => Err(Refusal::new(
            "is no name of a congestion control",
            "write one that `sysctl net.ipv4.tcp_available_congestion_control` lists",
        )),
    }
}

/// Without WebSocket there are no messages to limit, greet or prefix. To drop such a wish silently
/// would let an operator believe in it.
fn plain(say: &Said<'_>, config: Config) -> Result<Config, ConfigError> {
    let policy = &config.policy;
    let wishes = [
        ("greeting", policy.greeting.is_some()),
        ("prefix", policy.prefix.is_some()),
        (
            "subprotocol",
            say.required("subprotocol").level > Level::Default && !policy.subprotocols.is_empty(),
        ),
        ("max-message-size", policy.message_bytes_max.is_some()),
    ];
    let wish = wishes.into_iter().find(|(_, wished)| *wished);
    match wish
        .map(|(option, _)| option)
        .or(config.guests.needs_http())
    {
        None => Ok(Config {
            http: None,
            ..config
        }),
        Some(option) => {
            let taught = say
                .get("tutorial")
                .filter(|_| matches!(option, "greeting" | "prefix"));
            let own = say
                .get(option)
                .filter(|own| taught.is_none_or(|it| own.level >= it.level));
            let culprit = own.or(taught).map_or(option, |given| given.source.as_str());
            Err(ConfigError::new(
                culprit,
                format!("does not go with {} tcp", say.required("protocol").source),
                "leave out one of the two",
            ))
        }
    }
}

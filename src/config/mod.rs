//! What the operator wants: flags over variables over a file over defaults, read into a [`Config`].
//!
//! In two steps. `options` and `layers` collect what was said, as text, and from where; `meaning`,
//! with `units` and `listen`, reads it. Every mistake ends in one [`ConfigError`], which names the
//! flag, the variable or the key of the file. Nothing here opens a socket; whether an address is
//! free or the kernel knows a congestion control is seen by those who ask for it, with a
//! `ConfigError` of their own.
#![forbid(unsafe_code)]

mod admin;
mod drain;
mod error;
mod file;
mod guests;
mod http;
mod layers;
mod listen;
mod meaning;
mod options;
mod papers;
mod ping;
mod policy;
mod tls;
mod units;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use crate::admin::{Address, Told};
use crate::engine::{Goodbye, UringTuning};
use crate::http::Settings;
use crate::log::Filter;
use crate::ping::Plan;
use crate::protocol::Policy;

pub use error::ConfigError;
pub use guests::Guests;
pub use listen::Listen;
pub use options::{OptionRow, option_table};
pub use tls::{Certificates, NamedFile, Pair, Tls};

/// The variable by which a process tells its successor how to reach it. It is no option.
pub const SUCCEED_VARIABLE: &str = "RINGBACK_SUCCEED";

/// What Ringback was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Serve(Box<Config>),
    /// Tell how a running server is.
    Status {
        /// Where its admin listener is.
        address: Address,
        /// As JSON rather than as text.
        json: bool,
    },
    /// Tell what this machine can do, without listening.
    Probe {
        /// As JSON rather than as text.
        json: bool,
    },
    /// Ask an echo server whether it echoes.
    Ping(Box<Plan>),
    /// Write this: completions for a shell, or a manual page.
    Print(Vec<u8>),
}

/// Everything that can be decided about a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The addresses to listen on: at least one, none twice.
    pub listen: Vec<Listen>,
    /// Whether somebody has named them, rather than nobody any.
    pub listen_is_named: bool,
    /// How the kernel is asked.
    pub engine: EngineChoice,
    /// Threads that serve.
    pub workers: NonZeroUsize,
    /// Whether each worker serves its fair share of the connections, whoever accepted them.
    pub balance: bool,
    /// Whether each worker stays on a CPU of its own. By default where there is one worker for
    /// every CPU of the affinity mask, and more than one.
    pub pin: bool,
    /// What is spoken.
    pub protocol: Protocol,
    /// Ordinary HTTP on the same ports, if it is answered, which only [`Protocol::WebSocket`] can tell apart.
    pub http: Option<Settings>,
    /// What TLS is spoken with, where an address is to speak it.
    pub tls: Option<Tls>,
    /// Connections served at once, over all workers; none: as many as there are file descriptors.
    pub connections_max: Option<NonZeroUsize>,
    /// How long connections may take to finish once the server goes down.
    pub drain_timeout: Duration,
    /// How long the server says that it is not ready, and serves, before it goes down.
    pub drain_delay: Duration,
    /// How peers are told that it goes down.
    pub goodbye: Goodbye,
    /// What all connections of all workers together may keep in memory while they wait for slow
    /// peers or for the rest of a frame, in bytes.
    pub buffer_memory_bytes: usize,
    /// How the io_uring engine is sized.
    pub uring: UringTuning,
    /// The TCP congestion control, by the kernel's name for it; none: the system's choice. Its form
    /// is right; whether the kernel has it is not known yet.
    pub congestion_control: Option<String>,
    /// What the kernel may keep of each connection in each direction, in bytes; none: the kernel's choice.
    pub socket_buffer_bytes: Option<u32>,
    /// The form of the log.
    pub log_format: LogFormat,
    /// What of the log is wanted.
    pub log_filter: Filter,
    /// Whether the log has a line for every connection and every request of HTTP.
    pub access_log: bool,
    /// Where the operator can ask how things stand, if anywhere.
    pub admin: Option<Address>,
    /// Every option, as the operator is told it.
    pub said: Said,
    /// The limits and manners of every session. Who may come is not in it yet.
    pub policy: Policy,
    /// Who may come, and how much each may send.
    pub guests: Guests,
}

/// What the operator said of each option, and where. Two configurations are the same whoever said them.
#[derive(Clone, Debug, Default)]
pub struct Said(pub Vec<Told>);

impl PartialEq for Said {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Said {}

/// Which engine was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineChoice {
    /// The first that works.
    Auto,
    /// This one or none.
    Named(EngineName),
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineName {
    /// Raw io_uring.
    Uring,
    /// Readiness by epoll.
    Epoll,
    /// The tokio-uring runtime.
    TokioUring,
}

impl EngineName {
    /// The word for it on the command line and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            EngineName::Uring => "uring",
            EngineName::Epoll => "epoll",
            EngineName::TokioUring => "tokio-uring",
        }
    }
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// WebSocket (RFC 6455).
    WebSocket,
    /// Bytes back as they come (RFC 862).
    Tcp,
}

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Why [`parse`] has no [`Command`].
#[derive(Debug)]
pub enum ParseStop {
    /// Help or version was asked for: print it and exit with status 0.
    Show(clap::Error),
    /// The operator has to change something.
    Error(ConfigError),
}

impl From<ConfigError> for ParseStop {
    fn from(error: ConfigError) -> Self {
        ParseStop::Error(error)
    }
}

/// Reads the process's arguments, its `RINGBACK_*` variables and the file they name. Where help or
/// the version is asked for, prints it and exits.
///
/// # Errors
///
/// The first mistake found, as the operator should read it. Exit status 2 is its custom.
pub fn from_process() -> Result<Command, ConfigError> {
    match parse(std::env::args_os(), &environment()?, file::read) {
        Ok(command) => Ok(command),
        Err(ParseStop::Error(error)) => Err(error),
        Err(ParseStop::Show(text)) => text.exit(),
    }
}

/// The variables that may be ours, as text.
fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    std::env::vars_os()
        .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"RINGBACK_"))
        .map(
            |(name, value)| match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => Ok((name, value)),
                (name, _) => Err(ConfigError::new(
                    name.unwrap_or_else(|name| name.to_string_lossy().into_owned()),
                    "is not UTF-8",
                    "write UTF-8 text",
                )),
            },
        )
        .collect()
}

/// Reads arguments, the program's name first; the variables of `environment` whose names start with
/// `RINGBACK_`; and, by `read_file`, the file they name. `probe` looks at neither variables nor
/// file.
///
/// # Errors
///
/// [`ParseStop::Show`] with the text of `--help` or `--version`; [`ParseStop::Error`] with the
/// first mistake found.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: &[(String, String)],
    read_file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Command, ParseStop> {
    parse_on(meaning::Machine::this(), args, environment, read_file)
}

fn parse_on(
    machine: meaning::Machine,
    args: impl IntoIterator<Item = OsString>,
    environment: &[(String, String)],
    read_file: impl Fn(&Path) -> io::Result<String>,
) -> Result<Command, ParseStop> {
    let matches = options::matches(args)?;
    let serve = match matches.subcommand() {
        Some(("probe", probe)) => {
            return Ok(Command::Probe {
                json: probe.get_flag("json"),
            });
        }
        Some(("status", status)) => return Ok(admin::status(status, environment)?),
        Some(("ping", ping)) => return Ok(Command::Ping(Box::new(ping::plan(ping)?))),
        Some(("completions", said)) => {
            let shell = said.get_one::<String>("shell").map_or("", String::as_str);
            return Ok(Command::Print(papers::completions(shell)?));
        }
        Some(("man", said)) => {
            let of = said.get_one::<String>("command").map(String::as_str);
            return Ok(Command::Print(papers::manual(of)?));
        }
        Some((_, serve)) => serve,
        None => &matches,
    };
    let layers = layers::gather(serve, environment, read_file)?;
    Ok(Command::Serve(Box::new(meaning::config(&layers, machine)?)))
}

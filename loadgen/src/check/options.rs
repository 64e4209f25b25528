//! `ringload check`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::dial::options::TlsOptions;
use crate::observe::process::resident_bytes;
use crate::output::{check_file, check_writable};
use crate::quantity::parse_duration;
use crate::target::{Protocol, Target};
use crate::usage::{UsageError, at_least_one};

/// `ringload check`.
#[derive(Args, Clone, Debug)]
pub struct CheckOptions {
    /// An echo server: ws://HOST:PORT/PATH or wss://...
    #[arg(value_parser = Target::parse, required_unless_present = "list", value_name = "URL")]
    pub(crate) url: Option<Target>,

    #[command(flatten)]
    pub(crate) tls: TlsOptions,

    /// Only the cases with this in their name: close/, utf8/overlong; * stands for anything; repeatable
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Vec<String>,

    /// Name the cases and what each rests on, and check nothing
    #[arg(long)]
    pub(crate) list: bool,

    /// How long one thing is waited for: an answer, an echo, the end of the stream
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Duration,

    /// How long a server may bear with a client that is slow or silent, and how soon it must serve others
    /// whatever one client does
    #[arg(long, default_value = "15s", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) patience: Duration,

    /// The server's process, for its memory and that of the processes that it started
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: Option<i32>,

    /// Cases at a time; those that strain the server run alone
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub(crate) jobs: usize,

    /// Show all cases, not only those that did not pass
    #[arg(long, short)]
    pub(crate) verbose: bool,

    /// Write the result as JSON to this file; - is standard output, which then gets no table
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the result as JUnit's XML to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Write the result as a page to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

impl CheckOptions {
    /// Refuses what cannot be run. The error says what would be right.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        at_least_one("jobs", self.jobs)?;
        for (name, time) in [("timeout", self.timeout), ("patience", self.patience)] {
            if time.is_zero() {
                return Err(UsageError(format!("--{name} is 0; give a time such as 5s")));
            }
        }
        if let Some(pid) = self.pid {
            resident_bytes(pid).map_err(|error| {
                UsageError(format!(
                    "--pid {pid}: {error}; give a process that runs here"
                ))
            })?;
        }
        for file in [&self.junit, &self.html].into_iter().flatten() {
            check_file(file)?;
        }
        if let Some(url) = &self.url {
            if url.protocol == Protocol::Tcp {
                return Err(UsageError(format!(
                    "{} is no WebSocket; give a ws:// or wss:// URL",
                    url.url
                )));
            }
            self.tls.check(url.tls)?;
        }
        self.json.as_deref().map_or(Ok(()), check_writable)
    }
}

//! Loads for those who write their load tests in Rust.

use std::fmt::Display;
use std::time::Duration;

use anyhow::Context;

use crate::interrupt::Interrupt;
use crate::result::Document;
use crate::run::{complete, options::RunOptions};

/// A load on a server, as `ringload run` makes it: 64 connections with one message in flight each for five seconds,
/// unless told otherwise.
///
/// Nothing is checked before [`Load::run`], which refuses what cannot be run as the command does.
#[derive(Clone, Debug)]
pub struct Load {
    /// The command's arguments.
    words: Vec<String>,
}

impl Load {
    /// On a server: `ws://`, `wss://` or, for a bare echo, `tcp://`.
    pub fn to(url: impl Into<String>) -> Load {
        Load {
            words: vec!["--quiet".to_owned(), url.into()],
        }
    }

    /// Connections, spread over the threads.
    pub fn connections(self, count: usize) -> Load {
        self.option("connections", count)
    }

    /// Closed loop: messages in flight on each connection.
    pub fn in_flight(self, count: usize) -> Load {
        self.option("in-flight", count)
    }

    /// Open loop: messages per second over all connections, whatever the server does. A number, or a ramp such as
    /// `"1k..50k/30s"`.
    pub fn rate(self, rate: impl Display) -> Load {
        self.option("rate", rate)
    }

    /// Payload of a message in bytes.
    pub fn message_size(self, bytes: usize) -> Load {
        self.option("size", bytes)
    }

    /// Load before the window, which does not count.
    pub fn warmup(self, time: Duration) -> Load {
        self.option("warmup", seconds(time))
    }

    /// How long to measure.
    pub fn duration(self, time: Duration) -> Load {
        self.option("duration", seconds(time))
    }

    /// A process of the server, for its CPU time and memory and those of the processes that it started.
    pub fn server_pid(self, pid: u32) -> Load {
        self.option("server-pid", pid)
    }

    /// A bound such as `p99>5ms` beyond which the load has missed what was asked for.
    pub fn fail_if(self, condition: &str) -> Load {
        self.option("fail-if", condition)
    }

    /// Any further arguments of `ringload run`: `["--deflate", "--csv", "series.csv"]`.
    pub fn args(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Load {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    fn option(self, name: &str, value: impl Display) -> Load {
        self.args([format!("--{name}={value}")])
    }

    /// Loads, from threads of its own, until it is over. What was found is in the document's `summary`,
    /// [`figures`](Document::figures) and `findings`; what went wrong with the server is its `error`, and is told on
    /// standard error, too.
    ///
    /// # Errors
    /// What cannot be run, by the name of the option (a [`UsageError`](crate::usage::UsageError)), and what left
    /// nothing to report.
    pub fn run(&self) -> anyhow::Result<Document> {
        let options = RunOptions::parse(self.words.iter().cloned())?;
        let interrupt = Interrupt::none().context("making a pair of sockets")?;
        complete(&options, &interrupt)
    }
}

/// A time as the options take it: with its unit.
fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}

//! Starting a server and learning where it listens.

use super::launch::Launch;
use super::process::{Interrupt, Process};
use anyhow::{Context, bail};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A server that has not said where it listens after this long never will.
const START_LIMIT: Duration = Duration::from_secs(15);

/// How often a wait for that looks for signals.
const INTERRUPT_CHECK: Duration = Duration::from_millis(100);

/// Lines of a server's own words that are kept to explain its failure.
const LAST_WORDS_MAX: usize = 20;

/// A server that listens. Dropping it ends it.
pub(crate) struct Server {
    /// As its launch is called.
    pub(crate) name: String,
    /// Where it listens: `ws://ADDRESS:PORT` or `tcp://ADDRESS:PORT`.
    pub(crate) url: String,
    process: Process,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts what `launch` says on `cpu` and waits until it listens.
    ///
    /// The error of a server that cannot run here holds what it said about it.
    pub(crate) fn start(
        launch: &Launch,
        cpu: usize,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Server> {
        let mut process = Process::start(&mut launch.command(), &[cpu])?;
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, announcements) = mpsc::channel();
        if let Some(output) = process.child().stdout.take() {
            listen_to(output, sender.clone(), Arc::clone(&last_words));
        }
        if let Some(output) = process.child().stderr.take() {
            listen_to(output, sender, Arc::clone(&last_words));
        }
        let url = match announced(&announcements, interrupt)? {
            Some(url) => url,
            None => bail!("{}", explanation(&last_words)),
        };
        Ok(Server {
            name: launch.name.clone(),
            url,
            process,
            last_words,
        })
    }

    /// The server's process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// An error once the process has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.ended()? {
            let name = &self.name;
            bail!(
                "{name} has ended ({status}); it said last: {}",
                explanation(&self.last_words)
            );
        }
        Ok(())
    }

    /// CPU time the whole process has used, in seconds, to the kernel's tick (mostly 10 ms).
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).ok()?;
        parse_cpu_ticks(&stat)
            .map(|ticks| ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

/// Reads `output` to its end, so that the server never blocks on a full pipe.
fn listen_to(
    output: impl Read + Send + 'static,
    announcements: Sender<String>,
    last_words: Arc<Mutex<VecDeque<String>>>,
) {
    thread::spawn(move || {
        let mut announcements = Some(announcements);
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some(url) = url_in(&line)
                && let Some(announcements) = announcements.take()
            {
                // Nobody waits any more after an interrupt: nothing is lost.
                let _ = announcements.send(url);
            }
            let Ok(mut last_words) = last_words.lock() else {
                return;
            };
            if last_words.len() == LAST_WORDS_MAX {
                last_words.pop_front();
            }
            last_words.push_back(line);
        }
    });
}

/// The first address announced; `None` when the server has closed its outputs without one.
fn announced(
    announcements: &Receiver<String>,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<String>> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        interrupt.check()?;
        match announcements.recv_timeout(INTERRUPT_CHECK) {
            Ok(url) => return Ok(Some(url)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(RecvTimeoutError::Timeout)
                    .context(format!("does not listen after {} s", START_LIMIT.as_secs()));
            }
        }
    }
}

/// The address in a line that says `listening on ws://...` or `listening on tcp://...`.
fn url_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    let end = rest.find(|c: char| c.is_whitespace() || c.is_control() || "\"',;()".contains(c));
    let url = &rest[..end.unwrap_or(rest.len())];
    (url.starts_with("ws://") || url.starts_with("tcp://")).then(|| url.to_owned())
}

/// The last line with anything in it.
fn explanation(last_words: &Mutex<VecDeque<String>>) -> String {
    let last_words = last_words
        .lock()
        .map(|lines| lines.clone())
        .unwrap_or_default();
    let line = last_words
        .iter()
        .rev()
        .map(|line| line.trim())
        .find(|line| !line.is_empty());
    line.unwrap_or("it ended without a word").to_owned()
}

/// User and system time in ticks (fields 14 and 15 of proc_pid_stat(5)). The name in parentheses
/// may itself hold spaces and parentheses, so fields count from the last one.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_what_a_server_says() {
        let found = |line| url_in(line);
        let node = "listening on ws://127.0.0.1:4000";
        assert_eq!(found(node).as_deref(), Some("ws://127.0.0.1:4000"));
        let text = "INFO listening on tcp://127.0.0.1:7, engine uring";
        assert_eq!(found(text).as_deref(), Some("tcp://127.0.0.1:7"));
        let json = r#"{"message":"listening on ws://[::1]:3000","workers":1}"#;
        assert_eq!(found(json).as_deref(), Some("ws://[::1]:3000"));
        assert_eq!(found("listening on port 3000"), None);
        assert_eq!(found("ready"), None);
    }

    #[test]
    fn reads_cpu_ticks_behind_an_awkward_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 90 0 0 0 17 5 0 0 20 0 1 0 9 9 9";
        assert_eq!(parse_cpu_ticks(stat), Some(22));
        assert_eq!(parse_cpu_ticks("42 (short) S 1"), None);
    }
}

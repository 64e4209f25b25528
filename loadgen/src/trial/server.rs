//! A server under measurement: started on its CPUs, awaited, ended.

use std::env;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use super::port::free_port;
use super::process::{Process, check};
use super::words::Words;
use crate::interrupt::Interrupt;
use crate::target::{Target, resolve};

/// A server whose port is closed after this long will not open it.
const START_LIMIT: Duration = Duration::from_secs(15);

/// Time between two looks whether it is open.
const LOOK: Duration = Duration::from_millis(10);

/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(1);

/// Variables that would bend a measurement without a trace in its command line.
const UNWANTED: [&str; 6] = [
    "NODE_OPTIONS",
    "WS_NO_BUFFER_UTIL",
    "WS_NO_UTF_8_VALIDATE",
    "BUN_OPTIONS",
    "PYTHONPATH",
    "PYTHONSTARTUP",
];

/// How a server is started: `{port}` stands for a free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// What it is called in messages.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where it is started; `None` is here.
    pub directory: Option<PathBuf>,
    /// Where it is then reached.
    pub url: String,
    /// CPUs that it is kept on.
    pub cpus: Vec<usize>,
}

/// A server whose port accepts connections. Dropping it ends it.
pub struct Server {
    /// As its launch is called.
    pub name: String,
    /// Where it is reached.
    pub url: String,
    process: Process,
    words: Words,
}

impl Server {
    /// Starts what `launch` says and waits until the port of its URL accepts a connection.
    ///
    /// The error of a server that cannot run here holds what it said about it.
    pub fn start(launch: &Launch, interrupt: &Interrupt) -> anyhow::Result<Server> {
        let port = free_port()?.to_string();
        let filled = |text: &String| text.replace("{port}", &port);
        let url = filled(&launch.url);
        let addresses = addresses(&url)?;
        let name = &launch.name;
        if addresses.iter().any(is_open) {
            bail!("{name}: something listens at {url} already");
        }
        let words: Vec<String> = launch.command.iter().map(filled).collect();
        let mut command = command(&words, &port)?;
        if let Some(directory) = &launch.directory {
            command.current_dir(directory);
        }
        let mut process =
            Process::start(&mut command, &launch.cpus).with_context(|| name.clone())?;
        let mut server = Server {
            name: name.clone(),
            url,
            words: Words::of(process.child()),
            process,
        };
        server.await_port(&addresses, interrupt)?;
        Ok(server)
    }

    /// The server's process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// An error once the process has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.ended()? {
            bail!("{} has ended ({status}){}", self.name, self.said_last());
        }
        Ok(())
    }

    /// What it said last, as the end of a sentence.
    pub fn said_last(&self) -> String {
        match self.words.last() {
            Some(words) => format!("; it said last: {}", words.trim_end_matches('.')),
            None => " without a word".to_owned(),
        }
    }

    fn await_port(
        &mut self,
        addresses: &[SocketAddr],
        interrupt: &Interrupt,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while !addresses.iter().any(is_open) {
            self.check()?;
            check(interrupt)?;
            if Instant::now() >= deadline {
                // Its last words are complete once it has ended.
                self.process.end()?;
                let (said, seconds) = (self.said_last(), START_LIMIT.as_secs());
                let Server { name, url, .. } = self;
                bail!("{name} does not listen at {url} after {seconds} s{said}");
            }
            interrupt.sleep(LOOK)?;
        }
        Ok(())
    }
}

/// Where a URL's server listens.
fn addresses(url: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let target = Target::parse(url).map_err(|why| anyhow!("{url}: {why}"))?;
    let addresses = resolve(&target.host, target.port);
    addresses.with_context(|| format!("{url}: the host has no address"))
}

fn is_open(address: &SocketAddr) -> bool {
    TcpStream::connect_timeout(address, LOOK_LIMIT).is_ok()
}

/// The command, without the caller's own settings for such a server.
fn command(words: &[String], port: &str) -> anyhow::Result<Command> {
    let [program, arguments @ ..] = words else {
        bail!("a server's command is empty");
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PORT", port)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("RINGBACK_") || UNWANTED.contains(&text.as_ref()) {
            command.env_remove(name);
        }
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::placement::allowed_cpus;

    fn launch(command: &[&str], url: &str) -> Launch {
        Launch {
            name: "it".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            directory: None,
            url: url.to_owned(),
            cpus: allowed_cpus().unwrap(),
        }
    }

    fn failure(command: &[&str], url: &str) -> String {
        let interrupt = Interrupt::install().unwrap();
        let error = Server::start(&launch(command, url), &interrupt).err();
        format!("{:#}", error.expect("no server"))
    }

    #[test]
    fn a_server_that_ends_at_once_is_quoted() {
        let url = "ws://127.0.0.1:{port}/";
        let words = failure(&["sh", "-c", "echo no licence for $PORT >&2; exit 4"], url);
        assert!(
            words.starts_with("it has ended (exit status: 4); it said last: no licence for "),
            "{words}"
        );
        assert_eq!(
            failure(&["true"], url),
            "it has ended (exit status: 0) without a word"
        );
        assert!(failure(&["no-such-program"], url).contains("cannot start no-such-program"));
        assert_eq!(failure(&[], url), "a server's command is empty");
    }

    #[test]
    fn a_url_in_use_is_not_taken_for_the_servers() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let why = failure(&["sleep", "60"], &url);
        assert_eq!(why, format!("it: something listens at {url} already"));
    }
}

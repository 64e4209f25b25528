//! How each server is started: program, arguments, surroundings.

use super::peers::Peers;
use super::plan::{ENGINES, Engine, Subject};
use anyhow::{Context, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Variables that would bend a measurement, beside those of Ringback itself.
const UNWANTED: [&str; 4] = [
    "NODE_OPTIONS",
    "WS_NO_BUFFER_UTIL",
    "WS_NO_UTF_8_VALIDATE",
    "BUN_OPTIONS",
];

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) ringback: PathBuf,
    pub(crate) ringload: PathBuf,
    pub(crate) peers: Peers,
}

/// A command line that starts a server on a free port of its choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Launch {
    /// What it is called in the report.
    pub(crate) name: String,
    program: PathBuf,
    arguments: Vec<String>,
    directory: Option<PathBuf>,
    variable: Option<(&'static str, &'static str)>,
}

impl Launch {
    /// The command, without the caller's own settings for such a server.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("RINGBACK_") || UNWANTED.contains(&text.as_ref()) {
                command.env_remove(name);
            }
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        if let Some((name, value)) = self.variable {
            command.env(name, value);
        }
        command
    }
}

impl Programs {
    /// How `subject` is started. Peers are where their preparation has put them.
    pub(crate) fn launch(&self, subject: Subject) -> Launch {
        let name = subject.name();
        let script = |program: &Path, directory: &Path| Launch {
            name: name.to_owned(),
            program: program.to_path_buf(),
            arguments: ["server.js", "0"].map(str::to_owned).to_vec(),
            directory: Some(directory.to_path_buf()),
            variable: None,
        };
        match subject {
            Subject::Ringback(engine) => self.ringback(name, engine, "websocket"),
            Subject::Limit(engine) => self.ringback(name, engine, "tcp"),
            Subject::Node { bufferutil } => Launch {
                variable: (!bufferutil).then_some(("WS_NO_BUFFER_UTIL", "1")),
                ..script(Path::new("node"), &self.peers.node_directory())
            },
            Subject::Bun => script(&self.peers.bun_program(), &self.peers.bun_directory()),
            Subject::Fastwebsockets => Launch {
                name: name.to_owned(),
                program: self.peers.fastwebsockets_program(),
                arguments: vec!["0".to_owned()],
                directory: None,
                variable: None,
            },
        }
    }

    fn ringback(&self, name: &str, engine: Engine, protocol: &str) -> Launch {
        let flags = ["--engine", engine.name(), "--protocol", protocol];
        ringback(name, &self.ringback, flags.map(str::to_owned).to_vec())
    }

    /// Reads one side of `--pair`: an engine or the path of a program, then flags of Ringback.
    pub(crate) fn launch_of(&self, side: &str) -> anyhow::Result<Launch> {
        let mut words = side.split_whitespace().map(str::to_owned).peekable();
        let first = words.peek().cloned().unwrap_or_default();
        ensure!(!first.is_empty(), "--pair: a side is empty");
        if first.starts_with('-') {
            return Ok(ringback(side, &self.ringback, words.collect()));
        }
        words.next();
        if first.contains('/') {
            let program = PathBuf::from(&first).canonicalize();
            let program = program.with_context(|| format!("--pair: {first}"))?;
            return Ok(ringback(side, &program, words.collect()));
        }
        let names = ENGINES.map(Engine::name);
        ensure!(
            names.contains(&first.as_str()),
            "--pair: {first} is none of {}, nor the path of a program",
            names.join(", ")
        );
        let engine = ["--engine".to_owned(), first];
        let flags = engine.into_iter().chain(words).collect();
        Ok(ringback(side, &self.ringback, flags))
    }
}

/// Ringback with `flags`, and with one worker on a port of its choice unless they say otherwise.
fn ringback(name: &str, program: &Path, mut flags: Vec<String>) -> Launch {
    for (flag, value) in [("--workers", "1"), ("--listen", "127.0.0.1:0")] {
        if !flags.iter().any(|given| given.starts_with(flag)) {
            flags.extend([flag.to_owned(), value.to_owned()]);
        }
    }
    Launch {
        name: name.to_owned(),
        program: program.to_path_buf(),
        arguments: flags,
        directory: None,
        variable: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs() -> Programs {
        Programs {
            ringback: PathBuf::from("/bin/ringback"),
            ringload: PathBuf::from("/bin/ringload"),
            peers: Peers::new(Path::new("/peers"), Path::new("/target")),
        }
    }

    fn line(side: &str) -> String {
        let launch = programs().launch_of(side).unwrap();
        assert_eq!(launch.name, side);
        format!(
            "{} {}",
            launch.program.display(),
            launch.arguments.join(" ")
        )
    }

    #[test]
    fn a_side_is_an_engine_a_program_or_flags() {
        let ends = "--workers 1 --listen 127.0.0.1:0";
        assert_eq!(
            line("uring --uring-entries 64"),
            format!("/bin/ringback --engine uring --uring-entries 64 {ends}")
        );
        assert_eq!(
            line("--protocol tcp"),
            format!("/bin/ringback --protocol tcp {ends}")
        );
        assert_eq!(
            line("epoll --workers 2"),
            "/bin/ringback --engine epoll --workers 2 --listen 127.0.0.1:0"
        );
        let this = env::current_exe().unwrap();
        let this = this.to_str().unwrap();
        assert_eq!(
            line(&format!("{this} --engine epoll")),
            format!("{this} --engine epoll {ends}")
        );
    }

    #[test]
    fn a_side_that_names_nothing_is_refused() {
        for wrong in ["", "  ", "kqueue", "/no/such/program"] {
            assert!(programs().launch_of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_limit_is_the_same_server_without_websocket() {
        let launch = |subject| programs().launch(subject).arguments.join(" ");
        let websocket = launch(Subject::Ringback(Engine::Uring));
        let limit = launch(Subject::Limit(Engine::Uring));
        assert_eq!(websocket.replace("websocket", "tcp"), limit);
    }
}

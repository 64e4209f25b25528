//! A server and those that come after it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, test_kill_process, waitpid};

use crate::server::{BINARY, Server, until};

/// A server, whoever it is now.
pub(crate) struct Dynasty {
    /// The first of them, whose log is that of all.
    first: Server,
    /// Who serves now.
    pub(crate) reigning: Pid,
    pub(crate) address: SocketAddr,
    /// Lines of the log that have been looked at.
    seen: usize,
    /// What they are started from, if a test replaces it.
    binary: Option<tempfile::TempDir>,
}

impl Dynasty {
    /// A server on a free port of the loopback.
    pub(crate) fn found(engine: &str, options: &[&str]) -> Self {
        Self::of(Command::new(BINARY), engine, options, None)
    }

    /// The same, from a copy of the binary that can be replaced.
    pub(crate) fn found_on_a_copy(engine: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ringback");
        // The file is large, and is not written to: whoever replaces it puts another in its place.
        std::fs::hard_link(BINARY, &path)
            .or_else(|_| std::fs::copy(BINARY, &path).map(|_| ()))
            .expect("a copy");
        Self::of(Command::new(path), engine, options, Some(folder))
    }

    /// The same, by way of `command`; without an engine it is left to the configuration how it serves.
    pub(crate) fn of(
        mut command: Command,
        engine: &str,
        options: &[&str],
        binary: Option<tempfile::TempDir>,
    ) -> Self {
        // Successors are nobody's children but ours once those that started them have ended.
        rustix::process::set_child_subreaper(Some(Pid::INIT)).expect("Linux 3.4");
        if !engine.is_empty() {
            command.args(["--listen", "127.0.0.1:0", "--engine", engine]);
            if !options.contains(&"--workers") {
                command.args(["--workers", "2"]);
            }
        }
        command.args(options);
        let first = Server::run(command);
        Dynasty {
            reigning: first.pid(),
            address: first.address,
            first,
            seen: 0,
            binary,
        }
    }

    /// Where the binary is that the next successor is started from.
    pub(crate) fn binary(&self) -> PathBuf {
        let folder = self.binary.as_ref().expect("a copy");
        folder.path().join("ringback")
    }

    /// Replaces the binary by a script for `sh`.
    pub(crate) fn replace_by_script(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let new = self.binary().with_extension("new");
        std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("a script");
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).expect("a script");
        std::fs::rename(&new, self.binary()).expect("another file");
    }

    /// Replaces the binary by the file at `path`.
    pub(crate) fn replace_by(&self, path: &Path) {
        let new = self.binary().with_extension("new");
        std::os::unix::fs::symlink(path, &new).expect("a link");
        std::fs::rename(&new, self.binary()).expect("another file");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.reigning, signal).expect("the server lives");
    }

    /// What the log says from now on, once it says `words`: the first line with them.
    pub(crate) fn hears(&mut self, words: &str) -> String {
        let seen = self.seen;
        let (place, line) = until(words, || {
            let log = self.first.log();
            let new = log.iter().enumerate().skip(seen);
            let mut found = new.filter(|(_, line)| line.contains(words));
            found.next().map(|(place, line)| (place, line.clone()))
        });
        self.seen = place + 1;
        line
    }

    /// How often the log has said `words`.
    pub(crate) fn has_said(&self, words: &str) -> usize {
        let log = self.first.log();
        log.iter().filter(|line| line.contains(words)).count()
    }

    /// The first of them, for whoever wants to know its address.
    pub(crate) fn server(&self) -> &Server {
        &self.first
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.first.log()
    }

    /// Asks for a successor.
    pub(crate) fn ask(&mut self) -> Pid {
        self.seen = self.first.log().len();
        self.signal(Signal::USR2);
        let line = self.hears("starting a successor: process ");
        number_behind(&line, "process ")
    }

    /// Hands over, and says how many connections went.
    pub(crate) fn restart(&mut self) -> usize {
        let successor = self.ask();
        let line = self.hears("connections over within");
        let words = if line.contains("handed ") {
            "handed "
        } else {
            "took "
        };
        let (_, count) = line.split_once(words).expect("a number");
        let count = count.split(' ').next().expect("a number");
        // Each of the two says it.
        self.hears("connections over within");
        self.reigning = successor;
        count.parse().expect("a number")
    }

    /// Waits for a process to end, and says with which status.
    pub(crate) fn end_of(&mut self, pid: Pid) -> Option<i32> {
        if pid == self.first.pid() {
            return until("the first ends", || self.first.try_wait()).code();
        }
        until("a successor ends", || {
            let ended = waitpid(Some(pid), WaitOptions::NOHANG);
            // Until the one that started it has ended, it is not ours.
            ended.ok().flatten().map(|(_, status)| status.exit_status())
        })
    }

    /// Tells whoever reigns to stop, and waits for that.
    pub(crate) fn abdicate(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.end_of(self.reigning)
    }
}

impl Drop for Dynasty {
    fn drop(&mut self) {
        if self.reigning != self.first.pid() {
            // It is of this test, and may have ended; where it is nobody's, nobody has its number yet.
            let _ = kill_process(self.reigning, Signal::KILL);
            let _ = waitpid(Some(self.reigning), WaitOptions::empty());
        }
    }
}

/// Waits for a process to end that somebody else may have waited for.
pub(crate) fn await_end(pid: Pid) {
    until("a process ends", || {
        let ended = waitpid(Some(pid), WaitOptions::NOHANG);
        let is_gone = matches!(ended, Ok(Some(_))) || test_kill_process(pid).is_err();
        is_gone.then_some(())
    });
}

/// The number of a process that a line of the log tells behind `words`.
pub(crate) fn number_behind(line: &str, words: &str) -> Pid {
    let (_, number) = line.split_once(words).expect("the words");
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    let number = digits.parse().ok().and_then(Pid::from_raw);
    number.expect("the number of a process")
}

//! Making a server ready, or saying plainly why it cannot be had here.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use ringload::interrupt::Interrupt;
use ringload::observe::placement::allowed_cpus;
use ringload::trial::process::{Process, check};
use ringload::trial::version::first_line;

use super::peers::{Peer, Places};
use super::scrub::Scrubber;

/// Some packages, up to a hundred megabytes, or a build: this is for slow networks and machines.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// How long a server may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(30);

/// Bytes of what an installation says that are kept.
const LOG_BYTES_MAX: u64 = 256 << 10;

/// Installs servers, and keeps a log of it.
pub(super) struct Installer<'a> {
    pub(super) places: &'a Places,
    pub(super) scrubber: &'a Scrubber,
    pub(super) interrupt: &'a Interrupt,
    /// The log, written only if there is anything to say.
    pub(super) log: PathBuf,
}

impl Installer<'_> {
    /// Installs `peer` unless it is there, and asks for its version. The inner error is a phrase: why it
    /// cannot be had.
    ///
    /// What cargo builds is built whether it is there or not: that file may be of other sources than those
    /// whose commit the results name, and cargo does nothing if it is not.
    pub(super) fn prepare(&self, peer: &Peer) -> anyhow::Result<Result<String, String>> {
        let was_there = self.is_there(peer);
        let commands = peer.install.iter();
        for command in commands.filter(|command| !was_there || is_cargo(command)) {
            if let Err(why) = self.install(peer, command)? {
                return Ok(Err(why));
            }
        }
        if !self.is_there(peer) {
            let why = match peer.install.is_empty() {
                true => format!("{} is not there", peer.installed),
                false => format!("installing it did not make {}", peer.installed),
            };
            return Ok(Err(why));
        }
        let words = self.places.fill(&peer.version);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&peer.folder);
        command.env_remove("NODE_OPTIONS");
        let version = first_line(
            &mut command,
            &allowed_cpus()?,
            VERSION_LIMIT,
            self.interrupt,
        );
        check(self.interrupt)?;
        let Some(version) = version else {
            let command = peer.version.join(" ");
            return Ok(Err(format!(
                "it is installed and does not run: `{command}` failed"
            )));
        };
        Ok(Ok(self.scrubber.clean(&version)))
    }

    fn is_there(&self, peer: &Peer) -> bool {
        let installed = self.places.fill(std::slice::from_ref(&peer.installed));
        peer.folder.join(&installed[0]).exists()
    }

    /// Runs one command of an installation.
    fn install(&self, peer: &Peer, words: &[String]) -> anyhow::Result<Result<(), String>> {
        let shown = words.join(" ");
        let words = self.places.fill(words);
        let said = tempfile()?;
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(&peer.folder)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said.try_clone()?);
        let started = Process::start(&mut command, &allowed_cpus()?);
        let ended = match started {
            Ok(mut process) => process.wait(INSTALL_LIMIT, self.interrupt),
            Err(error) => Err(error),
        };
        check(self.interrupt)?;
        let text = self.scrubber.clean_log(&tail(said)?);
        if !text.trim().is_empty() {
            self.note(&format!("== {}: {shown}\n{}\n", peer.name, text.trim_end()))?;
        }
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        Ok(match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(match last {
                Some(last) => last.trim().trim_end_matches('.').to_owned(),
                None => format!("`{shown}` failed ({status})"),
            }),
            Err(error) => Err(format!("`{shown}` was given up: {error:#}")),
        })
    }

    fn note(&self, text: &str) -> anyhow::Result<()> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .and_then(|mut log| log.write_all(text.as_bytes()))
            .with_context(|| format!("writing {}", shown(&self.log)))
    }
}

/// Whether a command is cargo's, called by itself or by a program that stands in front of it.
fn is_cargo(words: &[String]) -> bool {
    let names = words.iter().map(|word| Path::new(word).file_name());
    names
        .take(2)
        .any(|name| name.is_some_and(|name| name == "cargo"))
}

/// A file without a name, which is gone once it is closed.
fn tempfile() -> anyhow::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    let file = memfd_create("installation", MemfdFlags::CLOEXEC);
    Ok(File::from(file.context("making a file in memory")?))
}

/// The end of what was written to `file`.
fn tail(mut file: File) -> anyhow::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn shown(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_known_by_its_name_whoever_calls_it() {
        let is_cargo = |words: &str| {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            is_cargo(&words)
        };
        assert!(is_cargo("cargo build") && is_cargo("/opt/rust/cargo build"));
        assert!(is_cargo("../../install cargo build"));
        assert!(!is_cargo("npm ci") && !is_cargo("../../install npm ci cargo"));
        assert!(!is_cargo("cargo-build x"));
    }
}

//! Making a server ready, or saying plainly why it cannot be had here.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ringload::interrupt::Interrupt;
use ringload::observe::placement::allowed_cpus;
use ringload::trial::process::check;
use ringload::trial::version::first_line;

use super::peers::{Peer, Places};

/// How long a program may take to say its version.
pub(super) const VERSION_LIMIT: Duration = Duration::from_secs(30);

/// Installs `peer` unless it is there, and asks for its version, if it has a command for that. The error is why it cannot
/// be had, or a signal.
///
/// What cargo builds is built whether it is there or not: that file may be of other sources than those whose commit
/// the results name, and cargo does nothing if it is not.
pub(super) fn prepare(
    peer: &Peer,
    places: &Places,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<String>> {
    let command = |words: &[String]| {
        let words = places.fill(words);
        let mut command = Command::new(words.first()?);
        command.args(&words[1..]).current_dir(&peer.folder);
        Some(command)
    };
    let installed = places.fill(std::slice::from_ref(&peer.installed)).concat();
    let is_there = || peer.folder.join(&installed).exists();
    let was_there = is_there();
    let commands = peer.install.iter();
    let commands = commands.filter(|words| !was_there || is_cargo(words));
    for mut command in commands.filter_map(|words| command(words)) {
        let name = command.get_program().display().to_string();
        let output = command.output().context(name)?;
        check(interrupt)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            // The host that was asked is nobody's business.
            let last = last.unwrap_or("it did not say why").split("://").next();
            bail!("{}", last.unwrap_or_default().trim());
        }
    }
    if !is_there() {
        bail!("{} is not there", peer.installed);
    }
    let Some(mut command) = command(&peer.version) else {
        return Ok(None);
    };
    command.env_remove("NODE_OPTIONS");
    let version = first_line(&mut command, &allowed_cpus()?, VERSION_LIMIT, interrupt);
    check(interrupt)?;
    let version = version.with_context(|| format!("`{}` failed", peer.version.join(" ")))?;
    Ok(Some(version))
}

/// Whether a command is cargo's, called by itself or by a program that stands in front of it.
fn is_cargo(words: &[String]) -> bool {
    let mut names = words.iter().take(2).map(|word| Path::new(word).file_name());
    names.any(|name| name.is_some_and(|name| name == "cargo"))
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
        assert!(is_cargo("cargo build") && is_cargo("../../install /opt/cargo build"));
        assert!(!is_cargo("npm ci cargo") && !is_cargo("cargo-build x"));
    }
}

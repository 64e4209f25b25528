//! Making the peers ready, or saying plainly why one is missing.

use super::node::{self, NodePeer};
use super::plan::Subject;
use super::process::{Interrupt, Process};
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Some packages, up to a hundred megabytes; this is for slow networks.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);

/// Where the peers are, and where what is built of them goes.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    sources: PathBuf,
    built: PathBuf,
}

/// The versions of the peers that can be had.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct PeerVersions {
    #[serde(flatten)]
    pub(crate) node: Option<NodePeer>,
    pub(crate) bun: Option<String>,
    pub(crate) fastwebsockets: Option<String>,
}

impl Peers {
    /// Peers whose sources are in folders of `sources`; Rust ones are built below `target`.
    pub(crate) fn new(sources: &Path, target: &Path) -> Peers {
        Peers {
            sources: sources.to_path_buf(),
            built: target.join("peers"),
        }
    }

    pub(crate) fn node_directory(&self) -> PathBuf {
        self.sources.join("node-ws")
    }

    pub(crate) fn bun_directory(&self) -> PathBuf {
        self.sources.join("bun")
    }

    pub(crate) fn fastwebsockets_program(&self) -> PathBuf {
        self.built.join("release/ringback-peer-fastwebsockets")
    }

    /// Bun for this machine: its package brings one program or more, of which the first works that
    /// this processor and this C library can run.
    pub(crate) fn bun_program(&self) -> PathBuf {
        let packages = self.bun_directory().join("node_modules/@oven");
        let mut programs: Vec<PathBuf> = fs::read_dir(packages)
            .into_iter()
            .flatten()
            .flatten()
            .map(|package| package.path().join("bin/bun"))
            .collect();
        programs.sort();
        programs
            .into_iter()
            .find(|program| output_of(Command::new(program).arg("--version")).is_some())
            .unwrap_or_default()
    }

    /// Installs those of `subjects` that are peers unless they are there, and takes away those
    /// that cannot be had. Returns the versions, and for each that is missing a sentence.
    pub(crate) fn prepare(
        &self,
        subjects: &mut Vec<Subject>,
        interrupt: &Interrupt,
    ) -> (PeerVersions, Vec<String>) {
        let mut versions = PeerVersions::default();
        let mut missing = Vec::new();
        if subjects
            .iter()
            .any(|subject| matches!(subject, Subject::Node { .. }))
        {
            match node::prepare(&self.node_directory(), interrupt) {
                Ok(node) => {
                    if let Some(why) = &node.no_bufferutil {
                        subjects.retain(|subject| *subject != Subject::Node { bufferutil: true });
                        missing.push(format!("There is no node-ws-bufferutil: {why}."));
                    }
                    versions.node = Some(node);
                }
                Err(why) => {
                    subjects.retain(|subject| !matches!(subject, Subject::Node { .. }));
                    missing.push(format!("There is no comparison with Node ws. {why}."));
                }
            }
        }
        let mut take = |subject: Subject, prepare: &dyn Fn() -> Result<String, String>| {
            if !subjects.contains(&subject) {
                return None;
            }
            prepare()
                .inspect_err(|why| {
                    subjects.retain(|other| *other != subject);
                    missing.push(format!("There is no {}. {why}.", subject.name()));
                })
                .ok()
        };
        versions.bun = take(Subject::Bun, &|| self.prepare_bun(interrupt));
        versions.fastwebsockets = take(Subject::Fastwebsockets, &|| {
            self.prepare_fastwebsockets(interrupt)
        });
        (versions, missing)
    }

    fn prepare_bun(&self, interrupt: &Interrupt) -> Result<String, String> {
        npm_install(&self.bun_directory(), interrupt)?;
        output_of(Command::new(self.bun_program()).arg("--version"))
            .ok_or_else(|| "Bun has no program that runs on this machine".to_owned())
    }

    /// Builds it, which is nothing to do when it has been built.
    fn prepare_fastwebsockets(&self, interrupt: &Interrupt) -> Result<String, String> {
        let directory = self.sources.join("fastwebsockets");
        eprintln!("building the fastwebsockets peer (cargo build)");
        let mut command = Command::new("cargo");
        command
            .args(["build", "--release", "--locked", "--quiet", "--target-dir"])
            .arg(&self.built)
            .current_dir(&directory);
        install(command, "cargo build", interrupt)?;
        let lock = fs::read_to_string(directory.join("Cargo.lock")).unwrap_or_default();
        Ok(locked_crate(&lock, "fastwebsockets").unwrap_or_else(|| "unknown".to_owned()))
    }
}

/// Installs the locked packages of `directory` unless they are there. The error is a sentence for
/// the user.
pub(crate) fn npm_install(directory: &Path, interrupt: &Interrupt) -> Result<(), String> {
    let locked = locked_packages(&directory.join("package-lock.json"));
    let installed = locked_packages(&directory.join("node_modules/.package-lock.json"));
    // Optional packages for other machines are locked, too, and never installed.
    let is_there = |(name, version, is_optional): &(String, String, bool)| {
        let found = installed.iter().find(|(package, _, _)| package == name);
        found.map_or(*is_optional, |(_, found, _)| found == version)
    };
    if !installed.is_empty() && locked.iter().all(is_there) {
        return Ok(());
    }
    let name = directory
        .file_name()
        .unwrap_or_default()
        .display()
        .to_string();
    eprintln!("installing the {name} peer (npm ci)");
    let mut command = Command::new("npm");
    // No scripts: what is compiled comes along compiled.
    command
        .args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ])
        .current_dir(directory);
    install(command, "npm ci", interrupt)
}

fn install(mut command: Command, name: &str, interrupt: &Interrupt) -> Result<(), String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let cpus = super::placement::allowed_cpus().map_err(|error| format!("{error:#}"))?;
    let mut process = Process::start(&mut command, &cpus).map_err(|error| format!("{error:#}"))?;
    match process.wait(INSTALL_LIMIT, interrupt) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{name}` failed ({status}); is there a network?")),
        Err(error) => Err(format!("`{name}` was given up: {error:#}")),
    }
}

/// Name, version and whether it is optional, of the packages in an npm lockfile; nothing when there
/// is none.
pub(crate) fn locked_packages(lockfile: &Path) -> Vec<(String, String, bool)> {
    let text = fs::read_to_string(lockfile).unwrap_or_default();
    let lock: Value = serde_json::from_str(&text).unwrap_or_default();
    let Some(packages) = lock["packages"].as_object() else {
        return Vec::new();
    };
    packages
        .iter()
        .filter_map(|(path, package)| {
            Some((
                path.strip_prefix("node_modules/")?.to_owned(),
                package["version"].as_str()?.to_owned(),
                package["optional"].as_bool().unwrap_or_default(),
            ))
        })
        .collect()
}

/// The version of `name` in a Cargo.lock.
fn locked_crate(lock: &str, name: &str) -> Option<String> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    Some(rest.split('"').next()?.to_owned())
}

/// What a short command prints; `None` when it does not exist or fails.
pub(crate) fn output_of(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockfile_names_its_versions() {
        let lock = "[[package]]\nname = \"a-b\"\nversion = \"2\"\n\n[[package]]\nname = \"b\"\nversion = \"1.2.3\"\n";
        assert_eq!(locked_crate(lock, "b").as_deref(), Some("1.2.3"));
        assert_eq!(locked_crate(lock, "c"), None);
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/peers");
        let bun = locked_packages(&peers.join("bun/package-lock.json"));
        assert!(
            bun.iter()
                .any(|(name, _, optional)| name == "bun" && !optional)
        );
        assert!(
            bun.iter()
                .any(|(name, _, optional)| name.starts_with("@oven/") && *optional)
        );
    }
}

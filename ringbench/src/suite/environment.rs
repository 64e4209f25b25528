//! The circumstances of a measurement: without them a number is not a result.
//!
//! Nothing here names the machine, its user or its directories.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use ringload::interrupt::Interrupt;
use ringload::observe::host::Host;
use ringload::observe::others::CpuTimes;
use ringload::observe::placement::Placement;
use ringload::observe::process::cpus_online;
use ringload::trial::version::first_line;
use serde::Serialize;

use super::origin::Source;

/// How long a program may take to say its version.
pub(super) const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// How long to look whether the machine is quiet.
const QUIET_LOOK: Duration = Duration::from_secs(1);

/// Everything about the machine and the programs.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    /// RFC 3339.
    pub(crate) date_time: String,
    pub(crate) machine: String,
    pub(crate) placement: Placement,
    pub(crate) source: Source,
    pub(crate) versions: Versions,
    pub(crate) kernel: String,
    #[serde(flatten)]
    pub(crate) host: Host,
    pub(crate) load_average_before: String,
    /// CPU time in use just before anything was started, of all CPUs' time.
    pub(crate) busy_percent_before: Option<f64>,
    /// As it was called.
    pub(crate) command_line: Vec<String>,
}

/// What the tools call themselves; the servers' own versions are in `suite.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Versions {
    pub(crate) ringload: &'static str,
    pub(crate) rustc: Option<String>,
    pub(crate) node: Option<String>,
    pub(crate) python: Option<String>,
    pub(crate) operating_system: Option<String>,
}

impl Environment {
    /// Looks around. What a machine does not tell is absent, never guessed.
    pub(crate) fn gather(
        root: &Path,
        placement: &Placement,
        machine: Option<&str>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Environment> {
        let host = Host::read();
        let cpu = &host.cpu;
        let cpu_count = cpus_online().max(cpu.allowed.len());
        let machine = machine.map_or_else(
            || machine_name(&cpu.model, &cpu.architecture, cpu_count),
            str::to_owned,
        );
        let says = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).current_dir(root);
            first_line(&mut command, &cpu.allowed, VERSION_LIMIT, interrupt)
        };
        Ok(Environment {
            date_time: now(),
            machine,
            placement: placement.clone(),
            source: Source::gather(root, None, &cpu.allowed, interrupt),
            versions: Versions {
                ringload: env!("CARGO_PKG_VERSION"),
                rustc: says(&["rustc", "--version"]),
                node: says(&["node", "--version"]),
                python: says(&["python3", "--version"]),
                operating_system: operating_system(),
            },
            kernel: kernel(),
            load_average_before: load_average(),
            busy_percent_before: busy_percent(),
            command_line: command_line(),
            host,
        })
    }
}

/// The present moment, RFC 3339.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The kernel's name, release and version.
pub(crate) fn kernel() -> String {
    let uname = rustix::system::uname();
    [
        uname.sysname(),
        uname.release(),
        uname.version(),
        uname.machine(),
    ]
    .map(|part| part.to_string_lossy().into_owned())
    .join(" ")
}

/// As this program was called, whatever the path it was found by.
fn command_line() -> Vec<String> {
    let called = std::env::args().skip(1);
    std::iter::once("ringbench".to_owned())
        .chain(called)
        .collect()
}

/// What the system calls itself, such as `Debian GNU/Linux 12 (bookworm)`.
fn operating_system() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// How busy all CPUs together are for the time of one look.
fn busy_percent() -> Option<f64> {
    let before = CpuTimes::read();
    thread::sleep(QUIET_LOOK);
    CpuTimes::read().busy_percent(&before)
}

/// The averages of 1, 5 and 15 minutes.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A short stable name: `Intel(R) Xeon(R) Gold 6140 CPU @ 2.30GHz` with 4 CPUs is
/// `xeon-gold-6140-4cpu`.
fn machine_name(model: &str, architecture: &str, cpu_count: usize) -> String {
    let model = model
        .to_ascii_lowercase()
        .replace("(r)", " ")
        .replace("(tm)", " ");
    let model = model.split('@').next().unwrap_or_default();
    let mut words: Vec<&str> = model
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !["", "intel", "amd", "cpu", "processor", "core", "with"].contains(word))
        .collect();
    // "16-Core Processor": the count of CPUs says it.
    if let Some(at) = model.find("-core") {
        let cores = model[..at].rsplit(' ').next().unwrap_or_default();
        words.retain(|word| *word != cores);
    }
    words.truncate(4);
    if words.is_empty() {
        words.push(architecture);
    }
    format!("{}-{cpu_count}cpu", words.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_get_short_names() {
        let name = |model, count| machine_name(model, "x86_64", count);
        assert_eq!(name("Intel(R) Xeon(R) Processor", 2), "xeon-2cpu");
        assert_eq!(
            name("Intel(R) Xeon(R) Gold 6140 CPU @ 2.30GHz", 4),
            "xeon-gold-6140-4cpu"
        );
        assert_eq!(
            name("AMD Ryzen 9 7950X 16-Core Processor", 32),
            "ryzen-9-7950x-32cpu"
        );
        assert_eq!(
            name("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", 8),
            "i7-8650u-8cpu"
        );
        assert_eq!(machine_name("", "aarch64", 4), "aarch64-4cpu");
    }
}

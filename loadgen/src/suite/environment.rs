//! The circumstances of a measurement: without them a number is not a result.
//!
//! Nothing here names the machine, its user or its directories.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::origin::Source;
use crate::interrupt::Interrupt;
use crate::quantity::parse_cpu_list;
use crate::trial::placement::{Placement, allowed_cpus};
use crate::trial::version::first_line;

/// How long a program may take to say its version.
pub(super) const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// How long to look whether the machine is quiet.
const QUIET_LOOK: Duration = Duration::from_secs(1);

/// Settings of the kernel that a loopback echo can feel.
const SYSCTLS: [&str; 17] = [
    "kernel/io_uring_disabled",
    "kernel/numa_balancing",
    "kernel/perf_event_paranoid",
    "kernel/sched_autogroup_enabled",
    "kernel/sched_schedstats",
    "net/core/busy_poll",
    "net/core/busy_read",
    "net/core/rmem_max",
    "net/core/somaxconn",
    "net/core/wmem_max",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/tcp_autocorking",
    "net/ipv4/tcp_congestion_control",
    "net/ipv4/tcp_max_tw_buckets",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/tcp_wmem",
];

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
    pub(crate) cpu: Cpu,
    pub(crate) memory: BTreeMap<String, String>,
    pub(crate) load_average_before: String,
    /// CPU time in use just before anything was started, of all CPUs' time.
    pub(crate) busy_percent_before: Option<f64>,
    pub(crate) limits: Limits,
    pub(crate) sysctl: BTreeMap<String, String>,
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

/// The processor and what tames it.
#[derive(Debug, Serialize)]
pub(crate) struct Cpu {
    pub(crate) model: String,
    pub(crate) architecture: &'static str,
    /// CPUs that may be used.
    pub(crate) allowed: Vec<usize>,
    pub(crate) online: String,
    /// True inside a virtual machine, where the processor says so.
    pub(crate) hypervisor: bool,
    /// Frequency governor of the server's CPU.
    pub(crate) governor: Option<String>,
    pub(crate) turbo_disabled: Option<String>,
    pub(crate) smt_active: Option<String>,
    /// Quota and period of the control group.
    pub(crate) cgroup_max: Option<String>,
    pub(crate) clock_source: Option<String>,
    pub(crate) mitigations: BTreeMap<String, String>,
}

/// Resource limits; `null` is unlimited.
#[derive(Debug, Serialize)]
pub(crate) struct Limits {
    pub(crate) open_files: Option<u64>,
    pub(crate) locked_memory_bytes: Option<u64>,
}

impl Environment {
    /// Looks around. What a machine does not tell is absent, never guessed.
    pub(crate) fn gather(
        root: &Path,
        placement: &Placement,
        machine: Option<&str>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Environment> {
        let cpu = Cpu::gather(placement.server_cpus.first().copied().unwrap_or_default())?;
        let machine = machine.map_or_else(
            || machine_name(&cpu.model, cpu.architecture, cpu.online_count()),
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
            memory: memory(),
            load_average_before: load_average(),
            busy_percent_before: busy_percent(),
            limits: Limits {
                open_files: getrlimit(Resource::Nofile).maximum,
                locked_memory_bytes: getrlimit(Resource::Memlock).current,
            },
            sysctl: sysctls(),
            command_line: command_line(),
            cpu,
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
    std::iter::once("ringload".to_owned())
        .chain(called)
        .collect()
}

/// What the system calls itself, such as `Debian GNU/Linux 12 (bookworm)`.
fn operating_system() -> Option<String> {
    let text = read("/etc/os-release")?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

impl Cpu {
    fn gather(server_cpu: usize) -> anyhow::Result<Cpu> {
        let info = read("/proc/cpuinfo").unwrap_or_default();
        let cpufreq = format!("/sys/devices/system/cpu/cpu{server_cpu}/cpufreq/scaling_governor");
        Ok(Cpu {
            model: cpu_model(&info).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            architecture: std::env::consts::ARCH,
            allowed: allowed_cpus()?,
            online: read("/sys/devices/system/cpu/online").unwrap_or_default(),
            hypervisor: field(&info, "flags")
                .is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
            governor: read(&cpufreq),
            turbo_disabled: read("/sys/devices/system/cpu/intel_pstate/no_turbo"),
            smt_active: read("/sys/devices/system/cpu/smt/active"),
            cgroup_max: read("/sys/fs/cgroup/cpu.max"),
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            mitigations: mitigations(),
        })
    }
}

impl Cpu {
    /// CPUs of the machine, whether they may be used or not.
    pub(crate) fn online_count(&self) -> usize {
        parse_cpu_list(&self.online)
            .map_or(0, |list| list.0.len())
            .max(self.allowed.len())
    }
}

fn mitigations() -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let state = fs::read_to_string(entry.path()).ok()?;
            Some((
                entry.file_name().into_string().ok()?,
                state.trim().to_owned(),
            ))
        })
        .collect()
}

fn memory() -> BTreeMap<String, String> {
    let info = read("/proc/meminfo").unwrap_or_default();
    let mut memory: BTreeMap<String, String> = ["MemTotal", "MemAvailable"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), field(&info, name)?.to_owned())))
        .collect();
    if let Some(pages) = read("/sys/kernel/mm/transparent_hugepage/enabled") {
        memory.insert("transparent_hugepage".to_owned(), pages);
    }
    memory
}

/// The averages of 1, 5 and 15 minutes.
fn load_average() -> String {
    let text = read("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

/// How busy all CPUs together are for the time of one look.
fn busy_percent() -> Option<f64> {
    let before = parse_ticks(&read("/proc/stat")?)?;
    thread::sleep(QUIET_LOOK);
    let after = parse_ticks(&read("/proc/stat")?)?;
    let total = after
        .total
        .checked_sub(before.total)
        .filter(|total| *total > 0)?;
    Some(100.0 * after.busy.saturating_sub(before.busy) as f64 / total as f64)
}

/// CPU time since boot of all CPUs together.
#[derive(Debug, PartialEq, Eq)]
struct Ticks {
    total: u64,
    busy: u64,
}

/// Reads `cpu user nice system idle iowait irq softirq steal ...` (proc_stat(5)).
fn parse_ticks(stat: &str) -> Option<Ticks> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let total = ticks.iter().sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some(Ticks {
        total,
        busy: total - idle,
    })
}

fn sysctls() -> BTreeMap<String, String> {
    SYSCTLS
        .iter()
        .filter_map(|name| {
            let value = read(&format!("/proc/sys/{name}"))?;
            Some((name.replace('/', "."), value.replace('\t', " ")))
        })
        .collect()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn cpu_model(info: &str) -> Option<String> {
    ["model name", "Model", "cpu model", "uarch"]
        .iter()
        .find_map(|name| field(info, name))
        .map(str::to_owned)
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

    #[test]
    fn time_waiting_for_disks_is_not_busy() {
        let stat = "cpu  1 2 3 40 50 6 7 8 0 0\ncpu0 9 9 9 9 9\n";
        assert_eq!(
            parse_ticks(stat),
            Some(Ticks {
                total: 117,
                busy: 27
            })
        );
        assert_eq!(parse_ticks("intr 5"), None);
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let info = "processor\t: 0\nmodel\t\t: 167\nmodel name\t: A CPU: fast\nflags\t: a b\n";
        assert_eq!(cpu_model(info).as_deref(), Some("A CPU: fast"));
        assert_eq!(field(info, "flags"), Some("a b"));
        assert_eq!(field(info, "nothing"), None);
    }
}

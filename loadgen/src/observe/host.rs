//! The machine that a figure was taken on: its processor, its memory, and the settings that a loopback
//! echo can feel.
//!
//! Nothing here names the machine, its user or its directories. What it does not tell is absent or empty,
//! never guessed.

#![expect(
    missing_docs,
    reason = "docs/ringload-json.md has every field, and a test that it does"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use crate::observe::placement::allowed_cpus;

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

/// What is told of a machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Host {
    pub cpu: Cpu,
    /// By the kernel's names.
    pub memory: BTreeMap<String, String>,
    pub limits: Limits,
    /// By their dotted names.
    pub sysctl: BTreeMap<String, String>,
}

/// The processor and what tames it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cpu {
    pub model: String,
    pub architecture: String,
    /// CPUs that this program may use when it looks.
    pub allowed: Vec<usize>,
    pub online: String,
    /// True inside a virtual machine, where the processor says so.
    pub hypervisor: bool,
    /// Frequency governor of the first CPU that may be used.
    pub governor: Option<String>,
    pub turbo_disabled: Option<String>,
    pub smt_active: Option<String>,
    /// Quota and period of the control group.
    pub cgroup_max: Option<String>,
    pub clock_source: Option<String>,
    pub mitigations: BTreeMap<String, String>,
}

/// Resource limits; `null` is unlimited.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Limits {
    pub open_files: Option<u64>,
    pub locked_memory_bytes: Option<u64>,
}

impl Host {
    /// Looks around.
    pub fn read() -> Host {
        Host {
            cpu: Cpu::read(),
            memory: memory(),
            limits: Limits {
                open_files: getrlimit(Resource::Nofile).maximum,
                locked_memory_bytes: getrlimit(Resource::Memlock).current,
            },
            sysctl: sysctls(),
        }
    }
}

impl Cpu {
    fn read() -> Cpu {
        let info = read("/proc/cpuinfo").unwrap_or_default();
        let allowed = allowed_cpus().unwrap_or_default();
        let flags = field(&info, "flags").unwrap_or_default();
        let first = allowed.first().copied().unwrap_or_default();
        let of_cpus = |file: &str| read(format!("/sys/devices/system/cpu/{file}"));
        Cpu {
            model: cpu_model(&info).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            architecture: std::env::consts::ARCH.to_owned(),
            allowed,
            online: of_cpus("online").unwrap_or_default(),
            hypervisor: flags.split_whitespace().any(|flag| flag == "hypervisor"),
            governor: of_cpus(&format!("cpu{first}/cpufreq/scaling_governor")),
            turbo_disabled: of_cpus("intel_pstate/no_turbo"),
            smt_active: of_cpus("smt/active"),
            cgroup_max: read("/sys/fs/cgroup/cpu.max"),
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            mitigations: mitigations(),
        }
    }
}

fn mitigations() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let named = entries.into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some((name, read(entry.path())?))
    });
    named.collect()
}

fn memory() -> BTreeMap<String, String> {
    let info = read("/proc/meminfo").unwrap_or_default();
    let told = ["MemTotal", "MemAvailable"].map(|name| (name, field(&info, name)));
    let pages = read("/sys/kernel/mm/transparent_hugepage/enabled");
    let all = told.into_iter().chain([("transparent_hugepage", pages)]);
    all.filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn sysctls() -> BTreeMap<String, String> {
    let value = |name: &&str| {
        let value = read(format!("/proc/sys/{name}"))?;
        Some((name.replace('/', "."), value.replace('\t', " ")))
    };
    SYSCTLS.iter().filter_map(value).collect()
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}

fn cpu_model(info: &str) -> Option<String> {
    let names = ["model name", "Model", "cpu model", "uarch"];
    names.into_iter().find_map(|name| field(info, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let info = "processor\t: 0\nmodel\t\t: 167\nmodel name\t: A CPU: fast\nflags\t: a b\n";
        assert_eq!(cpu_model(info).as_deref(), Some("A CPU: fast"));
        assert_eq!(field(info, "flags").as_deref(), Some("a b"));
        assert_eq!(field(info, "nothing"), None);
    }
}

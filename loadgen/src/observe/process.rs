//! Readings from /proc. Each parser takes the text, so that tests need no process.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// Where CPU times came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuSource {
    /// /proc/PID/task/TID/schedstat: nanoseconds. A thread that is running at that moment is
    /// accounted up to its last scheduler tick, so an edge is exact to one tick (1 to 10 ms).
    Schedstat,
    /// /proc/PID/task/TID/stat: utime + stime, in clock ticks (10 ms). The kernel has no
    /// scheduler statistics.
    StatTicks,
}

/// CPU account of one thread since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskTime {
    /// Nanoseconds on a CPU.
    pub cpu_ns: u64,
    /// Nanoseconds runnable and waiting for a CPU; `None` where only ticks are known.
    pub wait_ns: Option<u64>,
}

impl TaskTime {
    /// What was added since `earlier`.
    pub(crate) fn since(self, earlier: TaskTime) -> TaskTime {
        TaskTime {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            // A thread that is new has no earlier account.
            wait_ns: self
                .wait_ns
                .map(|wait_ns| wait_ns.saturating_sub(earlier.wait_ns.unwrap_or_default())),
        }
    }
}

/// CPU accounts of a process's threads, by thread id.
pub type Tasks = BTreeMap<i32, TaskTime>;

/// Reads the account of every thread of process `pid`.
///
/// The error is that of the missing or unreadable process.
pub(crate) fn tasks(pid: i32, source: CpuSource) -> io::Result<Tasks> {
    let mut tasks = Tasks::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // A thread may end between the listing and the reading.
        if let Ok(time) = task(pid, id, source) {
            tasks.insert(id, time);
        }
    }
    if tasks.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(tasks)
}

/// `pids` and every process that they started, directly or not, and that still runs.
pub(crate) fn family(pids: &[i32]) -> Vec<i32> {
    let mut family = Vec::new();
    let mut next: Vec<i32> = pids.to_vec();
    while let Some(pid) = next.pop() {
        if family.contains(&pid) {
            continue;
        }
        family.push(pid);
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        // A kernel without CONFIG_PROC_CHILDREN has no such file: then there are only those named.
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            next.extend(
                children
                    .split_ascii_whitespace()
                    .filter_map(|id| id.parse::<i32>().ok()),
            );
        }
    }
    family.sort_unstable();
    family
}

/// Reads the accounts of every thread of `pids` and of the processes that they started.
///
/// The error is that of the first of `pids` that is missing or unreadable.
pub fn family_tasks(pids: &[i32], source: CpuSource) -> io::Result<Tasks> {
    let mut all = Tasks::new();
    for pid in family(pids) {
        match tasks(pid, source) {
            Ok(tasks) => all.extend(tasks),
            // One of the others may have ended since it was listed.
            Err(error) if pids.contains(&pid) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(all)
}

/// The memory of `pids` and of the processes that they started, added up. Shared pages count once
/// for each process in the resident set, and once in all in the proportional one.
pub(crate) fn family_memory(pids: &[i32]) -> io::Result<Memory> {
    let mut total = Memory {
        pss_bytes: Some(0),
        private_dirty_bytes: Some(0),
        ..Memory::default()
    };
    for pid in family(pids) {
        let one = match memory(pid) {
            Ok(one) => one,
            Err(error) if pids.contains(&pid) => return Err(error),
            Err(_) => continue,
        };
        total.rss_bytes += one.rss_bytes;
        total.rss_anonymous_bytes += one.rss_anonymous_bytes;
        total.rss_peak_bytes += one.rss_peak_bytes;
        total.pss_bytes = total.pss_bytes.zip(one.pss_bytes).map(|(a, b)| a + b);
        total.private_dirty_bytes = total
            .private_dirty_bytes
            .zip(one.private_dirty_bytes)
            .map(|(a, b)| a + b);
    }
    Ok(total)
}

fn task(pid: i32, id: i32, source: CpuSource) -> io::Result<TaskTime> {
    let (file, parse): (_, fn(&str) -> Option<TaskTime>) = match source {
        CpuSource::Schedstat => ("schedstat", parse_schedstat),
        CpuSource::StatTicks => ("stat", parse_stat),
    };
    let text = fs::read_to_string(format!("/proc/{pid}/task/{id}/{file}"))?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The better source that this kernel has.
pub fn cpu_source() -> CpuSource {
    let own = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    if is_accounted(&own) {
        CpuSource::Schedstat
    } else {
        CpuSource::StatTicks
    }
}

/// Whether the kernel keeps the account that a thread which runs has in its schedstat. Its nanoseconds
/// are 0 until the first tick; but that it was given a CPU, which is the third figure, is counted at once.
fn is_accounted(schedstat: &str) -> bool {
    let slices = schedstat.split_ascii_whitespace().nth(2);
    slices.is_some_and(|slices| slices != "0")
}

/// `cpu_ns wait_ns slices`.
fn parse_schedstat(text: &str) -> Option<TaskTime> {
    let mut fields = text.split_ascii_whitespace();
    let cpu_ns = fields.next()?.parse().ok()?;
    let wait_ns = fields.next()?.parse().ok()?;
    Some(TaskTime {
        cpu_ns,
        wait_ns: Some(wait_ns),
    })
}

/// Fields 14 and 15 of proc_pid_stat(5); the name in parentheses may hold anything.
fn parse_stat(text: &str) -> Option<TaskTime> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    Some(TaskTime {
        cpu_ns: (user + system) * tick_ns,
        wait_ns: None,
    })
}

/// The resident set of `pid` and of the processes that it started: cheap enough to be asked again and again.
pub fn resident_bytes(pid: i32) -> io::Result<u64> {
    let mut total = 0;
    for one in family(&[pid]) {
        match fs::read_to_string(format!("/proc/{one}/status")) {
            Ok(status) => total += kibibytes(&status, "VmRSS:").unwrap_or_default(),
            Err(error) if one == pid => return Err(error),
            Err(_) => {}
        }
    }
    Ok(total)
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Memory {
    /// Resident set (VmRSS).
    pub rss_bytes: u64,
    /// Its anonymous part (RssAnon).
    pub rss_anonymous_bytes: u64,
    /// Highest resident set so far (VmHWM).
    pub rss_peak_bytes: u64,
    /// Proportional share (Pss), if smaps_rollup is readable.
    pub pss_bytes: Option<u64>,
    /// Private_Dirty, if smaps_rollup is readable.
    pub private_dirty_bytes: Option<u64>,
}

/// Reads the memory of process `pid`. A process that has ended has none, also while its parent has not
/// asked how: that is an error, and not 0 bytes.
pub(crate) fn memory(pid: i32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    // Another user's process shows its status but not its maps.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    parse_memory(&status, &rollup).ok_or_else(|| {
        let text = format!("the status of process {pid} has no resident set");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// The lines of /proc/PID/status and /proc/PID/smaps_rollup; `None` if the former has none for memory.
fn parse_memory(status: &str, rollup: &str) -> Option<Memory> {
    Some(Memory {
        rss_bytes: kibibytes(status, "VmRSS:")?,
        rss_anonymous_bytes: kibibytes(status, "RssAnon:")?,
        rss_peak_bytes: kibibytes(status, "VmHWM:")?,
        pss_bytes: kibibytes(rollup, "Pss:"),
        private_dirty_bytes: kibibytes(rollup, "Private_Dirty:"),
    })
}

/// The value in bytes of a line `name   123 kB`.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// CPUs that are online, whether or not this process may use them; 0 if /proc/stat is missing.
pub fn cpus_online() -> usize {
    fs::read_to_string("/proc/stat").map_or(0, |text| count_cpus(&text))
}

/// Lines `cpu0 ...`, `cpu1 ...`.
fn count_cpus(text: &str) -> usize {
    let numbered = |line: &&str| {
        line.strip_prefix("cpu")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    text.lines().filter(numbered).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_the_kernel_writes() {
        let time = parse_schedstat("643588 44234 1\n").unwrap();
        assert_eq!(
            time,
            TaskTime {
                cpu_ns: 643_588,
                wait_ns: Some(44_234)
            }
        );
        assert_eq!(parse_schedstat(""), None);
        // A process that is younger than a tick, and a kernel without scheduler statistics.
        assert!(is_accounted("0 63657 1\n"));
        assert!(!is_accounted("0 0 0\n") && !is_accounted(""));

        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 0 0 20 0 1 0 1 1 1";
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        let ticks = parse_stat(stat).unwrap();
        assert_eq!((ticks.cpu_ns, ticks.wait_ns), (12 * tick_ns, None));

        let status = "Name:\tx\nVmHWM:\t  2000 kB\nVmRSS:\t  1000 kB\nRssAnon:\t 10 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(1_024_000));
        assert_eq!(kibibytes(status, "Pss:"), None);
        let memory = parse_memory(status, "Pss:\t 7 kB\n").unwrap();
        assert_eq!(
            (memory.rss_bytes, memory.pss_bytes),
            (1_024_000, Some(7168))
        );
        assert_eq!(memory.private_dirty_bytes, None);
        assert_eq!(parse_memory("Name:\tx\nState:\tZ (zombie)\n", ""), None);

        let stat = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(count_cpus(stat), 1);
    }

    #[test]
    fn reads_this_very_process() {
        let pid = std::process::id() as i32;
        let own = tasks(pid, cpu_source()).unwrap();
        assert!(own.contains_key(&rustix::thread::gettid().as_raw_nonzero().get()));
        assert!(memory(pid).unwrap().rss_bytes > 0);
        assert!(family_memory(&[pid]).unwrap().rss_bytes > 0);
        assert!(cpus_online() > 0);
    }

    #[test]
    fn a_process_that_has_ended_has_no_memory() {
        let mut child = std::process::Command::new("true")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        // It has ended when nobody holds the other end of its output, and is not asked how.
        io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut Vec::new()).unwrap();
        let is_zombie = || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            status.contains("\nState:\tZ")
        };
        while !is_zombie() {
            std::thread::yield_now();
        }
        assert!(memory(pid).is_err());
        assert!(family_memory(&[std::process::id() as i32, pid]).is_err());
        child.wait().unwrap();
        assert!(memory(pid).is_err());
    }
}

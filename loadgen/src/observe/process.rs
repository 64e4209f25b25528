//! CPU time and memory of processes, from /proc.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use procfs::process::{Process, Task};
use procfs::{ProcError, ProcResult};
use serde::{Deserialize, Serialize};

use super::others::CpuTimes;

/// Where CPU times came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuSource {
    /// The account of a control group: microseconds, in version 1 nanoseconds. What a process that ended
    /// meanwhile had used is in it.
    Cgroup,
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
        // A thread that is new has no earlier account.
        let waited = |now: u64| now.saturating_sub(earlier.wait_ns.unwrap_or_default());
        TaskTime {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            wait_ns: self.wait_ns.map(waited),
        }
    }
}

/// CPU accounts of a process's threads, by thread id.
pub type Tasks = BTreeMap<i32, TaskTime>;

/// Where the accounts of threads come from: the better source that this kernel has.
pub fn cpu_source() -> CpuSource {
    static SOURCE: LazyLock<CpuSource> = LazyLock::new(|| {
        // The nanoseconds of a young thread are 0 until the first tick; but that it was given a CPU is
        // counted at once, by a kernel that counts.
        let own = Process::myself().and_then(|own| own.schedstat());
        match own.is_ok_and(|own| own.pcount > 0) {
            true => CpuSource::Schedstat,
            false => CpuSource::StatTicks,
        }
    });
    *SOURCE
}

/// Reads the account of every thread of process `pid`.
///
/// The error is that of the missing or unreadable process.
pub(crate) fn tasks(pid: i32) -> ProcResult<Tasks> {
    let threads = Process::new(pid)?.tasks()?.flatten();
    // A thread may end between the listing and the reading.
    let tasks: Tasks = threads
        .filter_map(|thread| Some((thread.tid, account(&thread).ok()?)))
        .collect();
    if tasks.is_empty() {
        return Err(ProcError::NotFound(None));
    }
    Ok(tasks)
}

fn account(thread: &Task) -> ProcResult<TaskTime> {
    if cpu_source() == CpuSource::Schedstat {
        let stat = thread.schedstat()?;
        return Ok(TaskTime {
            cpu_ns: stat.sum_exec_runtime,
            wait_ns: Some(stat.run_delay),
        });
    }
    let stat = thread.stat()?;
    Ok(TaskTime {
        cpu_ns: (stat.utime + stat.stime) * (1_000_000_000 / procfs::ticks_per_second()),
        wait_ns: None,
    })
}

/// CPU time of the calling thread, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
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
        let threads = Process::new(pid).and_then(|process| process.tasks());
        // A kernel without CONFIG_PROC_CHILDREN has no such file: then there are only those named.
        let children = threads.into_iter().flatten().flatten();
        let children = children.filter_map(|thread| thread.children().ok());
        next.extend(children.flatten().map(u32::cast_signed));
    }
    family.sort_unstable();
    family
}

/// What `read` says of each of `pids` and of the processes that they started.
///
/// The error is that of the first of `pids` that is missing or unreadable.
fn of_family<T>(pids: &[i32], read: impl Fn(i32) -> ProcResult<T>) -> ProcResult<Vec<T>> {
    let readings = family(pids).into_iter().map(|pid| (pid, read(pid)));
    readings
        // One of the others may have ended since it was listed.
        .filter(|(pid, reading)| reading.is_ok() || pids.contains(pid))
        .map(|(_, reading)| reading)
        .collect()
}

/// The accounts of every thread of `pids` and of the processes that they started.
///
/// The error is that of the first of `pids` that is missing or unreadable.
pub fn family_tasks(pids: &[i32]) -> ProcResult<Tasks> {
    Ok(of_family(pids, tasks)?.into_iter().flatten().collect())
}

/// The memory of `pids` and of the processes that they started, added up. Shared pages count once
/// for each process in the resident set, and once in all in the proportional one.
pub(crate) fn family_memory(pids: &[i32]) -> ProcResult<Memory> {
    let all = of_family(pids, memory)?;
    Ok(all.into_iter().reduce(Memory::plus).unwrap_or_default())
}

/// The resident set of `pid` and of the processes that it started: cheap enough to be asked again and again.
pub fn resident_bytes(pid: i32) -> ProcResult<u64> {
    let resident = |pid| Ok(Process::new(pid)?.status()?.vmrss.unwrap_or_default() * 1024);
    Ok(of_family(&[pid], resident)?.iter().sum())
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

impl Memory {
    fn plus(self, other: Memory) -> Memory {
        let both = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        Memory {
            rss_bytes: self.rss_bytes + other.rss_bytes,
            rss_anonymous_bytes: self.rss_anonymous_bytes + other.rss_anonymous_bytes,
            rss_peak_bytes: self.rss_peak_bytes + other.rss_peak_bytes,
            pss_bytes: both(self.pss_bytes, other.pss_bytes),
            private_dirty_bytes: both(self.private_dirty_bytes, other.private_dirty_bytes),
        }
    }
}

/// Reads the memory of process `pid`. A process that has ended has none, also while its parent has not
/// asked how: that is an error, and not 0 bytes.
pub(crate) fn memory(pid: i32) -> ProcResult<Memory> {
    let process = Process::new(pid)?;
    let status = process.status()?;
    // Another user's process shows its status but not its maps.
    let rollup = process.smaps_rollup().ok();
    let rollup = rollup.and_then(|rollup| rollup.memory_map_rollup.0.into_iter().next());
    let in_maps = |name| rollup.as_ref()?.extension.map.get(name).copied();
    let in_status = || {
        Some(Memory {
            rss_bytes: status.vmrss? * 1024,
            rss_anonymous_bytes: status.rssanon? * 1024,
            rss_peak_bytes: status.vmhwm? * 1024,
            pss_bytes: in_maps("Pss"),
            private_dirty_bytes: in_maps("Private_Dirty"),
        })
    };
    in_status()
        .ok_or_else(|| ProcError::Other(format!("the status of process {pid} has no resident set")))
}

/// CPUs that are online, whether or not this process may use them; 0 if /proc/stat is missing.
pub fn cpus_online() -> usize {
    CpuTimes::read().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_very_process() {
        let pid = std::process::id().cast_signed();
        let own = tasks(pid).unwrap();
        assert!(own.contains_key(&rustix::thread::gettid().as_raw_nonzero().get()));
        let memory = memory(pid).unwrap();
        assert!(memory.rss_bytes > 0 && memory.rss_peak_bytes >= memory.rss_anonymous_bytes);
        // The kernel rounds down what is proportional.
        assert!(
            memory
                .pss_bytes
                .is_none_or(|pss| pss <= memory.rss_peak_bytes)
        );
        assert!(family_memory(&[pid]).unwrap().rss_bytes > 0);
        assert!(cpus_online() > 0);
    }

    #[test]
    fn time_on_a_cpu_is_in_the_account() {
        let pid = std::process::id().cast_signed();
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        let before = tasks(pid).unwrap()[&id];
        // However long it takes to get so much.
        while tasks(pid).unwrap()[&id].since(before).cpu_ns < 20_000_000 {}
        assert!(tasks(i32::MAX).is_err() && family_tasks(&[pid, i32::MAX]).is_err());
    }

    #[test]
    fn children_are_of_the_family_and_may_end() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let (own, pid) = (std::process::id().cast_signed(), child.id().cast_signed());
        let of_both = family(&[own]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            of_both.contains(&own) && of_both.contains(&pid),
            "{of_both:?}"
        );
        // What has ended is passed over unless it was named.
        let readings = |pids: &[i32]| {
            of_family(pids, |one| {
                if one == pid {
                    memory(i32::MAX)
                } else {
                    memory(one)
                }
            })
        };
        assert!(readings(&[own]).is_ok() && readings(&[own, pid]).is_err());
    }

    #[test]
    fn a_process_that_has_ended_has_no_memory() {
        let mut child = std::process::Command::new("true")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        // It has ended when nobody holds the other end of its output, and is not asked how.
        std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut Vec::new()).unwrap();
        while Process::new(pid).unwrap().stat().unwrap().state != 'Z' {
            std::thread::yield_now();
        }
        assert!(memory(pid).is_err());
        assert!(family_memory(&[std::process::id().cast_signed(), pid]).is_err());
        child.wait().unwrap();
        assert!(memory(pid).is_err());
    }
}

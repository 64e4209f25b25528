//! CPU time that neither side used: what other tasks took on the CPUs that both sides may use, and what the
//! hypervisor withheld of them.
//!
//! The kernel's account of a CPU (/proc/stat) holds everybody's time; the accounts of the two sides are
//! taken from it. What is left belongs to others: another process, or the kernel's own threads.
//!
//! Two things limit it. The accounts are in ticks of 10 ms, and most kernels sample them (250 times a
//! second, as a rule), so a CPU that is half busy is known to a few percent after a second:
//! `Others::error_percent` says how well. And kernels differ in whether a task's own account holds the
//! interrupt work done while it ran, which for loopback traffic is the receiving half of TCP: counted
//! twice or not at all, it would look like another task. `InterruptTime::find` tries it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use procfs::process::{Process, Task};

use super::process::{tasks, thread_cpu_ns};

/// Shortest window that is judged: below it a few ticks decide.
const WINDOW_SECONDS_MIN: f64 = 1.0;

/// How often a kernel looks at what a CPU does, unless built otherwise.
const SAMPLES_PER_SECOND: f64 = 250.0;

/// Standard deviations that a figure is taken to be exact to.
const DEVIATIONS: f64 = 3.0;

/// Length and number of the trials of where interrupt time goes.
const TRIAL: Duration = Duration::from_millis(3);
const TRIALS: usize = 5;

/// Share of a trial that must be missing from the thread's account for interrupt time to be apart. A
/// datagram's way through the loopback interface is mostly interrupt work.
const APART_SHARE: f64 = 0.1;

/// What one CPU did since boot, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// Running tasks: user, nice and system. Guests are in it.
    pub(crate) tasks_ns: u64,
    /// Serving interrupts: irq and softirq.
    pub(crate) interrupts_ns: u64,
    /// Withheld by the hypervisor.
    pub(crate) stolen_ns: u64,
    /// All of it, idle time included.
    pub(crate) all_ns: u64,
}

impl CpuTime {
    fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            tasks_ns: self.tasks_ns.saturating_sub(earlier.tasks_ns),
            interrupts_ns: self.interrupts_ns.saturating_sub(earlier.interrupts_ns),
            stolen_ns: self.stolen_ns.saturating_sub(earlier.stolen_ns),
            all_ns: self.all_ns.saturating_sub(earlier.all_ns),
        }
    }
}

/// The accounts of all CPUs, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes(BTreeMap<usize, CpuTime>);

impl CpuTimes {
    /// Reads them; empty without /proc/stat.
    pub fn read() -> CpuTimes {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        CpuTimes::parse(&text, 1_000_000_000 / procfs::ticks_per_second())
    }

    /// Lines `cpuN user nice system idle iowait irq softirq steal ...` in ticks of `tick_ns`.
    fn parse(text: &str, tick_ns: u64) -> CpuTimes {
        let line = |line: &str| {
            // The first line, `cpu`, is the sum of all.
            let mut fields = line.strip_prefix("cpu")?.split(' ');
            let number: usize = fields.next()?.parse().ok()?;
            let ns =
                fields.map_while(|field| Some(field.parse::<u64>().ok()?.saturating_mul(tick_ns)));
            // Guest times, which come after the eighth, are in the user's already.
            let ns: Vec<u64> = ns.take(8).collect();
            let sum = |all: &[u64]| all.iter().copied().fold(0, u64::saturating_add);
            // Old kernels do not tell of a hypervisor.
            (ns.len() >= 7).then(|| {
                let time = CpuTime {
                    tasks_ns: sum(&ns[..3]),
                    interrupts_ns: sum(&ns[5..7]),
                    stolen_ns: sum(&ns[7..]),
                    all_ns: sum(&ns),
                };
                (number, time)
            })
        };
        CpuTimes(text.lines().filter_map(line).collect())
    }

    /// How many CPUs there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// What each CPU did since `earlier`.
    fn since(&self, earlier: &CpuTimes) -> BTreeMap<usize, CpuTime> {
        let since =
            |(cpu, time): (&usize, &CpuTime)| Some((*cpu, time.since(*earlier.0.get(cpu)?)));
        self.0.iter().filter_map(since).collect()
    }

    /// How busy all CPUs together were since `earlier`, in percent of their time; `None` without a tick.
    /// What the hypervisor withheld counts as busy, time waiting for disks does not.
    pub fn busy_percent(&self, earlier: &CpuTimes) -> Option<f64> {
        let busy = |cpu: &CpuTime| cpu.tasks_ns + cpu.interrupts_ns + cpu.stolen_ns;
        share_percent(self.since(earlier).values(), busy)
    }

    /// What the hypervisor withheld since `earlier` of `cpus`, in percent of their time; of all CPUs if
    /// nothing is known of those. `None` without a tick.
    pub(crate) fn steal_percent(&self, earlier: &CpuTimes, cpus: &BTreeSet<usize>) -> Option<f64> {
        let since = self.since(earlier);
        let those = cpus.iter().filter_map(|cpu| since.get(cpu));
        let stolen = |cpu: &CpuTime| cpu.stolen_ns;
        share_percent(those, stolen).or_else(|| share_percent(since.values(), stolen))
    }
}

/// What `part` says of these CPUs, in percent of all their time; `None` of no time.
fn share_percent<'a>(
    cpus: impl Iterator<Item = &'a CpuTime>,
    part: impl Fn(&CpuTime) -> u64,
) -> Option<f64> {
    let sums = cpus.map(|cpu| (part(cpu), cpu.all_ns));
    let (part_ns, all_ns) = sums.fold((0, 0), |sum, cpu| (sum.0 + cpu.0, sum.1 + cpu.1));
    (all_ns > 0).then(|| 100.0 * part_ns as f64 / all_ns as f64)
}

/// Where a kernel books the interrupt work that is done while a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InterruptTime {
    /// In the account of the task that it interrupted.
    InTasks,
    /// In no task's account (CONFIG_IRQ_TIME_ACCOUNTING).
    Apart,
}

impl InterruptTime {
    /// Tries it, in some milliseconds: a thread that sends itself datagrams either has all of the time
    /// in its account, or lacks what the interrupts took.
    pub(crate) fn find() -> InterruptTime {
        let missing = (0..TRIALS).filter_map(|_| missing_share());
        // What cannot be tried is taken to be as kernels are by default.
        match missing.min_by(f64::total_cmp) {
            Some(share) if share >= APART_SHARE => InterruptTime::Apart,
            _ => InterruptTime::InTasks,
        }
    }
}

/// Share of a trial's time that the thread neither used nor waited for. A hypervisor's theft is in it
/// too, so the least of several trials counts.
fn missing_share() -> Option<f64> {
    let socket = UdpSocket::bind("127.0.0.1:0").ok()?;
    socket.connect(socket.local_addr().ok()?).ok()?;
    socket.set_read_timeout(Some(TRIAL)).ok()?;
    let waited_ns = || {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        let threads = tasks(std::process::id().cast_signed()).ok()?;
        threads.get(&id)?.wait_ns
    };
    let mut buffer = [0; 64];
    // Whoever interrupts between two of these readings makes more seem to be missing, never less.
    let (start, used, waited) = (Instant::now(), thread_cpu_ns(), waited_ns()?);
    while start.elapsed() < TRIAL {
        socket.send(&[0; 32]).ok()?;
        socket.recv(&mut buffer).ok()?;
    }
    let waited = waited_ns()?.saturating_sub(waited);
    let used = thread_cpu_ns() - used;
    Some(1.0 - (used + waited) as f64 / start.elapsed().as_nanos() as f64)
}

/// What others used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Others {
    /// Their CPU time, in percent of one CPU.
    pub(crate) percent: f64,
    /// How far that may be off, in percent of one CPU.
    pub(crate) error_percent: f64,
    /// Whether the window was long enough to go by it.
    pub(crate) is_judged: bool,
}

/// What others used on `cpus` between `from` and `to`, `seconds` apart, of which the two sides together
/// used `sides_ns`; `None` of no time.
pub(crate) fn others(
    from: &CpuTimes,
    to: &CpuTimes,
    cpus: &BTreeSet<usize>,
    sides_ns: u64,
    seconds: f64,
    interrupts: InterruptTime,
) -> Option<Others> {
    if seconds <= 0.0 {
        return None;
    }
    let (mut used_ns, mut variance) = (0.0, 0.0);
    let since = to.since(from);
    for cpu in cpus.iter().filter_map(|cpu| since.get(cpu)) {
        let interrupts_ns = match interrupts {
            InterruptTime::InTasks => cpu.interrupts_ns,
            InterruptTime::Apart => 0,
        };
        let cpu_ns = (cpu.tasks_ns + interrupts_ns) as f64;
        used_ns += cpu_ns;
        // Of independent looks at a CPU that is busy for this share of the time.
        let share = (cpu_ns / 1e9 / seconds).clamp(0.0, 1.0);
        variance += share * (1.0 - share) / (SAMPLES_PER_SECOND * seconds);
    }
    Some(Others {
        percent: (100.0 * (used_ns - sides_ns as f64) / 1e9 / seconds).max(0.0),
        error_percent: 100.0 * DEVIATIONS * variance.sqrt(),
        is_judged: seconds >= WINDOW_SECONDS_MIN,
    })
}

/// CPUs that any thread of these processes may use; processes that cannot be read add none.
pub fn allowed_cpus(pids: &[i32]) -> BTreeSet<usize> {
    let tasks = |pid: &i32| Process::new(*pid).and_then(|process| process.tasks()).ok();
    let threads = pids.iter().filter_map(tasks).flatten().flatten();
    threads.flat_map(|thread| cpus_of(&thread)).collect()
}

/// CPUs that thread `id` of this process may use.
pub(crate) fn thread_cpus(id: i32) -> BTreeSet<usize> {
    let thread = Process::myself().and_then(|own| own.task_from_tid(id));
    thread.map_or_else(|_| BTreeSet::new(), |thread| cpus_of(&thread))
}

fn cpus_of(thread: &Task) -> BTreeSet<usize> {
    let ranges = thread
        .status()
        .ok()
        .and_then(|status| status.cpus_allowed_list);
    let ranges = ranges.into_iter().flatten();
    ranges
        .flat_map(|(first, last)| first as usize..=last as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn stat(rows: &[[u64; 8]]) -> CpuTimes {
        let mut text = String::from("cpu  9 9 9 9 9 9 9 9 0 0\n");
        for (number, row) in rows.iter().enumerate() {
            let fields: Vec<String> = row.iter().map(u64::to_string).collect();
            text += &format!("cpu{number} {} 0 0\n", fields.join(" "));
        }
        text += "intr 1 2 3\nctxt 5\n";
        CpuTimes::parse(&text, 10 * MS)
    }

    #[test]
    fn the_kernels_text_is_read_by_column() {
        let times = stat(&[[1, 2, 3, 100, 100, 4, 5, 100], [0; 8]]);
        let old = CpuTimes::parse("cpu0 1 1 1 1 1 1 1\n", 1);
        assert_eq!((old.0[&0].stolen_ns, old.0[&0].all_ns), (0, 7));
        let expected = CpuTime {
            tasks_ns: 60 * MS,
            interrupts_ns: 90 * MS,
            stolen_ns: 1000 * MS,
            all_ns: 3150 * MS,
        };
        assert_eq!(times.0[&0], expected);
        assert_eq!(times.0.len(), 2);
        for odd in ["", "cpu", "cpu0", "cpu0 1 2", "cpuidle 1 2 3 4 5 6 7 8"] {
            assert_eq!(CpuTimes::parse(odd, 1), CpuTimes::default(), "{odd:?}");
        }
    }

    #[test]
    fn time_waiting_for_disks_is_not_busy() {
        let from = stat(&[[1, 2, 3, 40, 50, 6, 7, 8], [0; 8]]);
        let to = stat(&[[2, 4, 6, 80, 100, 12, 14, 16], [0, 0, 0, 17, 0, 0, 0, 0]]);
        assert_eq!(to.busy_percent(&from), Some(100.0 * 27.0 / 134.0));
        assert_eq!(to.busy_percent(&to), None);
    }

    #[test]
    fn what_neither_side_used_is_the_others() {
        let from = stat(&[[0; 8], [0; 8], [0; 8]]);
        // Two seconds: CPU 0 was busy all the time, CPU 1 half, CPU 2 belongs to neither side.
        let to = stat(&[
            [100, 0, 80, 0, 0, 0, 20, 0],
            [60, 0, 40, 100, 0, 0, 0, 0],
            [200, 0, 0, 0, 0, 0, 0, 0],
        ]);
        let both = BTreeSet::from([0, 1]);
        let others = |sides_ms: u64, interrupts| {
            others(&from, &to, &both, sides_ms * MS, 2.0, interrupts).unwrap()
        };
        let in_tasks = others(2800, InterruptTime::InTasks);
        assert!((in_tasks.percent - 10.0).abs() < 1e-9, "{in_tasks:?}");
        assert!(in_tasks.is_judged);
        // A busy CPU is sampled exactly; of the half-busy one the deviation of 500 looks is 2.2 %.
        assert!((in_tasks.error_percent - 6.7).abs() < 0.1, "{in_tasks:?}");
        // What no task's account holds is nobody's.
        let apart = others(2800, InterruptTime::Apart);
        assert!(apart.percent.abs() < 1e-9, "{apart:?}");
        // Rounding may give the sides more than there was.
        assert_eq!(others(9999, InterruptTime::InTasks).percent, 0.0);
    }

    #[test]
    fn theft_is_looked_for_where_the_sides_are() {
        let idle = [0, 0, 0, 200, 0, 0, 0, 0];
        let from = stat(&[[7; 8]; 64]);
        let mut rows = [idle; 64];
        // The server's only CPU was withheld for half of the time.
        rows[5] = [60, 0, 40, 0, 0, 0, 0, 100];
        let to = stat(&rows.map(|row| row.map(|ticks| ticks + 7)));
        let percent = |cpus: &[usize]| {
            let cpus = cpus.iter().copied().collect();
            to.steal_percent(&from, &cpus).unwrap()
        };
        assert_eq!(percent(&[5]), 50.0);
        assert_eq!(percent(&[4, 5]), 25.0);
        assert_eq!(percent(&[0, 1, 2]), 0.0);
        // Where it is not known where they are, all CPUs count.
        for unknown in [&[][..], &[64, 1000]] {
            assert_eq!(percent(unknown), 50.0 / 64.0);
        }
        assert_eq!(from.steal_percent(&from, &BTreeSet::from([5])), None);
        let nothing = CpuTimes::default();
        assert_eq!(nothing.steal_percent(&nothing, &BTreeSet::new()), None);
    }

    #[test]
    fn a_short_window_is_not_judged() {
        let (from, to) = (stat(&[[0; 8]]), stat(&[[10, 0, 0, 0, 0, 0, 0, 0]]));
        let cpus = BTreeSet::from([0, 7]);
        let others = |seconds| others(&from, &to, &cpus, 0, seconds, InterruptTime::InTasks);
        let short = others(0.5).unwrap();
        assert!((short.percent - 20.0).abs() < 1e-9 && !short.is_judged);
        assert_eq!(others(0.0), None);
    }

    #[test]
    fn a_neighbour_is_seen_beside_an_idle_side() {
        // A child that is on a CPU as much as it is let, and a side that does nothing: whatever else
        // this machine does comes on top, so the child's own account is the least.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let pid = child.id() as i32;
        let cpus = allowed_cpus(&[pid]);
        let used = || -> u64 {
            let tasks = tasks(pid).unwrap();
            tasks.values().map(|task| task.cpu_ns).sum()
        };
        let (from, start, before) = (CpuTimes::read(), Instant::now(), used());
        while used() - before < 200 * MS {
            std::thread::sleep(Duration::from_millis(10));
        }
        let (after, seconds) = (used(), start.elapsed().as_secs_f64());
        let to = CpuTimes::read();
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = others(&from, &to, &cpus, 0, seconds, InterruptTime::InTasks).unwrap();
        let least = 100.0 * (after - before) as f64 / 1e9 / seconds;
        assert!(seen.percent > 0.5 * least, "{seen:?}, {least}");
    }

    #[test]
    fn this_process_may_use_a_cpu() {
        assert!(!allowed_cpus(&[std::process::id() as i32]).is_empty());
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        assert!(!thread_cpus(id).is_empty());
        assert!(allowed_cpus(&[i32::MAX]).is_empty());
        assert!(!CpuTimes::read().0.is_empty());
        let share = missing_share().unwrap();
        assert!((-0.1..1.0).contains(&share), "{share}");
    }
}

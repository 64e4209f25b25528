//! Two snapshots of everything, and what lies between them.
//!
//! One thread reads the clock, the message counters and the CPU accounts of generator and
//! server in one go, at each edge; so rates and CPU per message speak of the same time.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use crate::control::Control;
use crate::observe::others::{CpuTimes, InterruptTime, Others, allowed_cpus, others, thread_cpus};
use crate::observe::process::{CpuSource, TaskTime, Tasks, family, family_tasks, tasks};
use crate::sys;

/// A process under observation.
#[derive(Clone)]
pub(crate) struct Observed {
    /// Processes of the server, if given; those that they started are observed with them.
    pub(crate) server_pids: Vec<i32>,
    /// Where CPU times come from.
    pub(crate) source: CpuSource,
    /// Where this kernel books the time of interrupts.
    pub(crate) interrupts: InterruptTime,
}

/// Everything at one edge of the window.
pub(crate) struct Snapshot {
    /// Nanoseconds on the run's clock.
    pub(crate) at: u64,
    /// The same, in seconds since 1970.
    pub(crate) unix_seconds: f64,
    messages: u64,
    payload_bytes: u64,
    wire_bytes_sent: u64,
    wire_bytes_received: u64,
    /// By load thread.
    polled_ns: Vec<u64>,
    own: Tasks,
    cpus: CpuTimes,
    /// CPUs that the two sides may use; empty unless those of both are known.
    cpus_of_both: BTreeSet<usize>,
    usage: sys::Usage,
    server: Option<io::Result<Tasks>>,
}

impl Snapshot {
    /// Reads everything now.
    pub(crate) fn take(control: &Control, observed: &Observed) -> Snapshot {
        // First, so that the accounts are read close to each other.
        let (generator, server) = cpus_of_both(control, observed);
        let are_known = !generator.is_empty() && !server.is_empty();
        let cpus_of_both = match are_known {
            true => &generator | &server,
            false => BTreeSet::new(),
        };
        Snapshot {
            cpus: CpuTimes::read(),
            cpus_of_both,
            ..Snapshot::glance(control, observed)
        }
    }

    /// Reads what a slice within the window needs: not the accounts of whole CPUs, which take longest,
    /// while a load thread may be waiting for the CPU that this runs on.
    pub(crate) fn glance(control: &Control, observed: &Observed) -> Snapshot {
        let pids = &observed.server_pids;
        let server = (!pids.is_empty()).then(|| family_tasks(pids, observed.source));
        let own = tasks(std::process::id() as i32, observed.source).unwrap_or_default();
        let usage = sys::usage();
        Snapshot {
            at: control.clock.now(),
            unix_seconds: UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64(),
            wire_bytes_sent: control.total(|line| &line.wire_bytes_sent),
            polled_ns: control
                .lines
                .iter()
                .map(|line| line.polled_ns.load(Ordering::Relaxed))
                .collect(),
            wire_bytes_received: control.total(|line| &line.wire_bytes_received),
            messages: control.total(|line| &line.messages),
            payload_bytes: control.total(|line| &line.payload_bytes),
            own,
            cpus: CpuTimes::default(),
            cpus_of_both: BTreeSet::new(),
            usage,
            server,
        }
    }
}

/// What happened between two snapshots.
pub(crate) struct Window {
    /// Length in seconds.
    pub(crate) seconds: f64,
    /// Messages verified.
    pub(crate) messages: u64,
    /// Their payload, one way.
    pub(crate) payload_bytes: u64,
    /// What the kernel took, and gave.
    pub(crate) wire_bytes_sent: u64,
    pub(crate) wire_bytes_received: u64,
    /// Accounts of the load threads, in order, without the time in which they only looked for
    /// something to do.
    pub(crate) generator: Vec<TaskTime>,
    /// Share of the generator's CPU time spent in user mode, 0 to 1.
    pub(crate) generator_user_share: f64,
    /// Accounts of the server's threads, busiest first; `None` without a readable server.
    pub(crate) server: Option<Vec<TaskTime>>,
    /// CPU time that the hypervisor withheld of the CPUs that both sides may use, in percent of theirs;
    /// of all CPUs where those are not known; `None` if the kernel does not say.
    pub(crate) steal_percent: Option<f64>,
}

impl Window {
    /// The difference of two snapshots of one run.
    pub(crate) fn between(control: &Control, from: &Snapshot, to: &Snapshot) -> Window {
        let generator = control
            .lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                let id = line.thread_id.load(Ordering::Relaxed);
                let account = account(&from.own, &to.own, id);
                let polled_ns = to.polled_ns[index] - from.polled_ns[index];
                TaskTime {
                    cpu_ns: account.cpu_ns.saturating_sub(polled_ns),
                    ..account
                }
            })
            .collect();
        let user = to.usage.user_ns.saturating_sub(from.usage.user_ns) as f64;
        let system = to.usage.system_ns.saturating_sub(from.usage.system_ns) as f64;
        Window {
            seconds: to.at.saturating_sub(from.at) as f64 / 1e9,
            messages: to.messages - from.messages,
            payload_bytes: to.payload_bytes - from.payload_bytes,
            wire_bytes_sent: to.wire_bytes_sent - from.wire_bytes_sent,
            wire_bytes_received: to.wire_bytes_received - from.wire_bytes_received,
            generator,
            generator_user_share: user / (user + system).max(1.0),
            server: server_accounts(from, to),
            steal_percent: to.cpus.steal_percent(&from.cpus, &to.cpus_of_both),
        }
    }
}

/// CPUs that the load threads may use, and those of the server.
pub(crate) fn cpus_of_both(
    control: &Control,
    observed: &Observed,
) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let threads = control.lines.iter();
    let generator = threads
        .flat_map(|line| thread_cpus(line.thread_id.load(Ordering::Relaxed)))
        .collect();
    (generator, allowed_cpus(&family(&observed.server_pids)))
}

/// What others used of `cpus` between two snapshots; nothing is known without a readable server, which
/// would be one of them.
pub(crate) fn others_between(
    observed: &Observed,
    cpus: &BTreeSet<usize>,
    from: &Snapshot,
    to: &Snapshot,
) -> Option<Others> {
    let server = server_accounts(from, to)?;
    // All threads of this process, not only those that load.
    let own = to.own.keys().map(|id| account(&from.own, &to.own, *id));
    let sides_ns = own.chain(server).map(|task| task.cpu_ns).sum();
    let seconds = to.at.saturating_sub(from.at) as f64 / 1e9;
    others(
        &from.cpus,
        &to.cpus,
        cpus,
        sides_ns,
        seconds,
        observed.interrupts,
    )
}

fn account(from: &Tasks, to: &Tasks, id: i32) -> TaskTime {
    let earlier = from.get(&id).copied().unwrap_or_default();
    to.get(&id).copied().unwrap_or_default().since(earlier)
}

fn server_accounts(from: &Snapshot, to: &Snapshot) -> Option<Vec<TaskTime>> {
    let (Some(Ok(from)), Some(Ok(to))) = (&from.server, &to.server) else {
        return None;
    };
    let mut accounts: Vec<TaskTime> = to.keys().map(|id| account(from, to, *id)).collect();
    accounts.sort_by_key(|account| std::cmp::Reverse(account.cpu_ns));
    Some(accounts)
}

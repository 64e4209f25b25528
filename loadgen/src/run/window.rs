//! Two snapshots of everything, and what lies between them.
//!
//! One thread reads the clock, the message counters and the CPU accounts of generator and
//! server in one go, at each edge; so rates and CPU per message speak of the same time.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

use crate::control::Control;
use crate::observe::cgroup::{Cgroup, GroupTime};
use crate::observe::gaps::Gaps;
use crate::observe::others::{CpuTimes, InterruptTime, Others, allowed_cpus, others, thread_cpus};
use crate::observe::process::{
    CpuSource, TaskTime, Tasks, cpu_source, family, family_tasks, tasks,
};

/// What is observed beside the load itself.
#[derive(Clone)]
pub(crate) struct Observed {
    /// Processes of the server, if given; those that they started are observed with them.
    pub(crate) server_pids: Vec<i32>,
    /// Its control group, if it is alone in one.
    pub(crate) cgroup: Option<Cgroup>,
    /// Where this kernel books the time of interrupts.
    pub(crate) interrupts: InterruptTime,
    /// How long this machine took a CPU from a thread that only spins, if that was measured.
    pub(crate) gaps: Option<Gaps>,
}

impl Observed {
    /// Where the server's CPU time comes from. That of threads never comes from a control group.
    pub(crate) fn server_source(&self) -> CpuSource {
        match self.cgroup {
            Some(_) => CpuSource::Cgroup,
            None => cpu_source(),
        }
    }
}

/// Everything at one edge of the window.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// Nanoseconds on the run's clock.
    pub(crate) at: u64,
    messages: u64,
    payload_bytes: u64,
    wire_bytes_sent: u64,
    wire_bytes_received: u64,
    /// By load thread.
    polled_ns: Vec<u64>,
    own: Tasks,
    cpus: CpuTimes,
    /// CPUs that the generator may use, and the server; empty where they are not known.
    pub(super) cpus_of_sides: [BTreeSet<usize>; 2],
    /// Of this process, in user mode and in the kernel.
    usage: [Duration; 2],
    /// `None` without a readable server.
    server: Option<Tasks>,
    server_group: Option<GroupTime>,
}

impl Snapshot {
    /// Reads everything now.
    pub(crate) fn take(control: &Control, observed: &Observed) -> Snapshot {
        let threads = control.lines.iter();
        let generator = threads
            .flat_map(|line| thread_cpus(line.thread_id.load(Ordering::Relaxed)))
            .collect();
        Snapshot {
            // First, so that the accounts are read close to each other.
            cpus_of_sides: [generator, allowed_cpus(&family(&observed.server_pids))],
            cpus: CpuTimes::read(),
            ..Snapshot::glance(control, observed)
        }
    }

    /// Reads what a slice within the window needs: not the accounts of whole CPUs, which take longest,
    /// while a load thread may be waiting for the CPU that this runs on.
    pub(crate) fn glance(control: &Control, observed: &Observed) -> Snapshot {
        let pids = &observed.server_pids;
        let is_observed = Some(pids).filter(|pids| !pids.is_empty());
        let server_group = observed.cgroup.as_ref().and_then(|group| group.time().ok());
        let own = tasks(std::process::id().cast_signed()).unwrap_or_default();
        Snapshot {
            at: control.clock.now(),
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
            cpus_of_sides: Default::default(),
            usage: usage(),
            server: is_observed.and_then(|pids| family_tasks(pids).ok()),
            server_group,
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
    /// CPU time of the server, by its control group if it has one, else by its threads.
    pub(crate) server_cpu_ns: Option<u64>,
    /// Account of the server's control group.
    pub(crate) server_group: Option<GroupTime>,
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
        let [user, system] =
            [0, 1].map(|part| to.usage[part].saturating_sub(from.usage[part]).as_nanos() as f64);
        let server = server_accounts(from, to);
        let server_group = group_account(from, to);
        let [generator_cpus, server_cpus] = &to.cpus_of_sides;
        let are_known = !generator_cpus.is_empty() && !server_cpus.is_empty();
        let cpus = are_known.then(|| generator_cpus | server_cpus);
        Window {
            seconds: to.at.saturating_sub(from.at) as f64 / 1e9,
            messages: to.messages - from.messages,
            payload_bytes: to.payload_bytes - from.payload_bytes,
            wire_bytes_sent: to.wire_bytes_sent - from.wire_bytes_sent,
            wire_bytes_received: to.wire_bytes_received - from.wire_bytes_received,
            generator,
            generator_user_share: user / (user + system).max(1.0),
            server_cpu_ns: server_cpu_ns(server.as_deref(), server_group),
            server,
            server_group,
            steal_percent: to.cpus.steal_percent(&from.cpus, &cpus.unwrap_or_default()),
        }
    }

    /// What all load threads used, in nanoseconds.
    pub(super) fn generator_cpu_ns(&self) -> u64 {
        self.generator.iter().map(|task| task.cpu_ns).sum()
    }
}

/// What others used of the CPUs of both sides between two snapshots; nothing is known without a readable server,
/// which would be one of them.
pub(super) fn others_between(
    observed: &Observed,
    from: &Snapshot,
    to: &Snapshot,
) -> Option<Others> {
    let server = server_accounts(from, to)?;
    // All threads of this process, not only those that load.
    let own = to.own.keys().map(|id| account(&from.own, &to.own, *id));
    let own_ns: u64 = own.map(|task| task.cpu_ns).sum();
    let server_ns = server_cpu_ns(Some(&server), group_account(from, to));
    let sides_ns = own_ns + server_ns.unwrap_or_default();
    let seconds = to.at.saturating_sub(from.at) as f64 / 1e9;
    let [generator_cpus, server_cpus] = &to.cpus_of_sides;
    others(
        &from.cpus,
        &to.cpus,
        &(generator_cpus | server_cpus),
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
    let (from, to) = from.server.as_ref().zip(to.server.as_ref())?;
    let mut accounts: Vec<TaskTime> = to.keys().map(|id| account(from, to, *id)).collect();
    accounts.sort_by_key(|account| std::cmp::Reverse(account.cpu_ns));
    Some(accounts)
}

/// What the server's threads used together, unless its control group tells: threads that ended within the
/// window are in that account only. `None` without a readable server.
fn server_cpu_ns(threads: Option<&[TaskTime]>, group: Option<GroupTime>) -> Option<u64> {
    let threads_ns = threads?.iter().map(|task| task.cpu_ns).sum();
    Some(group.map_or(threads_ns, |group| group.cpu_ns))
}

fn group_account(from: &Snapshot, to: &Snapshot) -> Option<GroupTime> {
    Some(to.server_group?.since(from.server_group?))
}

/// CPU time of this process, in user mode and in the kernel.
fn usage() -> [Duration; 2] {
    // The call cannot fail with this argument.
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Default::default();
    };
    [usage.user_time(), usage.system_time()].map(|time| {
        Duration::from_secs(time.tv_sec().cast_unsigned())
            + Duration::from_micros(time.tv_usec().cast_unsigned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::busy::Busy;

    const MS: u64 = 1_000_000;

    fn snapshot(ms: u64, own: Tasks, polled_ms: u64) -> Snapshot {
        let server = Tasks::from([(
            7,
            TaskTime {
                cpu_ns: 3 * ms * MS / 10,
                wait_ns: None,
            },
        )]);
        Snapshot {
            at: ms * MS,
            messages: 0,
            payload_bytes: 0,
            wire_bytes_sent: 0,
            wire_bytes_received: 0,
            polled_ns: vec![polled_ms * MS],
            own,
            cpus: CpuTimes::default(),
            cpus_of_sides: Default::default(),
            usage: Default::default(),
            server: Some(server),
            server_group: None,
        }
    }

    #[test]
    fn looking_for_work_is_no_work() {
        let control = Control::new(1, 0).unwrap();
        control.lines[0].thread_id.store(5, Ordering::Relaxed);
        let own = |cpu_ms: u64| {
            Tasks::from([(
                5,
                TaskTime {
                    cpu_ns: cpu_ms * MS,
                    wait_ns: Some(MS),
                },
            )])
        };
        let (from, to) = (snapshot(0, own(100), 40), snapshot(1000, own(1050), 890));
        let window = Window::between(&control, &from, &to);
        // Of 950 ms on a CPU the thread polled for 850.
        assert_eq!(window.generator[0].cpu_ns, 100 * MS);
        assert_eq!(
            Busy::of(&window.generator, window.seconds).on_cpu_percent,
            10.0
        );
        // To others it is as good as used.
        let others = others_between(&observed(), &from, &to);
        assert_eq!(others.map(|others| others.percent), Some(0.0));
    }

    #[test]
    fn the_servers_time_is_its_groups_where_it_has_one() {
        let control = Control::new(1, 0).unwrap();
        let (from, to) = (
            snapshot(0, Tasks::new(), 0),
            snapshot(1000, Tasks::new(), 0),
        );
        let window = Window::between(&control, &from, &to);
        assert_eq!(window.server_cpu_ns, Some(300 * MS));
        let grouped = |snapshot, cpu_ms: u64| Snapshot {
            server_group: Some(GroupTime {
                cpu_ns: cpu_ms * MS,
                user_ns: cpu_ms * MS / 2,
                system_ns: cpu_ms * MS / 2,
            }),
            ..snapshot
        };
        let (from, to) = (grouped(from, 10), grouped(to, 510));
        let window = Window::between(&control, &from, &to);
        assert_eq!(window.server_cpu_ns, Some(500 * MS));
        assert_eq!(window.server_group.unwrap().user_ns, 250 * MS);
        // Its threads say how busy it was all the same; without them it is gone.
        assert_eq!(window.server.unwrap()[0].cpu_ns, 300 * MS);
        let gone = Snapshot { server: None, ..to };
        assert_eq!(Window::between(&control, &from, &gone).server_cpu_ns, None);
    }

    fn observed() -> Observed {
        Observed {
            server_pids: vec![7],
            cgroup: None,
            interrupts: InterruptTime::InTasks,
            gaps: None,
        }
    }

    #[test]
    fn this_process_uses_the_cpu() {
        let [user, system] = usage();
        while usage().iter().sum::<Duration>() <= user + system {}
    }
}

//! Who was the limit: a number without this is not a result.

use serde::{Deserialize, Serialize};

use super::process::TaskTime;

/// A thread on a CPU for this share of the window has nothing left to give.
const SATURATED_PERCENT: f64 = 95.0;

/// A side that waited for a CPU for this share of the window had to share it.
const SHARED_PERCENT: f64 = 5.0;

/// A server thread counts as a worker if it used at least this share of what the busiest did;
/// the rest (signal handlers, garbage collectors, idle pools) says nothing about saturation.
const WORKER_SHARE: f64 = 0.2;

/// CPU time that the hypervisor withheld, in percent of all, from which on a run is noisy.
const STEAL_PERCENT: f64 = 2.0;

/// CPU time that others used on the CPUs of both sides, in percent of one, from which on a run is
/// noisy.
const OTHERS_PERCENT: f64 = 5.0;

/// Backlog at the end, as a share of what was offered, from which on a schedule was not held.
const BACKLOG_SHARE: f64 = 0.01;

/// How late the generator may be with one message in a thousand before it is said that it cannot hold
/// the schedule.
const LATENESS_NS_MAX: u64 = 200_000;

/// What a number is worth, and who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The server had nothing left and the generator had: the figures are the server's.
    ServerBound,
    /// The generator had nothing left: throughput is a lower bound; CPU per message holds.
    GeneratorBound,
    /// Both had time left: the load that was asked for set the pace.
    LoadBound,
    /// Others took part, or the halves of the window disagree: compare CPU per message only.
    Noisy,
    /// Something went wrong: not a result.
    Invalid,
    /// The server's CPU is not known (no readable `--server-pid`), and nothing known speaks against
    /// the generator.
    Unobserved,
}

impl Verdict {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verdict::ServerBound => "server-bound",
            Verdict::GeneratorBound => "generator-bound",
            Verdict::LoadBound => "load-bound",
            Verdict::Noisy => "noisy",
            Verdict::Invalid => "invalid",
            Verdict::Unobserved => "unobserved",
        }
    }
}

/// All that a verdict rests on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) generator: Busy,
    pub(crate) server: Option<Busy>,
    pub(crate) steal_percent: f64,
    pub(crate) others_percent: f64,
    /// How the halves of the window disagree, if they do.
    pub(crate) unstable: Option<String>,
    /// What went wrong, if anything did.
    pub(crate) failure: Option<String>,
    /// Of an open loop only.
    pub(crate) schedule: Option<Schedule>,
}

/// How an open loop's schedule was held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Schedule {
    /// Messages that were due within the window.
    pub(crate) offered: f64,
    /// Messages due and not given to the kernel when it closed.
    pub(crate) backlog_end: u64,
    /// How late the generator took up one message in a thousand, at least.
    pub(crate) lateness_p99_9_ns: u64,
}

/// Use of CPU by one side over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub(crate) struct Busy {
    /// Threads that did the work.
    pub(crate) threads: usize,
    /// Mean share of the window those threads were on a CPU, in percent.
    pub(crate) on_cpu_percent: f64,
    /// Mean share of the window they were runnable but waited for a CPU, in percent.
    pub(crate) cpu_wait_percent: f64,
}

impl Busy {
    /// Sums up the threads of one side over `seconds`.
    pub(crate) fn of(tasks: &[TaskTime], seconds: f64) -> Busy {
        let most = tasks
            .iter()
            .map(|task| task.cpu_ns)
            .max()
            .unwrap_or_default();
        let floor = most as f64 * WORKER_SHARE;
        let workers: Vec<&TaskTime> = tasks
            .iter()
            .filter(|task| task.cpu_ns > 0 && task.cpu_ns as f64 >= floor)
            .collect();
        if workers.is_empty() || seconds <= 0.0 {
            return Busy::default();
        }
        let available_ns = seconds * 1e9 * workers.len() as f64;
        let percent = |total: u64| 100.0 * total as f64 / available_ns;
        Busy {
            threads: workers.len(),
            on_cpu_percent: percent(workers.iter().map(|task| task.cpu_ns).sum()),
            cpu_wait_percent: percent(workers.iter().map(|task| task.wait_ns).sum()),
        }
    }

    fn saturated(self) -> bool {
        self.on_cpu_percent >= SATURATED_PERCENT
    }

    fn shared(self) -> bool {
        self.cpu_wait_percent >= SHARED_PERCENT
    }
}

/// Judges, and says why in one sentence.
pub(crate) fn judge(evidence: &Evidence) -> (Verdict, String) {
    let figures = figures(evidence);
    let because = |verdict, why: String| (verdict, format!("{why}; {figures}"));
    if let Some(failure) = &evidence.failure {
        return because(Verdict::Invalid, failure.clone());
    }
    let generator = evidence.generator;
    if generator.saturated() {
        let also = match evidence.server {
            Some(server) if server.saturated() => "neither side had CPU time left",
            _ => "the generator had no CPU time left",
        };
        return because(Verdict::GeneratorBound, also.to_owned());
    }
    if let Some(why) = disturbance(evidence) {
        return because(Verdict::Noisy, why);
    }
    if let Some(schedule) = evidence.schedule {
        if schedule.lateness_p99_9_ns > LATENESS_NS_MAX {
            let late = schedule.lateness_p99_9_ns / 1000;
            let why = format!(
                "the generator could not hold the schedule: one message in a thousand was taken up \
                 {late} µs late or more"
            );
            return because(Verdict::GeneratorBound, why);
        }
        if schedule.backlog_end as f64 > BACKLOG_SHARE * schedule.offered {
            let why = format!(
                "the server could not hold the rate: {} of {:.0} messages were due and could not be sent",
                schedule.backlog_end, schedule.offered
            );
            return because(Verdict::ServerBound, why);
        }
    }
    match evidence.server {
        None => because(
            Verdict::Unobserved,
            "the server was not observed (give --server-pid)".to_owned(),
        ),
        Some(server) if server.saturated() => because(
            Verdict::ServerBound,
            "the server had no CPU time left".to_owned(),
        ),
        Some(_) => because(
            Verdict::LoadBound,
            "both sides had CPU time left".to_owned(),
        ),
    }
}

/// Why figures of wall-clock time are not to be trusted, if so.
fn disturbance(evidence: &Evidence) -> Option<String> {
    if evidence.steal_percent >= STEAL_PERCENT {
        let steal = evidence.steal_percent;
        return Some(format!(
            "the hypervisor withheld {steal:.1} % of the CPU time"
        ));
    }
    if evidence.others_percent >= OTHERS_PERCENT {
        let others = evidence.others_percent;
        return Some(format!(
            "others used {others:.1} % of a CPU beside the two sides"
        ));
    }
    if evidence.generator.shared() {
        return Some("the generator had to wait for a CPU".to_owned());
    }
    if evidence.server.is_some_and(Busy::shared) {
        return Some("the server had to wait for a CPU".to_owned());
    }
    evidence.unstable.clone()
}

fn figures(evidence: &Evidence) -> String {
    let figures = |name: &str, busy: Busy| {
        let threads = busy.threads;
        let plural = if threads == 1 { "" } else { "s" };
        format!(
            "{name} {:.1} % on CPU and {:.1} % waiting for one ({threads} thread{plural})",
            busy.on_cpu_percent, busy.cpu_wait_percent
        )
    };
    let generator = figures("generator", evidence.generator);
    match evidence.server {
        Some(server) => format!("{}, {generator}", figures("server", server)),
        None => generator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(cpu_ms: u64, wait_ms: u64) -> TaskTime {
        TaskTime {
            cpu_ns: cpu_ms * 1_000_000,
            wait_ns: wait_ms * 1_000_000,
        }
    }

    fn evidence(generator: &[TaskTime], server: &[TaskTime]) -> Evidence {
        Evidence {
            generator: Busy::of(generator, 1.0),
            server: Some(Busy::of(server, 1.0)),
            ..Evidence::default()
        }
    }

    fn verdict(generator: &[TaskTime], server: &[TaskTime]) -> Verdict {
        judge(&evidence(generator, server)).0
    }

    #[test]
    fn the_saturated_side_is_the_limit() {
        let (full, half) = ([task(990, 0)], [task(500, 10)]);
        assert_eq!(verdict(&half, &full), Verdict::ServerBound);
        assert_eq!(verdict(&full, &half), Verdict::GeneratorBound);
        assert_eq!(verdict(&full, &full), Verdict::GeneratorBound);
        assert_eq!(verdict(&half, &half), Verdict::LoadBound);
        // A starved server is not the limit: whoever had its CPU is.
        assert_eq!(verdict(&half, &[task(500, 480)]), Verdict::Noisy);
        assert_eq!(verdict(&[task(500, 60)], &half), Verdict::Noisy);
        // Idle threads beside the worker do not dilute it; a second worker at half does.
        assert_eq!(
            verdict(&half, &[task(980, 0), task(3, 0), task(0, 0)]),
            Verdict::ServerBound
        );
        assert_eq!(
            verdict(&half, &[task(980, 0), task(500, 0)]),
            Verdict::LoadBound
        );
    }

    #[test]
    fn an_unobserved_server_is_not_judged() {
        let unobserved = |cpu_ms| Evidence {
            server: None,
            ..evidence(&[task(cpu_ms, 0)], &[])
        };
        assert_eq!(judge(&unobserved(500)).0, Verdict::Unobserved);
        assert_eq!(judge(&unobserved(999)).0, Verdict::GeneratorBound);
        assert_eq!(Busy::of(&[], 1.0), Busy::default());
    }
}

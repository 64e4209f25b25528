//! How busy one side was, and whether it had anything left.

use serde::{Deserialize, Serialize};

use crate::observe::process::TaskTime;

/// A thread on a CPU for this share of the window has nothing left to give: what is missing are the moments between
/// a message's end and the next one's arrival.
pub(crate) const SATURATED_PERCENT: f64 = 95.0;

/// A side that waited for a CPU for this share of the window had to share it.
pub(crate) const SHARED_PERCENT: f64 = 5.0;

/// A thread counts as a worker if it used at least this share of what the busiest of its side did; the rest (signal
/// handlers, garbage collectors, idle pools) says nothing about saturation.
const WORKER_SHARE: f64 = 0.2;

/// Use of CPU by one side over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Busy {
    /// Threads that did the work.
    pub threads: usize,
    /// Mean share of the window those threads were on a CPU, in percent.
    pub on_cpu_percent: f64,
    /// Mean share of the window they were runnable but waited for a CPU, in percent; `None` if unknown.
    pub cpu_wait_percent: Option<f64>,
    /// Share of the window the busiest of them was on a CPU, in percent.
    #[serde(default)]
    pub busiest_on_cpu_percent: f64,
    /// CPUs that this side may use; `None` if unknown.
    #[serde(default)]
    pub cpus: Option<usize>,
}

impl Busy {
    /// Sums up the threads of one side over `seconds`.
    pub(crate) fn of(tasks: &[TaskTime], seconds: f64) -> Busy {
        let most = tasks.iter().map(|task| task.cpu_ns).max();
        let most = most.unwrap_or_default();
        let floor = (most as f64 * WORKER_SHARE).max(1.0);
        let workers = tasks.iter().filter(|task| task.cpu_ns as f64 >= floor);
        let workers: Vec<&TaskTime> = workers.collect();
        if workers.is_empty() || seconds <= 0.0 {
            return Busy::default();
        }
        let percent = |total: u64| 100.0 * total as f64 / (seconds * 1e9);
        let mean = |total: u64| percent(total) / workers.len() as f64;
        let waited: Option<u64> = workers.iter().map(|task| task.wait_ns).sum();
        Busy {
            threads: workers.len(),
            on_cpu_percent: mean(workers.iter().map(|task| task.cpu_ns).sum()),
            cpu_wait_percent: waited.map(mean),
            busiest_on_cpu_percent: percent(most),
            cpus: None,
        }
    }

    /// The same, of a side that may use this many CPUs; 0 if nobody knows.
    pub(crate) fn within(self, cpus: usize) -> Busy {
        let cpus = (cpus > 0).then_some(cpus);
        Busy { cpus, ..self }
    }

    /// How this side had nothing left: the share of CPU time that says so, in percent, and the words for it; `None`
    /// if it had.
    pub(crate) fn exhausted(self, name: &str) -> Option<(f64, String)> {
        let threads = self.threads;
        let crowded = self.cpus.filter(|cpus| *cpus < threads);
        let used_percent = self.on_cpu_percent * threads as f64;
        let of_cpus = crowded.map_or(0.0, |cpus| used_percent / cpus.max(1) as f64);
        let (percent, why) = if self.on_cpu_percent >= SATURATED_PERCENT {
            let whose = match self.cpus {
                Some(cpus) if cpus > threads => format!(
                    " in its {threads} working thread{}, of {cpus} CPUs that it may use",
                    plural(threads)
                ),
                _ => String::new(),
            };
            let why = format!("{name} had no CPU time left{whose}");
            (self.on_cpu_percent, why)
        } else if of_cpus >= SATURATED_PERCENT {
            let cpus = crowded.unwrap_or_default();
            let plural = plural(cpus);
            let why = format!("{name} used up the {cpus} CPU{plural} that it may use");
            (of_cpus, why)
        } else {
            let why = format!(
                "one of {name}'s {threads} working threads had no CPU time left, while the others had: its \
                 connections are not spread evenly"
            );
            (self.busiest_on_cpu_percent, why)
        };
        (percent >= SATURATED_PERCENT).then_some((percent, why))
    }

    /// The share of the window that it waited for a CPU, if that says that it had to share one: threads that are
    /// more than their CPUs take turns among themselves.
    pub(crate) fn shared(self) -> Option<f64> {
        let takes_turns = self.cpus.is_some_and(|cpus| cpus < self.threads);
        self.cpu_wait_percent
            .filter(|waited| *waited >= SHARED_PERCENT && !takes_turns)
    }
}

fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One thread on a CPU, and waiting for one, for these shares of a second in percent.
    pub(crate) fn task(cpu_percent: u64, wait_percent: u64) -> TaskTime {
        TaskTime {
            cpu_ns: cpu_percent * 10_000_000,
            wait_ns: Some(wait_percent * 10_000_000),
        }
    }

    /// A side with one thread.
    pub(crate) fn busy(cpu_percent: u64, wait_percent: u64) -> Busy {
        Busy::of(&[task(cpu_percent, wait_percent)], 1.0)
    }

    /// A side with threads that were on a CPU for these shares.
    pub(crate) fn threads(cpu_percent: &[u64]) -> Busy {
        let tasks: Vec<TaskTime> = cpu_percent.iter().map(|cpu| task(*cpu, 0)).collect();
        Busy::of(&tasks, 1.0)
    }

    #[test]
    fn idle_threads_are_no_workers() {
        let side = threads(&[98, 3, 0]);
        assert_eq!((side.threads, side.on_cpu_percent), (1, 98.0));
        assert_eq!(Busy::of(&[], 1.0), Busy::default());
        assert_eq!(Busy::of(&[task(50, 0)], 0.0), Busy::default());
        assert_eq!(busy(1, 0).within(0).cpus, None);
    }

    #[test]
    fn what_is_not_known_is_not_called_nothing() {
        let ticks = TaskTime {
            wait_ns: None,
            ..task(50, 0)
        };
        let side = Busy::of(&[task(50, 9), ticks], 1.0);
        assert_eq!((side.cpu_wait_percent, side.shared()), (None, None));
    }

    #[test]
    fn a_side_has_nothing_left_by_its_threads_or_by_its_cpus() {
        // Four threads that take turns on as many CPUs as `within` says.
        let crowd = |cpu, wait| Busy::of(&[task(cpu, wait); 4], 1.0);
        for (side, phrase) in [
            (busy(99, 0), "the server had no CPU time left"),
            (threads(&[99, 97, 96]), "the server had no CPU time left"),
            (threads(&[98, 1, 0]), "the server had no CPU time left"),
            (busy(98, 0).within(8), "in its 1 working thread, of 8 CPUs"),
            (
                threads(&[99, 40, 40]),
                "one of the server's 3 working threads",
            ),
            (crowd(49, 45).within(2), "used up the 2 CPUs"),
        ] {
            let (percent, why) = side.exhausted("the server").unwrap();
            assert!(
                percent >= SATURATED_PERCENT && why.contains(phrase),
                "{why}"
            );
        }
        for side in [
            busy(94, 0),
            threads(&[80, 60]),
            crowd(20, 9).within(2),
            Busy::default(),
        ] {
            assert_eq!(side.exhausted("the server"), None);
        }
        assert_eq!(crowd(20, 9).within(4).shared(), Some(9.0));
        assert_eq!(crowd(20, 9).within(2).shared(), None);
        assert_eq!(busy(50, 4).shared(), None);
    }
}

//! Who was the limit: a number without this is not a result.

use serde::Serialize;

use super::process::TaskTime;

/// A thread on a CPU for this share of the window has nothing left to give.
const SATURATED_PERCENT: f64 = 95.0;

/// A side that waited for a CPU for this share of the window had to share it.
const SHARED_PERCENT: f64 = 5.0;

/// A server thread counts as a worker if it used at least this share of what the busiest did;
/// the rest (signal handlers, garbage collectors, idle pools) says nothing about saturation.
const WORKER_SHARE: f64 = 0.2;

/// Which side limited the throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// The server had no CPU left and the generator had: the figure is the server's.
    Server,
    /// The generator had no CPU left and the server had: the figure is a lower bound.
    Generator,
    /// Neither had any left: throughput is a lower bound; CPU per message still holds.
    Both,
    /// Neither was saturated, and one waited for a CPU that another task had: throughput and
    /// latency are the machine's; CPU per message still holds.
    Shared,
    /// Both had time left: round trips of the closed loop set the pace.
    Neither,
    /// The server's CPU is not known (no readable `--server-pid`).
    Unknown,
}

/// Use of CPU by one side over the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
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

/// Judges from the use of CPU on both sides, and says why in one sentence.
pub(crate) fn judge(generator: Busy, server: Option<Busy>) -> (Limit, String) {
    let figures = |name: &str, busy: Busy| {
        let threads = busy.threads;
        let plural = if threads == 1 { "" } else { "s" };
        format!(
            "{name} {:.1} % on CPU and {:.1} % waiting for one ({threads} thread{plural})",
            busy.on_cpu_percent, busy.cpu_wait_percent
        )
    };
    let generator_figures = figures("generator", generator);
    let Some(server) = server else {
        let limit = match (generator.saturated(), generator.shared()) {
            (true, _) => Limit::Generator,
            (false, true) => Limit::Shared,
            (false, false) => Limit::Unknown,
        };
        return (
            limit,
            format!("{generator_figures}, server not observed (give --server-pid)"),
        );
    };
    let limit = match (server.saturated(), generator.saturated()) {
        (true, false) => Limit::Server,
        (false, true) => Limit::Generator,
        (true, true) => Limit::Both,
        (false, false) if server.shared() || generator.shared() => Limit::Shared,
        (false, false) => Limit::Neither,
    };
    (
        limit,
        format!("{}, {generator_figures}", figures("server", server)),
    )
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

    fn limit(generator: &[TaskTime], server: &[TaskTime]) -> Limit {
        judge(Busy::of(generator, 1.0), Some(Busy::of(server, 1.0))).0
    }

    #[test]
    fn the_saturated_side_is_the_limit() {
        let (full, half) = ([task(990, 0)], [task(500, 10)]);
        assert_eq!(limit(&half, &full), Limit::Server);
        assert_eq!(limit(&full, &half), Limit::Generator);
        assert_eq!(limit(&full, &full), Limit::Both);
        assert_eq!(limit(&half, &half), Limit::Neither);
        // A starved server is not the limit: whoever had its CPU is.
        assert_eq!(limit(&half, &[task(500, 480)]), Limit::Shared);
        assert_eq!(limit(&[task(500, 60)], &half), Limit::Shared);
        assert_eq!(limit(&[task(500, 60)], &full), Limit::Server);
        // Idle threads beside the worker do not dilute it; a second worker at half does.
        assert_eq!(
            limit(&half, &[task(980, 0), task(3, 0), task(0, 0)]),
            Limit::Server
        );
        assert_eq!(limit(&half, &[task(980, 0), task(500, 0)]), Limit::Neither);
    }

    #[test]
    fn an_unobserved_server_is_not_judged() {
        assert_eq!(
            judge(Busy::of(&[task(500, 0)], 1.0), None).0,
            Limit::Unknown
        );
        assert_eq!(
            judge(Busy::of(&[task(999, 0)], 1.0), None).0,
            Limit::Generator
        );
        assert_eq!(Busy::of(&[], 1.0), Busy::default());
    }
}

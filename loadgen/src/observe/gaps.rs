//! How long this machine takes a CPU from a thread that does nothing but run: interrupts, other tasks, a
//! hypervisor. A delay below that cannot be told from the machine's own.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};

/// Shorter gaps are those between two looks at the clock.
const GAP_MIN: Duration = Duration::from_micros(1);

/// Time for the threads to be started, so that they all spin at once and nobody starts another beside them.
const LEAD: Duration = Duration::from_millis(2);

/// For how long a spinning thread did not see the clock go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// The longest time, in nanoseconds, on any of the CPUs.
    pub longest_ns: u64,
    /// The 99.9th percentile of those of a microsecond or more; 0 without any.
    pub p99_9_ns: u64,
    /// How many of those there were.
    pub count: usize,
}

/// Spins for `length` on each of `cpus` at once, on threads of its own. `None` if none of them can be used.
pub fn measure(cpus: &[usize], length: Duration) -> Option<Gaps> {
    let start = Instant::now() + LEAD;
    let found: Vec<Vec<Duration>> = std::thread::scope(|scope| {
        let spin_on = |cpu: usize| {
            let mut only = CpuSet::new();
            only.set(cpu);
            sched_setaffinity(None, &only).ok()?;
            std::thread::sleep(start.saturating_duration_since(Instant::now()));
            Some(spin(length))
        };
        let spawn = |&cpu| {
            let thread = std::thread::Builder::new().name(format!("gaps-{cpu}"));
            thread.spawn_scoped(scope, move || spin_on(cpu)).ok()
        };
        let threads: Vec<_> = cpus.iter().filter_map(spawn).collect();
        let gaps = threads.into_iter().map(|thread| thread.join().ok()?);
        gaps.flatten().collect()
    });
    (!found.is_empty()).then(|| Gaps::of(found.into_iter().flatten().collect()))
}

/// The gaps that a thread sees which looks at the clock for `length`.
fn spin(length: Duration) -> Vec<Duration> {
    // Room for one in twenty microseconds: growing would be a gap of our own.
    let mut gaps = Vec::with_capacity(length.as_micros() as usize / 20);
    let mut last = Instant::now();
    let end = last + length;
    while last < end {
        let now = Instant::now();
        let gap = now - last;
        if gap >= GAP_MIN {
            gaps.push(gap);
        }
        last = now;
    }
    gaps
}

impl Gaps {
    fn of(mut gaps: Vec<Duration>) -> Gaps {
        gaps.sort_unstable();
        let at_rank = |rank: usize| gaps.get(rank).map_or(0, |gap| gap.as_nanos() as u64);
        Gaps {
            longest_ns: at_rank(gaps.len().saturating_sub(1)),
            p99_9_ns: at_rank((gaps.len() * 999).div_ceil(1000).saturating_sub(1)),
            count: gaps.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::placement::allowed_cpus;

    #[test]
    fn the_longest_gap_and_its_percentile_are_told_apart() {
        assert_eq!(Gaps::of(Vec::new()), Gaps::default());
        let gaps = Gaps::of((1..=2000).rev().map(Duration::from_micros).collect());
        let expected = Gaps {
            longest_ns: 2_000_000,
            p99_9_ns: 1_998_000,
            count: 2000,
        };
        assert_eq!(gaps, expected);
    }

    #[test]
    fn a_thread_that_loses_its_cpu_sees_a_gap() {
        // Three threads on one CPU: while one runs, the others see the clock stand still. The kernel lets
        // none of them alone for so long.
        let cpu = allowed_cpus().unwrap()[0];
        let gaps = measure(&[cpu; 3], Duration::from_millis(400)).unwrap();
        assert!(gaps.longest_ns >= 100_000, "{gaps:?}");
        assert!(
            gaps.p99_9_ns <= gaps.longest_ns && gaps.count > 0,
            "{gaps:?}"
        );
    }

    #[test]
    fn a_cpu_that_is_not_there_is_passed_over() {
        let brief = Duration::from_millis(1);
        assert_eq!(measure(&[], brief), None);
        assert_eq!(measure(&[CpuSet::MAX_CPU - 1], brief), None);
        let cpu = allowed_cpus().unwrap()[0];
        assert!(measure(&[CpuSet::MAX_CPU - 1, cpu], brief).is_some());
    }
}

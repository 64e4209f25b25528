//! Which CPU serves and which one generates the load.

use super::options::Options;
use anyhow::{Context, ensure};
use rustix::thread::{CpuSet, sched_getaffinity};
use serde::Serialize;
use std::fs;

/// Where the two sides of a measurement run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Placement {
    pub(crate) server_cpu: usize,
    pub(crate) generator_cpu: usize,
    /// Why figures taken here are worth less than they look, if so.
    pub(crate) warning: Option<String>,
}

impl Placement {
    /// Takes what the options name, otherwise the first CPU that this process may use and the next
    /// one that shares no core with it.
    pub(crate) fn choose(options: &Options) -> anyhow::Result<Placement> {
        let allowed = allowed_cpus()?;
        for (option, cpu) in [
            ("--server-cpu", options.server_cpu),
            ("--generator-cpu", options.generator_cpu),
        ] {
            if let Some(cpu) = cpu {
                ensure!(
                    allowed.contains(&cpu),
                    "{option} {cpu}: usable are {allowed:?}"
                );
            }
        }
        Ok(place(
            &allowed,
            options.server_cpu,
            options.generator_cpu,
            thread_siblings,
        ))
    }

    /// True when server and generator take time from each other, so that nothing can be compared.
    pub(crate) fn is_shared(&self) -> bool {
        self.server_cpu == self.generator_cpu
    }
}

/// The CPUs that this process may use.
pub(crate) fn allowed_cpus() -> anyhow::Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("cannot read the CPU affinity")?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&cpu| set.is_set(cpu))
        .collect())
}

fn place(
    allowed: &[usize],
    server: Option<usize>,
    generator: Option<usize>,
    siblings: impl Fn(usize) -> Vec<usize>,
) -> Placement {
    let first = |taken: Option<usize>| allowed.iter().copied().find(|cpu| Some(*cpu) != taken);
    let server_cpu = server
        .or_else(|| first(generator))
        .or(generator)
        .unwrap_or(0);
    let beside = siblings(server_cpu);
    let generator_cpu = generator
        .or_else(|| {
            allowed
                .iter()
                .copied()
                .find(|c| *c != server_cpu && !beside.contains(c))
        })
        .or_else(|| first(Some(server_cpu)))
        .unwrap_or(server_cpu);
    let warning = if server_cpu == generator_cpu {
        Some(
            "Server and generator share one CPU: these figures are worthless for comparison."
                .to_owned(),
        )
    } else if beside.contains(&generator_cpu) {
        Some(
            "Server and generator are two hardware threads of one core and slow each other down."
                .to_owned(),
        )
    } else {
        None
    };
    Placement {
        server_cpu,
        generator_cpu,
        warning,
    }
}

/// The hardware threads of the core that `cpu` belongs to; nothing when the kernel does not say.
fn thread_siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    parse_cpu_list(fs::read_to_string(path).unwrap_or_default().trim())
}

/// Reads the kernel's lists: `0,4-6`.
pub(crate) fn parse_cpu_list(text: &str) -> Vec<usize> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
    };
    text.split(',').filter_map(part).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(cpu: usize) -> Vec<usize> {
        vec![cpu]
    }

    /// CPUs 2n and 2n+1 are one core.
    fn in_pairs(cpu: usize) -> Vec<usize> {
        vec![cpu & !1, cpu | 1]
    }

    fn cpus(placement: &Placement) -> (usize, usize) {
        (placement.server_cpu, placement.generator_cpu)
    }

    #[test]
    fn takes_the_first_two_and_skips_the_other_half_of_a_core() {
        assert_eq!(cpus(&place(&[3, 5, 6], None, None, alone)), (3, 5));
        let placement = place(&[0, 1, 2, 3], None, None, in_pairs);
        assert_eq!(cpus(&placement), (0, 2));
        assert_eq!(placement.warning, None);
    }

    #[test]
    fn says_when_there_is_only_one_core_or_one_cpu() {
        let core = place(&[0, 1], None, None, in_pairs);
        assert_eq!(cpus(&core), (0, 1));
        assert!(core.warning.is_some() && !core.is_shared());
        let cpu = place(&[4], None, None, alone);
        assert_eq!(cpus(&cpu), (4, 4));
        assert!(cpu.warning.is_some() && cpu.is_shared());
    }

    #[test]
    fn what_was_asked_for_is_taken() {
        assert_eq!(cpus(&place(&[0, 1, 2], Some(2), None, alone)), (2, 0));
        assert_eq!(cpus(&place(&[0, 1, 2], None, Some(0), alone)), (1, 0));
        assert!(place(&[0, 1], Some(1), Some(1), alone).is_shared());
    }

    #[test]
    fn reads_the_kernels_lists() {
        assert_eq!(parse_cpu_list("0,4-6"), [0, 4, 5, 6]);
        assert_eq!(parse_cpu_list("7"), [7]);
        assert_eq!(parse_cpu_list(""), [] as [usize; 0]);
    }
}

//! Which CPUs serve and which generate the load.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity};
use serde::{Deserialize, Serialize};

/// A list of CPU numbers, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

/// Reads a list of CPUs, as an option has it and as the kernel writes it: `1`, `0,2-3`.
pub fn parse_cpu_list(text: &str) -> Result<CpuList, String> {
    let wrong = || {
        let most = CpuSet::MAX_CPU - 1;
        format!("expected CPU numbers up to {most} such as 1 or 0,2-3")
    };
    let number = |text: &str| text.trim().parse().map_err(|_| wrong());
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (number(first)?, number(last)?);
        if first > last || last >= CpuSet::MAX_CPU {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(CpuList(cpus))
}

/// Where the two sides of a measurement run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Placement {
    /// Of a server that is kept on its own.
    pub server_cpus: Vec<usize>,
    /// Of the generator.
    pub generator_cpus: Vec<usize>,
    /// Of a server that uses all it is given: every CPU that may be used, those of the generator too.
    pub all_cpus: Vec<usize>,
    /// Why figures taken here are worth less than they look, if so.
    pub warning: Option<String>,
}

impl Placement {
    /// Takes what is asked for, otherwise the first CPU that this process may use and the next one that
    /// shares no core with it. The error says which option names a CPU that may not be used.
    pub fn choose(
        server: Option<&CpuList>,
        generator: Option<&CpuList>,
    ) -> Result<Placement, String> {
        let allowed = allowed_cpus().map_err(|error| error.to_string())?;
        for (option, list) in [("--server-cpu", server), ("--generator-cpu", generator)] {
            let unusable = list.and_then(|list| list.0.iter().find(|cpu| !allowed.contains(cpu)));
            if let Some(cpu) = unusable {
                return Err(format!(
                    "{option}: CPU {cpu} may not be used here; usable are {allowed:?}"
                ));
            }
        }
        let [server, generator] = [server, generator].map(|list| Some(list?.0.clone()));
        Ok(place(&allowed, server, generator, thread_siblings))
    }
}

/// The CPUs that this process may use.
pub fn allowed_cpus() -> std::io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    let all = 0..CpuSet::MAX_CPU;
    Ok(all.filter(|&cpu| set.is_set(cpu)).collect())
}

fn place(
    allowed: &[usize],
    server: Option<Vec<usize>>,
    generator: Option<Vec<usize>>,
    siblings: impl Fn(usize) -> Vec<usize>,
) -> Placement {
    let cores_of =
        |cpus: &[usize]| -> Vec<usize> { cpus.iter().flat_map(|&cpu| siblings(cpu)).collect() };
    let first_beside = |taken: &[usize]| {
        let free = || allowed.iter().copied().filter(|cpu| !taken.contains(cpu));
        let near = cores_of(taken);
        let mut far = free().filter(|cpu| !near.contains(cpu));
        far.next()
            .or_else(|| free().next())
            .or(taken.first().copied())
    };
    let server_cpus = server.unwrap_or_else(|| {
        let taken = generator.as_deref().unwrap_or_default();
        vec![first_beside(taken).unwrap_or(0)]
    });
    let generator_cpus =
        generator.unwrap_or_else(|| first_beside(&server_cpus).into_iter().collect());
    let meets = |cpus: &[usize]| generator_cpus.iter().any(|cpu| cpus.contains(cpu));
    let warning = if meets(&server_cpus) {
        Some("Server and generator share a CPU: these figures are worthless for comparison.")
    } else if meets(&cores_of(&server_cpus)) {
        Some(
            "Server and generator run on two hardware threads of one core and slow each other down.",
        )
    } else {
        None
    };
    Placement {
        server_cpus,
        generator_cpus,
        all_cpus: allowed.to_vec(),
        warning: warning.map(str::to_owned),
    }
}

/// The hardware threads of the core that `cpu` belongs to; nothing when the kernel does not say.
fn thread_siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let text = fs::read_to_string(path).unwrap_or_default();
    parse_cpu_list(text.trim()).map_or_else(|_| Vec::new(), |list| list.0)
}

/// CPUs as an option of ringload takes them: `1,2`.
pub fn cpu_list(cpus: &[usize]) -> String {
    let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    cpus.join(",")
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

    fn cpus(placement: &Placement) -> (&[usize], &[usize]) {
        (&placement.server_cpus, &placement.generator_cpus)
    }

    #[test]
    fn takes_the_first_two_and_skips_the_other_half_of_a_core() {
        let placement = place(&[3, 5, 6], None, None, alone);
        assert_eq!(cpus(&placement), (&[3][..], &[5][..]));
        let placement = place(&[0, 1, 2, 3], None, None, in_pairs);
        assert_eq!(cpus(&placement), (&[0][..], &[2][..]));
        assert_eq!(placement.warning, None);
        assert_eq!(placement.all_cpus, [0, 1, 2, 3]);
    }

    #[test]
    fn says_when_there_is_only_one_core_or_one_cpu() {
        let core = place(&[0, 1], None, None, in_pairs);
        assert_eq!(cpus(&core), (&[0][..], &[1][..]));
        assert!(core.warning.unwrap().contains("one core"));
        let cpu = place(&[4], None, None, alone);
        assert_eq!(cpus(&cpu), (&[4][..], &[4][..]));
        assert!(cpu.warning.unwrap().contains("share a CPU"));
    }

    #[test]
    fn what_was_asked_for_is_taken() {
        let placement = place(&[0, 1, 2], Some(vec![1, 2]), None, alone);
        assert_eq!(cpus(&placement), (&[1, 2][..], &[0][..]));
        let placement = place(&[0, 1, 2, 3], None, Some(vec![0]), in_pairs);
        assert_eq!(cpus(&placement), (&[2][..], &[0][..]));
        let shared = place(&[0, 1], Some(vec![0, 1]), Some(vec![1]), alone);
        assert!(shared.warning.is_some());
    }

    #[test]
    fn lists_are_read_and_written_as_options_take_them() {
        assert_eq!(parse_cpu_list("1"), Ok(CpuList(vec![1])));
        assert_eq!(parse_cpu_list("0,2-4"), Ok(CpuList(vec![0, 2, 3, 4])));
        for wrong in ["", "a", "3-1", "1,,2", "99999"] {
            assert!(parse_cpu_list(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(cpu_list(&[4]), "4");
        assert_eq!(
            parse_cpu_list(&cpu_list(&[0, 2, 3])),
            Ok(CpuList(vec![0, 2, 3]))
        );
    }
}

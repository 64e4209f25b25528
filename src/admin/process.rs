//! What the kernel tells of this process (proc(5)). What it does not tell is zero.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// What it uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// CPU time of all threads so far.
    pub(super) cpu: Duration,
    /// Memory that is resident, in bytes.
    pub(super) resident_bytes: u64,
    /// Address space, in bytes.
    pub(super) virtual_bytes: u64,
    /// Threads.
    pub(super) threads: u64,
    /// When it started, since 1970.
    pub(super) started: Duration,
}

/// The fields of `/proc/self/stat` behind the name, which may contain anything: the first is number 3 of proc(5).
fn stat_fields(stat: &str) -> Vec<u64> {
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let number = |field: &str| field.parse().unwrap_or(0);
    behind.split_whitespace().map(number).collect()
}

fn usage_in(stat: &str, boot: Duration) -> Usage {
    let fields = stat_fields(stat);
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let ticks = |count: u64| {
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Duration::from_nanos(count.saturating_mul(1_000_000_000 / per_second))
    };
    Usage {
        cpu: ticks(field(14)) + ticks(field(15)),
        threads: field(20),
        started: boot + ticks(field(22)),
        virtual_bytes: field(23),
        resident_bytes: field(24).saturating_mul(rustix::param::page_size() as u64),
    }
}

/// Asks.
pub(super) fn usage() -> Usage {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    usage_in(&stat, boot())
}

/// When the machine started, since 1970.
fn boot() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    Duration::from_secs(line.and_then(|it| it.trim().parse().ok()).unwrap_or(0))
}

/// Descriptors that are open.
pub(super) fn open_files() -> u64 {
    let open = fs::read_dir("/proc/self/fd");
    // One of them is the folder's own.
    open.map_or(0, |open| open.count().saturating_sub(1) as u64)
}

/// Descriptors that may be open; none: any number.
pub(super) fn files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_manual_whatever_the_name_is() {
        let fields: Vec<_> = (3..30).map(|number| number.to_string()).collect();
        let stat = format!("1 (a) b ) {}", fields.join(" "));
        let usage = usage_in(&stat, Duration::from_secs(7));
        assert_eq!(usage.threads, 20);
        assert_eq!(usage.virtual_bytes, 23);
        let per_second = rustix::param::clock_ticks_per_second();
        let ticks = |count: u64| Duration::from_nanos(count * (1_000_000_000 / per_second));
        assert_eq!(usage.cpu, ticks(14 + 15));
        assert_eq!(usage.started, Duration::from_secs(7) + ticks(22));
        assert_eq!(usage_in("", Duration::ZERO).threads, 0);
    }

    #[test]
    fn this_process_is_found() {
        let usage = usage();
        assert!(
            usage.resident_bytes > 1 << 20 && usage.threads > 0,
            "{usage:?}"
        );
        assert!(open_files() > 2);
        assert!(usage.started > Duration::from_secs(1_000_000_000));
    }
}

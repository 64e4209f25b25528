//! Whether the server has descriptors left, and what the kernel says of TCP.

use std::fs;

use crate::observe::process::family;

/// A process of the server with no more than this many descriptors left is at its limit: some keep a
/// few for themselves.
const ALMOST_FULL: u64 = 16;

/// One sentence on a process of the server that has no descriptors left, if there is one.
pub(super) fn full_process(pids: &[i32]) -> Option<String> {
    family(pids).into_iter().find_map(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
        let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        let limit = parse_open_files(&text)?;
        (open + ALMOST_FULL >= limit).then(|| {
            format!(
                "the server's process {pid} has {open} files open and may have {limit} (ulimit -n)"
            )
        })
    })
}

/// The soft limit of a line `Max open files  1024  4096  files`; `None` if unlimited.
fn parse_open_files(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// What /proc/net/sockstat says of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MachineTcpReading {
    /// Pages that hold data on its way, of the whole machine.
    pub(super) memory_bytes: u64,
    /// Sockets in use in this network namespace.
    pub(super) sockets: u64,
}

impl MachineTcpReading {
    /// Reads it; `None` if the kernel does not say.
    pub(super) fn take() -> Option<MachineTcpReading> {
        let text = fs::read_to_string("/proc/net/sockstat").ok()?;
        // IPv6 sockets are counted apart; the memory is of both.
        let six = fs::read_to_string("/proc/net/sockstat6").unwrap_or_default();
        let sockets_six = field(&six, "TCP6:", "inuse").unwrap_or(0);
        Some(MachineTcpReading {
            memory_bytes: field(&text, "TCP:", "mem")? * rustix::param::page_size() as u64,
            sockets: field(&text, "TCP:", "inuse")? + sockets_six,
        })
    }
}

/// The number behind `name` in the line `protocol name 1 other 2`.
fn field(text: &str, protocol: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(protocol))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == name)?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let limits = "Limit   Soft Limit  Hard Limit  Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(parse_open_files(limits), Some(1024));
        assert_eq!(parse_open_files("Max open files unlimited"), None);
        let sockets = "sockets: used 180\nTCP: inuse 137 orphan 1 tw 732 alloc 140 mem 4765\n";
        assert_eq!(field(sockets, "TCP:", "mem"), Some(4765));
        assert_eq!(field(sockets, "TCP:", "inuse"), Some(137));
        assert_eq!(field(sockets, "UDP:", "mem"), None);
        assert!(MachineTcpReading::take().is_some());
    }

    #[test]
    fn this_process_is_not_full() {
        assert_eq!(full_process(&[std::process::id() as i32]), None);
    }
}

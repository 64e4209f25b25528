//! Whether a server has descriptors left, and what the kernel says of TCP.

use std::fs;

use procfs::process::{LimitValue, Process};

use super::process::family;

/// A process of the server with no more than this many descriptors left is at its limit: some keep a
/// few for themselves.
const ALMOST_FULL: u64 = 16;

/// One sentence on a process of the server that has no descriptors left, if there is one.
pub(crate) fn full_process(pids: &[i32]) -> Option<String> {
    family(pids).into_iter().find_map(|pid| {
        let process = Process::new(pid).ok()?;
        let open = process.fd_count().ok()? as u64;
        let LimitValue::Value(limit) = process.limits().ok()?.max_open_files.soft_limit else {
            return None;
        };
        (open + ALMOST_FULL >= limit).then(|| {
            format!(
                "the server's process {pid} has {open} files open and may have {limit} (ulimit -n)"
            )
        })
    })
}

/// What /proc/net/sockstat says of TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MachineTcpReading {
    /// Pages that hold data on its way, of the whole machine.
    pub(crate) memory_bytes: u64,
    /// Sockets in use in this network namespace.
    pub(crate) sockets: u64,
}

impl MachineTcpReading {
    /// Reads it; `None` if the kernel does not say.
    pub(crate) fn take() -> Option<MachineTcpReading> {
        let text = fs::read_to_string("/proc/net/sockstat").ok()?;
        // IPv6 sockets are counted apart; the memory is of both.
        let six = fs::read_to_string("/proc/net/sockstat6").unwrap_or_default();
        let sockets_six = field(&six, "TCP6:", "inuse").unwrap_or(0);
        Some(MachineTcpReading {
            memory_bytes: field(&text, "TCP:", "mem")? * procfs::page_size(),
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
        let sockets = "sockets: used 180\nTCP: inuse 137 orphan 1 tw 732 alloc 140 mem 4765\n";
        assert_eq!(field(sockets, "TCP:", "mem"), Some(4765));
        assert_eq!(field(sockets, "TCP:", "inuse"), Some(137));
        assert_eq!(field(sockets, "UDP:", "mem"), None);
        assert!(MachineTcpReading::take().is_some());
    }

    #[test]
    fn this_process_is_not_full() {
        assert_eq!(full_process(&[std::process::id().cast_signed()]), None);
    }
}

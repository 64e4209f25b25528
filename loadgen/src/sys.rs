//! A safe skin over the one call no crate here offers.
#![allow(unsafe_code)]

/// CPU time of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Nanoseconds in user mode.
    pub(crate) user_ns: u64,
    /// Nanoseconds in the kernel.
    pub(crate) system_ns: u64,
}

/// Reads getrusage(2) for the process.
pub(crate) fn usage() -> Usage {
    // SAFETY: `rusage` is plain integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `rusage` of ours. The call cannot fail with these arguments;
    // if it did, the zeros would stand.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let nanoseconds =
        |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    Usage {
        user_ns: nanoseconds(usage.ru_utime),
        system_ns: nanoseconds(usage.ru_stime),
    }
}

//! A safe skin over the two calls no crate here offers.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

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

/// Has the kernel kill what `command` starts when the calling thread ends, in whatever way: so a server
/// that was started for a measurement does not outlive a killed ringload.
pub(crate) fn die_with_this_thread(command: &mut Command) {
    let kill = || {
        let signal = libc::SIGKILL as libc::c_ulong;
        // SAFETY: PR_SET_PDEATHSIG takes a number and touches no memory.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call, which is async-signal-safe, and
    // allocates nothing.
    unsafe { command.pre_exec(kill) };
}

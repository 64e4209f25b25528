//! A safe skin over the one call that no crate here offers.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

/// Has the kernel kill what `command` starts when the calling thread ends, in whatever way: so a server
/// that was started for a measurement does not outlive a killed ringload.
pub(crate) fn die_with_this_thread(command: &mut Command) {
    let kill = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec the closure makes one system call, which is async-signal-safe, and
    // allocates nothing.
    unsafe { command.pre_exec(kill) };
}

//! A timer to wait on beside sockets: exact to the kernel's high-resolution clock, where a wait for
//! events may have a resolution of milliseconds only (epoll_pwait2(2) needs Linux 5.11).

use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// The lowest priority of nice(2).
const NICE: i32 = 19;

/// A timer of the calling thread. Readable from when it went off until it is hushed or set again.
pub(crate) struct Alarm(OwnedFd);

impl Alarm {
    /// A timer that is not set.
    pub(crate) fn new() -> io::Result<Alarm> {
        precise_timers();
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Alarm(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Goes off once, `after` so long.
    pub(crate) fn set(&self, after: Duration) -> io::Result<()> {
        // Zero would switch it off.
        let after = after.max(Duration::from_nanos(1));
        let setting = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(after).map_err(io::Error::other)?,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    /// Stops the ringing.
    pub(crate) fn hush(&self) {
        // The only failure is that it has not gone off.
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Lets every other thread on the calling thread's CPU go first. There is no way back without privileges.
pub(crate) fn yield_to_others() {
    // If refused, the lateness that is reported tells. Linux takes a priority to be a thread's.
    let thread = rustix::thread::gettid();
    let _ = rustix::process::setpriority_process(Some(thread), NICE);
}

/// Lets the calling thread's timers go off when they should: otherwise up to 50 µs late, to save power.
pub(crate) fn precise_timers() {
    // If refused, the lateness that is reported tells.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
}

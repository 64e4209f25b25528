//! SIGINT and SIGTERM as something to wait for.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::control::Bell;

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The time is up.
    Timeout,
    /// The bell rang.
    News,
    /// A signal asks to stop.
    Interrupted,
}

/// A signal came before there was anything to report.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted before the load began")
    }
}

impl std::error::Error for Interrupted {}

/// Knows whether a signal has asked the program to stop.
pub struct Interrupt {
    /// Becomes readable with the first signal, and stays so.
    receiver: UnixStream,
    /// Without signals, what keeps that silent.
    _sender: Option<UnixStream>,
}

impl Interrupt {
    /// Takes over SIGINT and SIGTERM.
    pub fn install() -> io::Result<Interrupt> {
        let (receiver, sender) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGINT, sender.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGTERM, sender)?;
        Ok(Interrupt {
            receiver,
            _sender: None,
        })
    }

    /// Leaves signals to whoever else is in this process.
    pub fn none() -> io::Result<Interrupt> {
        let (receiver, sender) = UnixStream::pair()?;
        Ok(Interrupt {
            receiver,
            _sender: Some(sender),
        })
    }

    /// Waits until `deadline`, a ring of `bell`, or a signal; a signal wins.
    pub(crate) fn wait(&self, bell: &Bell, deadline: Instant) -> io::Result<Woken> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [
                PollFd::new(&self.receiver, PollFlags::IN),
                PollFd::new(bell, PollFlags::IN),
            ];
            // What is too long for the kernel has no end.
            let timeout = Timespec::try_from(left).ok();
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) if left.is_zero() => return Ok(Woken::Timeout),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) if !fds[0].revents().is_empty() => return Ok(Woken::Interrupted),
                Ok(_) => {
                    bell.hush();
                    return Ok(Woken::News);
                }
            }
        }
    }

    /// Whether a signal has come.
    pub fn is_raised(&self) -> bool {
        let mut fds = [PollFd::new(&self.receiver, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Sleeps for `time`; `false` if a signal cut it short.
    pub fn sleep(&self, time: Duration) -> io::Result<bool> {
        let silent = Bell::new()?;
        Ok(self.wait(&silent, Instant::now() + time)? == Woken::Timeout)
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

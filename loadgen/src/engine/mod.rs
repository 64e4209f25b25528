//! Moves bytes between sockets and a worker; decides nothing about them.
//!
//! An engine is a function of one thread: it sends what each connection has to send, hands the
//! worker what comes back, and returns when the worker says `Leave` or something fails. Until the load
//! begins, epoll's serves every connection as it arrives.

mod epoll;
mod uring;

use std::fmt;
use std::io;

use rustix::io::Errno;

use crate::fault::Fault;

pub(crate) use self::epoll::Driver;

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// io_uring if the kernel allows it, else epoll.
    Auto,
    /// io_uring or nothing.
    Uring,
    /// epoll.
    Epoll,
}

/// A way to move bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Raw io_uring: multishot receives from a provided buffer ring.
    Uring,
    /// Level-triggered readiness.
    Epoll,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Uring => "uring",
            Engine::Epoll => "epoll",
        })
    }
}

/// An engine and why it was taken.
pub struct Selection {
    /// The engine.
    pub engine: Engine,
    /// One phrase.
    pub reason: String,
}

/// Takes the engine asked for. `Auto` falls back on ENOSYS, EPERM and EINVAL only: an old
/// kernel, a container's seccomp profile or `kernel.io_uring_disabled`; any other error of
/// io_uring is the operator's to see.
pub fn select(choice: Choice) -> io::Result<Selection> {
    let asked = |engine| {
        Ok(Selection {
            engine,
            reason: "asked for".to_owned(),
        })
    };
    match choice {
        Choice::Epoll => asked(Engine::Epoll),
        Choice::Uring => uring::probe().and_then(|()| asked(Engine::Uring)),
        Choice::Auto => match uring::probe() {
            Ok(()) => Ok(Selection {
                engine: Engine::Uring,
                reason: "io_uring works here".to_owned(),
            }),
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOSYS | Errno::PERM | Errno::INVAL)
                ) =>
            {
                let reason = format!("io_uring does not work here: {error}");
                Ok(Selection {
                    engine: Engine::Epoll,
                    reason,
                })
            }
            Err(error) => Err(error),
        },
    }
}

impl Engine {
    /// Runs the load over the connections that `driver` has attended until now, until its worker is done.
    pub(crate) fn drive(self, driver: Driver<'_>) -> Result<(), Fault> {
        match self {
            Engine::Uring => {
                let (worker, sockets, wake) = driver.into_parts();
                uring::drive(worker, &sockets, wake)
            }
            Engine::Epoll => driver.drive(),
        }
    }
}

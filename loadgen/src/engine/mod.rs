//! Moves bytes between sockets and a worker; decides nothing about them.
//!
//! An engine is a function of one thread: it sends what each connection has to send, hands the
//! worker what comes back, and returns when the worker says `Leave` or something fails. Until the load
//! begins, epoll's has the connections opened, and serves each as soon as it stands.

mod epoll;
mod sockets;
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
    /// Has the connections opened, and runs the load over them until the worker is done.
    pub(crate) fn drive(self, mut driver: Driver<'_>) -> Result<(), Fault> {
        let mut result = driver.attend();
        if matches!(result, Ok(true)) {
            result = match self {
                Engine::Uring => uring::drive(&mut driver),
                Engine::Epoll => driver.drive(),
            }
            .map(|()| true);
        }
        driver.resign(result.as_ref().err());
        result.map(drop)
    }
}

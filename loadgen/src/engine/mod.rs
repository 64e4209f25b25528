//! Moves bytes between sockets and a worker; decides nothing about them.
//!
//! An engine is a function of one thread: it sends what each connection has to send, hands the
//! worker what comes back, and returns when the worker says `Leave` or something fails. Until the load
//! begins, epoll's has the connections opened, and serves each as soon as it stands.

mod epoll;
mod sockets;
mod uring;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Engine {
    /// Raw io_uring: multishot receives from a provided buffer ring.
    Uring,
    /// Level-triggered readiness.
    Epoll,
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
    let selection = |engine, reason: &str| Selection {
        engine,
        reason: reason.to_owned(),
    };
    if choice == Choice::Epoll {
        return Ok(selection(Engine::Epoll, "asked for"));
    }
    let is_auto = choice == Choice::Auto;
    match uring::probe() {
        Ok(()) if is_auto => Ok(selection(Engine::Uring, "io_uring works here")),
        Ok(()) => Ok(selection(Engine::Uring, "asked for")),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOSYS | Errno::PERM | Errno::INVAL) if is_auto => {
                let reason = format!("io_uring does not work here: {error}");
                Ok(selection(Engine::Epoll, &reason))
            }
            _ => Err(error),
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

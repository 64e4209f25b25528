//! Ways of doing the I/O, one file or folder each: a function each, listed in one table.
//!
//! An engine maps what its kernel interface reports to the shard's verbs, and what the shard wants to
//! system calls. What can be decided without a system call is decided in `shard`. An engine may import
//! `shard`, `protocol`, `memory` and `sys`; never another engine, nor who reads flags.

#[forbid(unsafe_code)]
mod door;
#[forbid(unsafe_code)]
mod ended;
#[forbid(unsafe_code)]
mod entrances;
#[forbid(unsafe_code)]
pub mod epoll;
#[forbid(unsafe_code)]
mod exchange;
#[forbid(unsafe_code)]
mod leaving;
#[forbid(unsafe_code)]
mod open_ring;
#[forbid(unsafe_code)]
mod post;
#[allow(unsafe_code)]
mod socket;
#[forbid(unsafe_code)]
mod state;
#[forbid(unsafe_code)]
mod stop;
#[forbid(unsafe_code)]
mod survey;
#[allow(unsafe_code)]
pub mod tokio_uring;
#[allow(unsafe_code)]
pub mod uring;
#[forbid(unsafe_code)]
mod worker;

use std::io;

use rustix::io::Errno;

pub use exchange::Exchange;
pub use post::{Letter, Most, Origin, Post, PutDown, RollCall};
pub use stop::{Goodbye, Stop, StopPhase};
pub use survey::{ConnectionName, Order, Seen, Survey};
pub use worker::{UringTuning, Worker};

/// A way of doing the I/O.
#[derive(Debug)]
pub struct Engine {
    /// As `--engine` names it.
    pub name: &'static str,
    /// Whether `--engine auto` may take it, or only whoever names it.
    pub in_auto: bool,
    /// Serves until told to stop. `ready` is called once nothing can keep it from serving any more.
    pub run: fn(&Worker<'_>, ready: &dyn Fn()) -> io::Result<()>,
    /// Whether it works here, by trying, without listening: what was found, or what stands in the way.
    pub probe: fn(&UringTuning) -> io::Result<Vec<Feature>>,
}

/// Something a kernel offers to an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// What it is called.
    pub name: &'static str,
    /// The kernel that brought it.
    pub since: &'static str,
    /// Whether it is here.
    pub found: bool,
    /// The option that asks for it, if one was given.
    pub wanted: Option<&'static str>,
}

/// The engines. `--engine auto` tries its own in this order.
pub const ENGINES: &[Engine] = &[
    Engine {
        name: "uring",
        in_auto: true,
        run: uring::run,
        probe: uring::probe,
    },
    Engine {
        name: "epoll",
        in_auto: true,
        run: epoll::run,
        probe: epoll::probe,
    },
    Engine {
        name: "tokio-uring",
        in_auto: false,
        run: tokio_uring::run,
        probe: tokio_uring::probe,
    },
];

/// Whether an engine's failure to start means that it is not to be had here, so that the next one may
/// be tried: an old kernel (`ENOSYS`, `EINVAL`), a seccomp profile or `kernel.io_uring_disabled`
/// (`EPERM`), a security module such as SELinux (`EACCES`). Anything else, a limit above all, is for the
/// operator to see.
pub fn is_absent(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::INVAL)
    )
}

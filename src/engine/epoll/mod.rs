//! Readiness: level-triggered epoll, one hot buffer per thread, replies sent at once from where they
//! were written. Only what a socket does not take is copied.
//!
//! | file | what it answers |
//! |---|---|
//! | `driver.rs` | what is decided |
//! | `kernel.rs` | what is asked of the kernel, so that a simulation can answer |
//! | `sockets.rs` | the real kernel |

mod driver;
mod kernel;
mod sockets;

use std::io;

use rustix::event::epoll::{CreateFlags, create};

use super::{Feature, Worker};
use crate::engine::UringTuning;
pub use driver::{Driver, Io};
pub use kernel::{Event, Interest, Kernel, Received, Token};
use sockets::Sockets;

/// Serves on this thread until told to stop.
///
/// # Errors
/// What the kernel says where the epoll instance itself fails.
pub fn run(worker: &Worker<'_>, ready: &dyn Fn()) -> io::Result<()> {
    let mut driver = Driver::new(worker, Sockets::new(worker)?)?;
    ready();
    driver.serve()
}

/// Whether epoll is here. It always is.
///
/// # Errors
/// Where there are no descriptors left.
pub fn probe(_: &UringTuning) -> io::Result<Vec<Feature>> {
    create(CreateFlags::CLOEXEC)?;
    Ok(vec![Feature {
        name: "level-triggered epoll",
        since: "2.6",
        found: true,
        wanted: None,
    }])
}

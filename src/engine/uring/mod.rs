//! Completion: raw io_uring (6.1 and later). Multishot accept, multishot receive into provided buffers,
//! one send in flight per connection from the same buffer.
//!
//! | file | what it answers |
//! |---|---|
//! | `driver.rs` | what is decided |
//! | `connection.rs` | what is kept per connection, and whose turn it is to receive |
//! | `accounts.rs` | who claims what of the receive buffers |
//! | `kernel.rs` | what is asked of a ring, so that a simulation can answer |
//! | `ring.rs` | the real ring |
//! | `buffers.rs` | the memory that it fills |
//! | `features.rs` | what this kernel offers, and setting it up |

mod accounts;
mod buffers;
mod connection;
mod driver;
mod features;
mod kernel;
mod ring;

use std::io;
use std::mem::ManuallyDrop;

use super::Worker;
pub use accounts::Accounts;
pub use connection::Io;
pub use driver::Driver;
pub use features::probe;
pub use kernel::{Completion, Kernel, Key};
use ring::Ring;

/// Serves on this thread until told to stop.
///
/// # Errors
/// What the kernel says of the ring. [`super::is_absent`] tells whether it can be had at all.
pub fn run(worker: &Worker<'_>, ready: &dyn Fn()) -> io::Result<()> {
    let mut setup = features::set_up(&worker.tuning)?;
    // What the kernel may still read from is dropped after the ring; where this panics, never.
    let mut driver = ManuallyDrop::new(Driver::new(worker, Ring::new(&mut setup, worker)));
    ready();
    let served = driver.serve();
    let shard = ManuallyDrop::into_inner(driver).into_shard();
    drop(setup);
    drop(shard);
    served
}

//! Completion through a runtime: tokio-uring, one per worker, a task per connection.
//!
//! | file | what it is |
//! |---|---|
//! | `world.rs` | the seam: what the rest asks of kernel, executor and clock; a simulation can stand behind it |
//! | `core.rs` | what all tasks of a worker share: the shard, the buffers, when to accept |
//! | `connection.rs` | the task of a connection |
//! | `serve.rs` | accepting, deadlines, the end |
//! | `pool.rs` | the buffers, and who claims what |
//! | `bell.rs` | how one task has another look again |
//! | `kernel.rs` | the seam's real side, over tokio-uring |
//!
//! The rule all memory rests on: what an operation names stays where it is until the operation has
//! completed. A task awaits all of its operations before it ends; a worker awaits all of its tasks, and
//! where one does not end it leaks what the kernel may still name rather than give it back.

#[forbid(unsafe_code)]
mod bell;
#[forbid(unsafe_code)]
mod connection;
mod core;
mod kernel;
#[forbid(unsafe_code)]
mod pool;
#[forbid(unsafe_code)]
mod serve;
pub mod world;

pub use self::core::{Seat, Shared};
pub use kernel::{probe, run};
pub use serve::serve;

//! The admin listener: what the server does and how it is, told to its operator.
//!
//! A thread of its own, so that it answers whatever the workers and the HTTP side have to do, and until the process
//! ends or has handed over: also with `--no-http`, and in a drain. What it tells it reads of counters that others write; nobody waits for
//! it. It has few places and a bound on every wait, since whoever reaches it can ask as often as they like.
//!
//! | file | what it is |
//! |---|---|
//! | `address` | where it listens |
//! | `sources` | what it reads |
//! | `rows` | what the process has besides its workers, as a table |
//! | `metrics` | `/metrics`, written from that and the table of workers |
//! | `process` | what the kernel tells of this process |
//! | `connections` | `/connections`: asked of the workers, who answer in turns of theirs |
//! | `routes` | what is answered |
//! | `listener` | its thread |
//!
//! It may import `engine`, `http`, `log`, `memory`, `protocol` and `sys`. It must never know the configuration's flags, nor who serves.

mod address;
mod connections;
mod listener;
mod metrics;
mod process;
mod routes;
mod rows;
mod sources;

pub use address::Address;
pub use listener::{Admin, Bound};
pub use metrics::markdown;
pub use sources::{Handovers, Reloads, Sources, State, Told};

//! The seeded simulation: see `docs/SIMULATION.md`.
//!
//! | file | what is in it |
//! |---|---|
//! | `run.rs` | one run, from its seed to its end |
//! | `checks.rs` | what must hold at any moment |
//! | `history.rs` | what must hold over time |
//! | `scenario.rs` | the circumstances |
//! | `moves.rs` | connections that are put down and picked up |
//! | `world.rs` | the clock, the crowd, the trace |
//! | `network.rs` | TCP |
//! | `peer.rs`, `script.rs`, `reader.rs` | how a peer behaves, what it says, what it must be answered |
//! | `readiness.rs` | an epoll |
//! | `ring/` | an io_uring and its receive buffers |
//! | `tasks/` | an executor, and what its tasks wait for |

mod checks;
mod history;
mod moves;
mod network;
mod peer;
mod reader;
mod readiness;
mod ring;
mod run;
mod scenario;
mod script;
mod tasks;
mod world;

pub(crate) use run::{Chance, Style, run};

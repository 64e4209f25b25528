//! What the kernel says about the run: CPU time, waiting time, memory, steal.

pub(crate) mod condition;
pub mod host;
pub(crate) mod objective;
pub mod others;
pub mod placement;
pub mod process;
pub mod verdict;
pub(crate) mod window;

//! What the kernel says: CPU time, waiting time, memory, steal, the machine. A leaf.

pub mod host;
pub mod others;
pub mod placement;
pub mod process;

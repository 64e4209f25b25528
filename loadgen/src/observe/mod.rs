//! What the kernel says: CPU time, waiting time, memory, steal, the machine and its gaps. A leaf: it imports
//! nothing of ours.

pub mod cgroup;
pub mod gaps;
pub mod host;
pub(crate) mod limits;
pub mod others;
pub mod placement;
pub mod process;

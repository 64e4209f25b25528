//! What the kernel says about the run: CPU time, waiting time, memory, steal.

pub(crate) mod host;
pub(crate) mod objective;
pub(crate) mod others;
pub(crate) mod process;
pub(crate) mod stability;
pub(crate) mod verdict;
pub(crate) mod window;

//! What figures are worth, and what was asked of them. Nothing in here reads a clock, a file or a socket.

pub mod busy;
pub(crate) mod condition;
pub mod estimate;
pub mod finding;
pub mod findings;
pub(crate) mod objective;
pub mod spread;
pub mod stability;

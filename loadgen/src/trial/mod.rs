//! What `compare` and `suite` share: starting servers, running this program as their load generator,
//! choosing CPUs, and intervals from paired rounds.
//!
//! Nothing here measures: every figure comes from a `ringload run|storm|idle|knee` of its own, a process
//! on CPUs of its own, whose JSON is read back.

pub mod agenda;
pub mod generator;
pub(crate) mod port;
pub mod process;
pub mod random;
pub mod server;
pub mod version;
pub(crate) mod words;

//! What `compare` and `suite` share: starting servers, running this program as their load generator,
//! choosing CPUs, and intervals from paired rounds.
//!
//! Nothing here measures: every figure comes from a `ringload run|storm|idle|knee` of its own, a process
//! on CPUs of its own, whose JSON is read back.

pub(crate) mod agenda;
pub(crate) mod bootstrap;
pub(crate) mod generator;
pub(crate) mod placement;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod server;
pub(crate) mod spread;
pub(crate) mod version;
pub(crate) mod words;

//! What a client sends on a connection and what it must get back: the comparison of every reply with what was sent.
//! Sans-IO, as [`crate::wire`] is.

pub(crate) mod connection;
pub(crate) mod dialogue;
pub(crate) mod options;
mod pending;
mod ping;
mod reply;
pub(crate) mod tally;
pub(crate) mod workload;

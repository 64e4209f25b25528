//! The WebSocket protocol as a client speaks it, sans-IO: bytes in, frames out.
//!
//! Nothing here knows a socket, a clock or a thread; time is an argument and randomness a seeded generator, so that a
//! test can play any server. It must never import the server's crates: one bug must not agree with itself.

pub(crate) mod deflate;
pub(crate) mod failure;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod outbox;
pub(crate) mod reader;

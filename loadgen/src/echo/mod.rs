//! The sans-IO half: what a client sends and what it must get back.
//!
//! Bytes in, verdict out. In here: the WebSocket client codec, the random payloads, and the
//! comparison of every reply with what was sent. Nothing here knows a socket, a clock or a
//! thread; time is an argument and randomness a seeded generator, so that a test can play any
//! server. It must never import the server's crates: one bug must not agree with itself.

pub(crate) mod connection;
pub(crate) mod deflate;
pub(crate) mod failure;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod outbox;
pub mod payload;
mod ping;
pub(crate) mod reader;
mod reply;
pub mod size;
pub(crate) mod tally;
pub(crate) mod workload;

//! Ringback: a WebSocket echo server for Linux.
//!
//! The house, from the ground up; each folder's `mod.rs` says what is in it, what it may import and what
//! it must never know:
//!
//! | module | what it is |
//! |---|---|
//! | [`memory`] | slabs, chains of them, the budget: what connections share |
//! | [`protocol`] | bytes in, bytes out: sessions, frames, the handshake. No socket, no clock |
//! | [`behaviour`] | connections that behave as their path asks, for whoever tests a client |
//! | [`link`] | what lies under a dialogue where TLS is spoken: ciphertext in, plaintext out |
//! | [`shard`] | the engine-free half of a core's thread: connections, queues, deadlines |
//! | [`sys`] | small skins over the operating system |
//! | [`engine`] | epoll, io_uring, tokio-uring: a function each, over the same shard |
//! | [`http`] | ordinary HTTP on the same port: a thread of its own, ordinary libraries |
//! | [`admin`] | metrics, health and configuration, for the operator: a listener and a thread of its own |
//! | [`config`] | flags, environment and file, to plain values |
//! | [`log`] | where the log goes, what of it is wanted, how often the same may be said |
//! | [`choose`] | which engine serves, and why not the others |
//! | [`serve`] | binds, starts a shard per core, waits for signals |
//! | [`ping`] | a client: whether an echo server echoes, and how fast |
//! | [`status`] | how a running server is, asked of its admin listener |
//! | [`probe`] | what this machine offers, without listening |
#![deny(unsafe_code)]

#[forbid(unsafe_code)]
pub mod admin;
#[forbid(unsafe_code)]
pub mod behaviour;
#[forbid(unsafe_code)]
pub mod choose;
pub mod config;
pub mod engine;
#[forbid(unsafe_code)]
pub mod http;
#[forbid(unsafe_code)]
pub mod link;
#[forbid(unsafe_code)]
pub mod log;
#[forbid(unsafe_code)]
pub mod memory;
#[forbid(unsafe_code)]
pub mod ping;
#[forbid(unsafe_code)]
pub mod probe;
#[forbid(unsafe_code)]
pub mod protocol;
#[forbid(unsafe_code)]
pub mod serve;
#[forbid(unsafe_code)]
pub mod shard;
#[forbid(unsafe_code)]
pub mod status;
pub mod sys;

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]
//! A fake echo server with bad habits on request, written the slow and obvious way, and what runs
//! `ringload` against it.
//!
//! A [`Script`] says what the server does; its [`Log`] says what it saw and when it *really* sent each
//! reply, so that a test compares what the generator reports with what happened.

pub(crate) mod client;
mod deflate;
mod log;
mod raw;
mod replies;
mod script;
mod server;
mod websocket;
mod wire;

use std::net::SocketAddr;

pub(crate) use log::{Log, Record};
pub(crate) use script::{Delay, Habit, Pongs, Reading, Script, Stall};
pub(crate) use server::Server;

/// Serves WebSocket on a free port of 127.0.0.1, a thread per connection, until the test ends.
pub(crate) fn serve(script: impl Into<Script>) -> SocketAddr {
    Server::websocket(script).address
}

/// Serves raw bytes.
pub(crate) fn serve_tcp(script: impl Into<Script>) -> SocketAddr {
    Server::raw(script).address
}

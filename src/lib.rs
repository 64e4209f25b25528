//! Ringback: a WebSocket echo server for Linux.
#![deny(unsafe_code)]

pub mod protocol;

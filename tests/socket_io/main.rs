//! Engine.IO 4 and Socket.IO 5 as their protocols describe them, by clients that know nothing but HTTP and frames.

mod client;
mod confusion;
mod engine;
mod hostile;
mod leaving;
mod polling;
mod socket;
#[path = "../support/mod.rs"]
mod support;

use support::server;

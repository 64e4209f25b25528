//! Clients from npm, as they are: Node `ws`, what Node, Deno and Bun bring with them, Socket.IO and Engine.IO.

#[path = "../support/mod.rs"]
mod support;

mod runtimes;
mod socket_io;
mod standard;
mod tutorial;
mod ws;

use support::npm::Scripts;

const SCRIPTS: Scripts = Scripts("tests/node");

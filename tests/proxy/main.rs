//! Behind nginx, configured as operators do it, with each engine.

mod balance;
#[path = "../engines/kernel.rs"]
#[allow(dead_code, reason = "the tests of the engines use all of it")]
mod kernel;
mod nginx;
mod ordinary;
#[path = "../support/mod.rs"]
mod support;
mod upgrade;
#[path = "../engines/wire.rs"]
#[allow(dead_code, reason = "the tests of the engines use all of it")]
mod wire;

use support::server;

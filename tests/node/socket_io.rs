//! Socket.IO and Engine.IO, spoken by their own clients. The scripts start the servers that they need, stop them
//! and start them again; against Socket.IO's own server they pass, too.

use super::SCRIPTS;
use super::support::server::{self, BINARY};

/// Runs a script of Node's own test runner, which names the case that fails.
fn passes(script: &str, engines: &[&str]) {
    if !SCRIPTS.are_ready() {
        return;
    }
    for engine in engines {
        let node = ["node", "--test-reporter=spec", script];
        SCRIPTS.run(&[&node[..], &[BINARY, "--workers", "1", "--engine", engine]].concat());
    }
}

#[test]
fn socket_io_says_all_it_can_say() {
    passes("socket_io.mjs", &["auto"]);
}

#[test]
fn socket_io_reconnects_when_the_server_is_back() {
    passes("restart.mjs", &["auto"]);
}

#[test]
fn engine_io_is_echoed() {
    passes("engine_io.mjs", &server::usable_engines());
}

#[test]
fn who_mixes_them_up_is_told_so() {
    passes("mixed_up.mjs", &server::usable_engines());
}

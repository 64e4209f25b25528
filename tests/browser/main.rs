//! A browser, Chromium: its own WebSocket, the page at `/`, and Socket.IO's client in it. The scripts start the servers
//! that they need.

#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::path::PathBuf;

use support::npm::Scripts;
use support::scripts::leave_out;
use support::server::BINARY;

const SCRIPTS: Scripts = Scripts("tests/browser");

/// Debian's Chromium, if it is here.
fn chromium() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join("chromium"))
        .find(|program| program.is_file())
}

/// Runs a script of Node's own test runner, which names the case that fails.
fn passes(script: &str) {
    let Some(chromium) = chromium() else {
        leave_out(
            "a browser",
            "chromium is not installed (Debian: apt install chromium)",
        );
        return;
    };
    if SCRIPTS.are_ready() {
        let chromium = format!("CHROMIUM={}", chromium.display());
        let node = ["env", &chromium, "node", "--test-reporter=spec", script];
        SCRIPTS.run(&[&node[..], &[BINARY, "--workers", "1"]].concat());
    }
}

#[test]
fn its_websocket_finds_what_it_expects() {
    passes("websocket.mjs");
}

#[test]
fn the_page_does_what_its_controls_say() {
    passes("page.mjs");
}

#[test]
fn the_page_shows_what_the_server_can_do() {
    passes("server.mjs");
}

#[test]
fn the_page_can_be_used_by_everybody() {
    passes("accessible.mjs");
}

#[test]
fn socket_io_talks_from_a_browser() {
    passes("socket_io.mjs");
}

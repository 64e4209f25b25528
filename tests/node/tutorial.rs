//! The tutorial's client, in each runtime that npm has: the four events, in their order.

use super::SCRIPTS;
use super::runtimes::{self, Runtime};
use super::support::server::{self, Server};

/// What a conversation with the tutorial's server looks like, whoever is the client.
const TALK: &str = "open\nmessage Hi there\nmessage Received: hello\nclose 1000 clean\n";

/// What the standard wants where nobody listens (WHATWG, WebSockets: fail the connection).
const REFUSED: &str = "error\nclose 1006 not clean\n";

/// Lets the client that `command` starts talk to the tutorial's server, and then to nobody.
fn meets_the_events(command: &[&str], refused: &str) {
    for engine in server::usable_engines() {
        let server = Server::start(engine, &["--tutorial"]);
        let talk = SCRIPTS.run(&[command, &[server.url().as_str()]].concat());
        assert_eq!(talk, TALK, "{engine}");
    }
    let url = format!("ws://{}/", server::free_address());
    assert_eq!(SCRIPTS.run(&[command, &[url.as_str()]].concat()), refused);
}

/// The same in `runtime`.
fn in_a_runtime(runtime: &Runtime, refused: &str) {
    if let Some(command) = runtime.command("tutorial.mjs") {
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        meets_the_events(&command, refused);
    }
}

#[test]
fn in_node_with_ws() {
    if SCRIPTS.are_ready() {
        meets_the_events(&["node", "tutorial-ws.mjs"], REFUSED);
    }
}

#[test]
fn in_node_22() {
    // It has no `close` for who was refused; later versions have.
    in_a_runtime(&runtimes::NODE_22, "error\n");
}

#[test]
fn in_node_24() {
    in_a_runtime(&runtimes::NODE_24, REFUSED);
}

#[test]
fn in_deno() {
    // It says code 0 where the standard has 1006.
    in_a_runtime(&runtimes::DENO, "error\nclose 0 not clean\n");
}

#[test]
fn in_bun() {
    in_a_runtime(&runtimes::BUN, REFUSED);
}

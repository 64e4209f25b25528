//! The tutorial's client, in each runtime that npm has: the four events, in their order.

use std::net::TcpListener;
use std::process::Command;

use super::SCRIPTS;
use super::support::npm::leave_out;
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
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let url = format!("ws://{}/", nobody.expect("a free port"));
    assert_eq!(SCRIPTS.run(&[command, &[url.as_str()]].concat()), refused);
}

/// The same for a runtime that npm installs, as one of `programs` in `node_modules`: the one for this machine.
fn runtime_meets_the_events(name: &str, programs: [&str; 2], options: &[&str], refused: &str) {
    if !SCRIPTS.are_ready() {
        return;
    }
    let runs = |program: &String| {
        let mut version = Command::new(SCRIPTS.folder().join(program));
        let output = version.arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    let mut programs = programs.map(|it| format!("node_modules/{it}")).into_iter();
    let Some(program) = programs.find(runs) else {
        leave_out(name, "npm has none that runs on this machine");
        return;
    };
    let command = [&[program.as_str()], options, &["tutorial.mjs"]].concat();
    meets_the_events(&command, refused);
}

#[test]
fn in_node_with_ws() {
    if SCRIPTS.are_ready() {
        meets_the_events(&["node", "tutorial-ws.mjs"], REFUSED);
    }
}

#[test]
fn in_node_22() {
    let programs = ["node22-linux-x64/bin/node", "node22-linux-arm64/bin/node"];
    // It has no `close` for who was refused; later versions have.
    runtime_meets_the_events("Node 22", programs, &[], "error\n");
}

#[test]
fn in_node_24() {
    let programs = ["node24-linux-x64/bin/node", "node24-linux-arm64/bin/node"];
    runtime_meets_the_events("Node 24", programs, &[], REFUSED);
}

#[test]
fn in_deno() {
    let programs = ["@deno/linux-x64-glibc/deno", "@deno/linux-arm64-glibc/deno"];
    let options = ["run", "--quiet", "--no-config", "--no-lock", "--no-remote"];
    let options = [&options[..], &["--no-npm", "--allow-net=127.0.0.1"]].concat();
    // It says code 0 where the standard has 1006.
    runtime_meets_the_events("Deno", programs, &options, "error\nclose 0 not clean\n");
}

#[test]
fn in_bun() {
    let programs = [
        "@oven/bun-linux-x64/bin/bun",
        "@oven/bun-linux-aarch64/bin/bun",
    ];
    runtime_meets_the_events("Bun", programs, &[], REFUSED);
}

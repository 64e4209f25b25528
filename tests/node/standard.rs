//! The standard's WebSocket in each runtime that npm has: what it can do comes back.

use super::SCRIPTS;
use super::runtimes::{self, Runtime};
use super::support::server::{self, Server};
use super::support::slow_on_every_engine;

/// What is agreed to with a client that can compress.
const DEFLATE: &str = "permessage-deflate; client_no_context_takeover\n";

const RUNTIMES: [(&Runtime, &str); 4] = [
    (&runtimes::NODE_22, DEFLATE),
    (&runtimes::NODE_24, DEFLATE),
    // It offers none.
    (&runtimes::DENO, "\n"),
    (&runtimes::BUN, DEFLATE),
];

fn all_get_their_echo(engine: &str, what: &str) {
    for (runtime, extensions) in RUNTIMES {
        if let Some(command) = runtime.command("standard.mjs") {
            let server = Server::start(engine, &[]);
            let url = server.url();
            let command = command.iter().map(String::as_str);
            let command: Vec<_> = command.chain([url.as_str(), what]).collect();
            assert_eq!(SCRIPTS.run(&command), extensions, "{engine}");
        }
    }
}

#[test]
fn each_runtime_gets_its_echo() {
    for engine in server::usable_engines() {
        all_get_their_echo(engine, "quick");
    }
}

fn large_messages_come_back(engine: &'static str) {
    all_get_their_echo(engine, "large");
}

slow_on_every_engine!(large_messages_come_back);

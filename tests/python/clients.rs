//! Clients from PyPI: what each of them can do comes back.

use std::path::Path;

use super::support::scripts;
use super::support::server::{self, Server};
use super::support::slow_on_every_engine;
use super::venv;

fn get_their_echo(engine: &'static str, what: &str) {
    if let Some(programs) = venv::programs() {
        let python = programs.join("python").display().to_string();
        let server = Server::start(engine, &[]);
        let script = [python.as_str(), "clients.py", &server.url(), what];
        scripts::run(Path::new(venv::FOLDER), &script);
    }
}

#[test]
fn all_get_their_echo() {
    for engine in server::usable_engines() {
        get_their_echo(engine, "quick");
    }
}

fn large_messages_come_back(engine: &'static str) {
    get_their_echo(engine, "large");
}

slow_on_every_engine!(large_messages_come_back);

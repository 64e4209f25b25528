//! Node `ws`: as a client of the echo, and the tutorial's own server to compare `--tutorial` with.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::SCRIPTS;
use super::support::server::{self, Server};
use super::support::slow_on_every_engine;

/// The tutorial's server.
struct Tutorial {
    child: Child,
    url: String,
}

impl Tutorial {
    fn start() -> Self {
        let mut command = Command::new("node");
        command
            .arg(SCRIPTS.folder().join("tutorial-server.mjs"))
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("node starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let (_, url) = line
            .trim_end()
            .split_once("listening on ")
            .expect("an address");
        Tutorial {
            child,
            url: url.to_owned(),
        }
    }
}

impl Drop for Tutorial {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_client_gets_its_echo() {
    if !SCRIPTS.are_ready() {
        return;
    }
    for engine in server::usable_engines() {
        for script in ["echo.mjs", "deflate.mjs"] {
            SCRIPTS.run(&["node", script, &Server::start(engine, &[]).url()]);
        }
    }
}

fn a_client_gets_large_messages_back(engine: &'static str) {
    if SCRIPTS.are_ready() {
        SCRIPTS.run(&["node", "large.mjs", &Server::start(engine, &[]).url()]);
    }
}

slow_on_every_engine!(a_client_gets_large_messages_back);

#[test]
fn the_tutorial_answers_as_its_own_server_would() {
    if !SCRIPTS.are_ready() {
        return;
    }
    let expected = SCRIPTS.run(&["node", "awkward.mjs", &Tutorial::start().url]);
    assert!(expected.lines().count() > 40, "{expected}");
    for engine in server::usable_engines() {
        for after in ["101", "turn", "20ms"] {
            let server = Server::start(engine, &["--tutorial", "--greeting-after", after]);
            let answered = SCRIPTS.run(&["node", "awkward.mjs", &server.url()]);
            for (number, pair) in expected.lines().zip(answered.lines()).enumerate() {
                let short = |line: &str| line.chars().take(200).collect::<String>();
                let (theirs, ours) = (short(pair.0), short(pair.1));
                assert!(
                    pair.0 == pair.1,
                    "{engine}, answer {number}: {ours} instead of {theirs}"
                );
            }
            assert_eq!(
                expected.lines().count(),
                answered.lines().count(),
                "{engine}"
            );
        }
    }
}

//! What servers ask of connections before the load begins: while others are dialled, and until
//! `--start-at`.

mod support;

use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::process::Signal;
use support::client::{Running, engines, stderr};
use support::{Habit, Server};

/// Starts a load that would begin in an hour.
fn start(server: &Server, engine: &str) -> Running {
    let soon = UNIX_EPOCH.elapsed().unwrap().as_secs() + 3600;
    Running::start(&format!(
        "run {} --engine {engine} --connections 3 --threads 1 --start-at {soon}",
        server.url()
    ))
}

#[test]
fn pings_are_answered_before_the_load_begins() {
    for engine in engines() {
        let server = Server::websocket(Habit::PingFirst);
        let running = start(&server, engine);
        let begin = Instant::now();
        while server.log().pongs < 3 {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "{engine}: {} of 3 pings were answered",
                server.log().pongs
            );
            thread::sleep(Duration::from_millis(10));
        }
        running.signal(Signal::INT);
        assert_eq!(running.wait().status.code(), Some(130));
        let log = server.log_without_complaints();
        assert!(log.records.is_empty(), "{engine}: the load began");
    }
}

#[test]
fn a_close_before_the_load_begins_is_told_at_once() {
    for engine in engines() {
        let server = Server::websocket(Habit::CloseFirst);
        let output = start(&server, engine).wait();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{engine}: {told}");
        assert!(told.contains("close code 1001 (going)"), "{engine}: {told}");
    }
}

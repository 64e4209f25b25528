//! Where the operator asks, the successor answers in the end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::dynasty::Dynasty;
use crate::server::{free_address, until, usable_engines};

/// Longer than an answer takes, and shorter than a test waits for one.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Whether a connection to the admin listener has a server that serves at its other end.
fn answers(mut stream: impl Read + Write) -> Option<()> {
    let request = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let mut lines = answer.lines();
    let serves = |line| line == "ringback_state{state=\"serving\"} 1";
    lines.any(serves).then_some(())
}

/// Restarts twice, and asks each time once nobody but the successor can answer.
fn restart_and_ask(engine: &str, admin: &str, ask: impl Fn() -> Option<()>) {
    let mut dynasty = Dynasty::found(engine, &["--admin", admin]);
    until("the first answers", &ask);
    for _ in 0..2 {
        let before = dynasty.reigning;
        dynasty.restart();
        assert_eq!(dynasty.end_of(before), Some(0));
        until("the successor answers", &ask);
    }
    assert_eq!(dynasty.abdicate(), Some(0));
}

#[test]
fn the_admin_page_at_a_port_is_the_successors() {
    for engine in usable_engines() {
        let address = free_address();
        restart_and_ask(engine, &address.to_string(), || {
            let stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
            answers(stream)
        });
    }
}

#[test]
fn the_admin_page_at_a_path_is_the_successors() {
    for engine in usable_engines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin");
        restart_and_ask(engine, &format!("unix:{}", path.display()), || {
            let stream = UnixStream::connect(&path).ok()?;
            stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
            answers(stream)
        });
        assert!(!path.exists(), "the last of them takes its file away");
    }
}

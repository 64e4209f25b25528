//! Where the operator asks, the successor answers in the end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::dynasty::Dynasty;
use crate::peers::Crowd;
use crate::server::{BINARY, free_address, until, usable_engines};

/// Longer than an answer takes, and shorter than a test waits for one.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Whether a connection to the admin listener has a server that serves at its other end.
fn answers(stream: impl Read + Write) -> Option<()> {
    has(&page(stream)?, "ringback_state{state=\"serving\"} 1").then_some(())
}

fn page(mut stream: impl Read + Write) -> Option<String> {
    let request = b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The page of whoever answers there.
fn page_at(address: SocketAddr) -> Option<String> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
    page(stream)
}

/// Whether a page has a line that begins so.
fn has(page: &str, start: &str) -> bool {
    page.lines().any(|line| line.starts_with(start))
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
            has(&page_at(address)?, "ringback_state{state=\"serving\"} 1").then_some(())
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

#[test]
fn what_became_of_a_handover_is_told_and_who_came_by_it_counted_where_it_came_in() {
    const FAILED: &str = "ringback_last_handover_timestamp_seconds{result=\"failed\"} 1";
    const SUCCEEDED: &str = "ringback_last_handover_timestamp_seconds{result=\"succeeded\"} 1";
    const OPEN: &str =
        "ringback_connections{entrance=\"127.0.0.1:0\",state=\"open\",worker=\"0\"} 5";
    for engine in usable_engines() {
        let admin = free_address();
        let options = ["--admin", &admin.to_string(), "--workers", "1"];
        let mut dynasty = Dynasty::found_on_a_copy(engine, &options);
        let mut crowd = Crowd::gather(dynasty.address, 5);
        dynasty.replace_by(Path::new("/bin/false"));
        dynasty.ask();
        let told = |lines: &[&str]| {
            until("it is told", || {
                let page = page_at(admin)?;
                lines.iter().all(|line| has(&page, line)).then_some(page)
            })
        };
        let page = told(&[FAILED, OPEN, "ringback_handovers_total{step=\"failed\"} 1"]);
        assert!(!has(&page, SUCCEEDED), "{engine}: {page}");
        dynasty.replace_by(Path::new(BINARY));
        dynasty.restart();
        let page = told(&[SUCCEEDED, OPEN]);
        assert!(!has(&page, FAILED), "{engine}: {page}");
        crowd.speak(1);
    }
}

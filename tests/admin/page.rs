//! What is answered, to whom, and until when.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::process::Signal;

use crate::rig::{Seen, get, get_unix, try_get};
use crate::server::{self, Server, until};

pub(crate) fn a_drain_is_told_and_seen_to_its_end(engine: &'static str) {
    let server = Seen::start(engine, &["--drain-timeout", "60s"]);
    until("it serves", || {
        (server.get("/readyz").status == 200).then_some(())
    });
    // Half a frame holds the drain up: its echo has begun.
    let mut open = server.upgrade();
    open.write_all(&[0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0])
        .unwrap();
    open.write_all(&[0; 40_000]).unwrap();
    let mut echo = [0; 1000];
    open.read_exact(&mut echo).unwrap();
    let _silent = TcpStream::connect(server.address).unwrap();
    server.signal(Signal::TERM);
    until("the drain is told", || {
        (server.get("/readyz").status == 503).then_some(())
    });
    assert_eq!(server.get("/healthz").body, "ok\n");
    assert!(
        server
            .metrics()
            .0
            .contains("ringback_state{state=\"leaving\"} 1")
    );
    assert_eq!(
        get(server.address, "/readyz", "").status,
        503,
        "as on the port of the service"
    );
    drop(open);
    server.wait();
}

pub(crate) fn nothing_else_need_be_served(engine: &'static str) {
    let server = Seen::start(engine, &["--no-http"]);
    assert_eq!(server.get("/healthz").status, 200);
    let page = server.metrics();
    assert!(!page.0.contains("\nringback_http_requests_total"));
    assert!(page.0.contains("ringback_workers 1\n"));
    let plain = Seen::start(engine, &["--protocol", "tcp"]);
    let mut stream = TcpStream::connect(plain.address).unwrap();
    stream.write_all(b"abc").unwrap();
    stream.read_exact(&mut [0; 3]).unwrap();
    plain.assert_comes(&[
        "ringback_connections{entrance=\"127.0.0.1:0\",state=\"open\",worker=\"0\"} 1",
        "ringback_received_bytes_total{worker=\"0\"} 3",
        "ringback_answered_bytes_total{worker=\"0\"} 3",
    ]);
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let server = Seen::start("epoll", &[]);
    let plain = server.get("/metrics");
    assert!(
        plain
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
    let headers = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let open = get(server.admin, "/metrics", headers);
    assert!(
        open.head
            .contains("content-type: application/openmetrics-text; version=1.0.0")
    );
    assert!(open.body.ends_with("# EOF\n"));
    assert!(open.head.contains("cache-control: no-store"));
    assert_eq!(server.get("/").status, 404);
    assert!(server.get("/").body.contains("/metrics"));
}

/// A page of the web may have its own name resolve to the loopback, but not have `Host` say another.
#[test]
fn nothing_is_told_under_a_name_of_somebody_else() {
    let server = Seen::start("epoll", &[]);
    let other = "Host: rebound.example:80\r\n";
    for path in ["/config", "/connections", "/metrics"] {
        let answer = get(server.admin, path, other);
        assert_eq!(answer.status, 421, "{path}: {}", answer.body);
        assert!(answer.body.contains("localhost"), "{}", answer.body);
        let address = format!("Host: {}\r\n", server.admin);
        assert_eq!(get(server.admin, path, &address).status, 200);
    }
    for path in ["/healthz", "/readyz"] {
        assert_ne!(get(server.admin, path, other).status, 421);
    }
}

#[test]
fn the_configuration_is_told_with_its_origins() {
    let server = Seen::start("epoll", &["--idle-timeout", "2m"]);
    let answer = server.get("/config");
    let told: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let of = |name: &str| {
        let all = told.as_array().expect("a list").iter();
        let mut named = all.filter(|it| it["option"] == name);
        let one = named
            .next()
            .unwrap_or_else(|| panic!("{name} in {told}"))
            .clone();
        assert!(named.next().is_none());
        one
    };
    assert_eq!(of("idle-timeout")["values"], serde_json::json!(["2m"]));
    assert_eq!(of("idle-timeout")["from"], "--idle-timeout");
    assert_eq!(of("stall-timeout")["from"], "default");
    assert_eq!(of("stall-timeout")["values"], serde_json::json!(["30s"]));
}

/// Those who say nothing, or ask by halves, keep no place from somebody who asks.
#[test]
fn whoever_asks_is_answered_whoever_else_is_there() {
    // At a path, where the kernel has them all wait. One after the other they would take longer than an answer is waited
    // for.
    const SILENT: usize = 600;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    let _server = Server::start("epoll", &["--admin", &format!("unix:{}", path.display())]);
    let hold = |number: usize| {
        let mut stream = UnixStream::connect(&path).unwrap();
        if number.is_multiple_of(2) {
            // It may have had to give way already.
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n");
        }
        stream
    };
    let held: Vec<_> = (0..SILENT).map(hold).collect();
    for what in ["/healthz", "/metrics", "/connections"] {
        assert_eq!(get_unix(&path, what).status, 200, "{what}");
    }
    drop(held);
}

#[test]
fn whoever_asks_for_too_much_is_not_heard() {
    let server = Seen::start("epoll", &[]);
    let mut long = TcpStream::connect(server.admin).unwrap();
    let head = format!(
        "GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let _ = long.write_all(head.as_bytes());
    let mut answer = String::new();
    let _ = long.read_to_string(&mut answer);
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_socket_with_a_name_is_taken_over_and_left_clean() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin");
    // As a process leaves it that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let address = format!("unix:{}", path.display());
    let server = Server::start("epoll", &["--admin", &address]);
    assert_eq!(get_unix(&path, "/healthz").body, "ok\n");
    let (status, said) = server::run_to_end(&["--listen", "127.0.0.1:0", "--admin", &address]);
    assert!(!status.success());
    assert!(said.contains("--admin: cannot listen on unix:"), "{said}");
    assert_eq!(
        get_unix(&path, "/healthz").body,
        "ok\n",
        "it is still the first one's"
    );
    server.signal(Signal::TERM);
    server.wait();
    until("the file is gone", || (!path.exists()).then_some(()));
    std::fs::write(&path, "a file").unwrap();
    let (status, said) = server::run_to_end(&["--listen", "127.0.0.1:0", "--admin", &address]);
    assert!(!status.success() && said.contains("no socket"), "{said}");
    assert!(path.exists());
}

#[test]
fn whoever_may_be_asked_from_elsewhere_is_warned() {
    let server = Server::start("epoll", &["--admin", "0.0.0.0:0"]);
    let warned = || {
        server
            .log()
            .iter()
            .any(|line| line.contains("has no password"))
    };
    until("a warning", || warned().then_some(()));
    let quiet = Seen::start("epoll", &[]);
    until("it serves", || {
        (quiet.get("/readyz").status == 200).then_some(())
    });
    assert!(
        !quiet
            .log()
            .iter()
            .any(|line| line.contains("has no password"))
    );
    assert!(try_get(quiet.address, "/metrics", "").is_none_or(|it| it.status == 404));
}

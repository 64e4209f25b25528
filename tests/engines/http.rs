//! Ordinary HTTP on the port of the echo.

use std::net::TcpStream;

use rustix::process::Signal;

use crate::kernel;
use crate::server::{Server, until};
use crate::support::event::CloseSeen;
use crate::support::frames::{self, Frame};
use crate::support::request::{self, Response};
use crate::wire::Wire;

/// What curl sends.
const GET: &str =
    "GET / HTTP/1.1\r\nHost: localhost:3000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";

/// What a health checker sends.
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The answer on a connection of its own.
fn ask(server: &Server, method: &str, path: &str) -> Response {
    Wire::connect(server).ask(method, path)
}

/// The last answer of a connection, which the server ends.
fn ask_for_the_last(server: &Server, bytes: &[u8]) -> Response {
    let mut wire = Wire::connect(server);
    wire.send(bytes);
    let answer = wire.read_to_end();
    request::read(&answer).unwrap_or_else(|| panic!("no response in {answer:?}"))
}

pub(crate) fn each_request_gets_its_answer(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut kept = Wire::connect(&server);
    for (method, path, status, words) in [
        ("GET", "/", 200, "wscat -c ws://localhost"),
        ("GET", "/?any=thing", 200, "ws://localhost"),
        ("GET", "/healthz", 200, "ok"),
        ("GET", "/readyz", 200, "ready"),
        ("GET", "/nothing", 404, "/healthz"),
        ("POST", "/", 405, "GET, HEAD"),
        ("DELETE", "/healthz", 405, "GET, HEAD"),
    ] {
        for wire in [&mut kept, &mut Wire::connect(&server)] {
            let answer = wire.ask(method, path);
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            assert!(answer.body().contains(words), "{method} {path}: {answer:?}");
            assert!(status != 405 || answer.header("allow").is_some());
        }
        let head = kept.ask("HEAD", path);
        assert!(head.header("content-length").is_some(), "{head:?}");
    }
}

pub(crate) fn every_cut_of_a_head_is_answered(engine: &'static str) {
    let server = Server::start(engine, &[]);
    for cut in 1..GET.len() {
        let mut wire = Wire::connect(&server);
        wire.send(&GET.as_bytes()[..cut]);
        kernel::wait_until_read(&server, 1);
        wire.send(&GET.as_bytes()[cut..]);
        let answer = wire.read_answer("GET");
        assert_eq!(answer.status, 200, "cut at {cut}: {answer:?}");
        assert!(answer.body().contains("ws://localhost:3000"), "{answer:?}");
    }
}

/// In its own terms: the version, and no connection that is kept.
pub(crate) fn http_1_0_is_answered_in_its_terms(engine: &'static str) {
    let server = Server::start(engine, &[]);
    for (fields, body_has_words) in [("", true), ("Host: a\r\n", true)] {
        let head = format!("GET / HTTP/1.0\r\n{fields}\r\n");
        let answer = ask_for_the_last(&server, head.as_bytes());
        assert_eq!((&answer.version[..], answer.status), ("HTTP/1.0", 200));
        let has_words = answer.body().contains("proxy_http_version 1.1");
        assert_eq!(has_words, body_has_words, "{answer:?}");
    }
    let answer = ask_for_the_last(&server, b"GET /readyz HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, answer.body()), (200, "ready\n"));
}

pub(crate) fn no_http_refuses_what_is_no_upgrade(engine: &'static str) {
    let server = Server::start(engine, &["--no-http"]);
    for (head, status) in [
        (GET, 426),
        (HEALTH, 426),
        ("GET / HTTP/1.0\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    ] {
        ask_for_the_last(&server, head.as_bytes()).assert_refused(status);
    }
    Wire::upgrade(&server).assert_echoes("still serving");
}

/// The connection goes to the side that answers HTTP, and back, with what was sent behind the upgrade.
pub(crate) fn an_upgrade_may_follow_ordinary_requests(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let large = Frame::binary(&frames::noise(200_000, 81));
    let early = frames::encode(&[Frame::text("early"), large.clone(), Frame::close(4000, "")]);
    let stream = [&GET.repeat(3).into_bytes()[..], &request::upgrade(), &early].concat();
    let upgrade_end = stream.len() - early.len();
    // All at once, and cut in the last ordinary request, in the upgrade, and in what follows it.
    for cut in [
        0,
        3 * GET.len() - 5,
        upgrade_end - 20,
        upgrade_end,
        upgrade_end + 5,
    ] {
        let mut wire = Wire::connect(&server);
        if cut > 0 {
            wire.send(&stream[..cut]);
            kernel::wait_until_read(&server, 1);
        }
        let sending = wire.send_aside(stream[cut..].to_vec());
        for _ in 0..3 {
            assert_eq!(wire.read_answer("GET").status, 200, "cut at {cut}");
        }
        wire.read_response().assert_switched();
        let seen = wire.replies_to_end().outcome;
        sending.join().expect("all is sent");
        let messages: Vec<_> = seen.messages().map(|it| it.bytes.as_slice()).collect();
        assert!(
            messages == [b"early".as_slice(), &large.payload],
            "cut at {cut}: other echoes"
        );
        assert_eq!(seen.close, Some(CloseSeen::Code(4000)), "cut at {cut}");
    }
}

/// Whoever is kept by a load balancer because it is full must not be taken for dead.
pub(crate) fn a_full_server_answers_a_health_check(engine: &'static str) {
    let server = Server::start(engine, &["--max-connections", "1"]);
    let mut only = Wire::upgrade(&server);
    for _ in 0..3 {
        assert_eq!(ask(&server, "GET", "/healthz").status, 200);
        assert_eq!(ask(&server, "GET", "/").status, 200);
        ask_for_the_last(&server, &request::upgrade()).assert_refused(503);
        let both = [HEALTH.as_bytes(), &request::upgrade()].concat();
        let mut wire = Wire::connect(&server);
        wire.send(&both);
        assert_eq!(wire.read_answer("GET").status, 200);
        wire.read_answer("GET").assert_refused(503);
        only.assert_echoes("the only one");
    }
    // Who is kept for ordinary requests takes nobody's place, and gets one with an upgrade.
    let mut browser = Wire::connect(&server);
    assert_eq!(browser.ask("GET", "/").status, 200);
    drop(only);
    let mut next = until("the place is free", || {
        let mut wire = Wire::connect(&server);
        wire.send(&request::upgrade());
        (wire.read_response().status == 101).then_some(wire)
    });
    next.assert_echoes("beside a browser");
    drop(next);
    until("the place is free again", || {
        (kernel::accepted_count(&server) == 1).then_some(())
    });
    browser.handshake();
    browser.assert_echoes("no browser any more");
    ask_for_the_last(&server, &request::upgrade()).assert_refused(503);
}

pub(crate) fn a_drain_is_told_to_who_asks(engine: &'static str) {
    let patient = ["--drain-timeout", "10m", "--stall-timeout", "10m"];
    let server = Server::start(engine, &patient);
    // It reads nothing of what it is owed, so the drain goes on for as long as it is here.
    let held = Wire::connect_narrow(&server, 4096);
    let owed = Frame::binary(&frames::noise(16 << 20, 82)).encode();
    let _sending = held.send_aside([request::upgrade(), owed].concat());
    let mut kept = Wire::connect(&server);
    assert_eq!(kept.ask("GET", "/readyz").status, 200);
    let mut half = Wire::connect(&server);
    assert_eq!(half.ask("GET", "/").status, 200);
    half.send(&HEALTH.as_bytes()[..20]);
    until("the server holds the owed and the half", || {
        let sockets = kernel::sockets(&server);
        (sockets.len() == 3 && sockets.iter().any(|it| it.unsent_bytes > 0)).then_some(())
    });
    server.signal(Signal::TERM);
    assert!(
        kept.read_to_end().is_empty(),
        "an idle connection is let go"
    );
    for _ in 0..3 {
        for (path, status) in [("/readyz", 503), ("/healthz", 200)] {
            let answer = ask(&server, "GET", path);
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        }
        ask_for_the_last(&server, &request::upgrade()).assert_refused(503);
    }
    half.send(&HEALTH.as_bytes()[20..]);
    assert_eq!(half.read_answer("GET").status, 200);
    held.reset();
    assert_eq!(server.wait().code(), Some(0));
}

/// What is kept without a request, or with half of one, does not keep a server that has nobody else.
pub(crate) fn kept_connections_do_not_prolong_a_drain(engine: &'static str) {
    let server = Server::start(engine, &["--drain-timeout", "10m"]);
    let mut kept: Vec<_> = (0..8).map(|_| Wire::connect(&server)).collect();
    for wire in &mut kept {
        assert_eq!(wire.ask("GET", "/").status, 200);
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    for wire in kept {
        assert!(wire.read_to_end().is_empty());
    }
}

/// A WebSocket on a connection that has served requests is one like any other.
pub(crate) fn a_drain_is_told_to_upgrades_that_follow(engine: &'static str) {
    let server = Server::start(engine, &["--drain-timeout", "10m", "--workers", "2"]);
    let mut wires: Vec<_> = (0..4).map(|_| Wire::connect(&server)).collect();
    for wire in &mut wires {
        assert_eq!(wire.ask("GET", "/healthz").status, 200);
        wire.handshake();
        wire.assert_echoes("before");
    }
    server.signal(Signal::TERM);
    for wire in wires {
        let seen = wire.replies_to_end().outcome;
        assert_eq!(seen.close, Some(CloseSeen::Code(1001)));
    }
    assert_eq!(server.wait().code(), Some(0));
}

/// Also where no worker is left that could take it.
pub(crate) fn an_upgrade_that_follows_in_a_drain_is_refused(engine: &'static str) {
    let server = Server::start(engine, &["--drain-timeout", "10m"]);
    let mut late = Wire::connect(&server);
    assert_eq!(late.ask("GET", "/healthz").status, 200);
    let request = request::upgrade();
    late.send(&request[..20]);
    kernel::wait_until_read(&server, 1);
    server.signal(Signal::TERM);
    until("the worker has ended", || {
        TcpStream::connect(server.address).is_err().then_some(())
    });
    late.send(&request[20..]);
    late.read_answer("GET").assert_refused(503);
    assert!(late.read_to_end().is_empty());
    assert_eq!(server.wait().code(), Some(0));
}

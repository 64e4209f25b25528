//! The upgrade request in all its forms, the refusals, and the deadline of the head.

mod support;

use std::time::Duration;

use ringback::protocol::policy::Policy;
use support::pretend::{Pretend, State};
use support::request::{self, KEY, Response};

/// What answers `head`, given in one piece and byte by byte.
fn answer(policy: &Policy, head: &[u8]) -> Response {
    let mut whole = Pretend::open(policy);
    whole.feed(head);
    let mut sliced = Pretend::open(policy);
    for byte in head {
        sliced.feed(&[*byte]);
    }
    assert_eq!(whole.state, sliced.state, "cutting changed the fate");
    let refused = whole.state != State::Open;
    let sent = whole.release();
    let sliced_sent = sliced.release();
    let [whole_text, sliced_text] = [&sent, &sliced_sent].map(|it| String::from_utf8_lossy(it));
    assert_eq!(whole_text, sliced_text, "cutting changed the answer");
    let response = request::read(&sent).expect("a response");
    assert_eq!(
        refused,
        response.status != 101,
        "a refused connection ends: {response:?}"
    );
    response
}

fn refusal(head: &str, status: u16) -> Response {
    let response = answer(&Policy::default(), head.as_bytes());
    response.assert_refused(status);
    response
}

/// [`request::upgrade`] with one passage replaced.
fn request_but(passage: &str, replacement: &str) -> String {
    let head = String::from_utf8(request::upgrade()).expect("ASCII");
    assert!(head.contains(passage), "{passage} is not in the request");
    head.replace(passage, replacement)
}

#[test]
fn tokens_count_in_any_case_and_any_place() {
    for (passage, replacement) in [
        ("Upgrade: websocket", "UPGRADE: WebSocket"),
        ("Upgrade: websocket", "upgrade:  \tfoo , websocket"),
        ("Upgrade: websocket", "Upgrade: h2c\r\nUpgrade: WEBSOCKET"),
        ("Connection: Upgrade", "connection: keep-alive, UPGRADE"),
        (
            "Connection: Upgrade",
            "Connection: keep-alive\r\nConnection: upgrade",
        ),
        ("Host: localhost:3000", "host: [::1]"),
        ("/chat", "/a/b?c=d&e=%20"),
        ("/chat", "/"),
    ] {
        let head = request_but(passage, replacement);
        answer(&Policy::default(), head.as_bytes()).assert_switched();
    }
}

#[test]
fn extensions_and_unknown_headers_are_ignored() {
    let head = request::with_header(
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
         Origin: http://example.org\r\nX-Anything: at all\r\n",
    );
    answer(&Policy::default(), &head).assert_switched();
}

#[test]
fn a_subprotocol_is_chosen_only_when_configured() {
    let head = request::with_header("Sec-WebSocket-Protocol: soap, chat\r\n");
    let chosen = |accepted: &[&str]| {
        let subprotocols = accepted.iter().map(ToString::to_string).collect();
        let response = answer(
            &Policy {
                subprotocols,
                ..Policy::default()
            },
            &head,
        );
        response.assert_switched();
        response.header("sec-websocket-protocol").map(str::to_owned)
    };
    assert_eq!(chosen(&[]), None);
    assert_eq!(chosen(&["mqtt"]), None);
    assert_eq!(chosen(&["chat"]).as_deref(), Some("chat"));
    assert_eq!(chosen(&["chat", "soap"]).as_deref(), Some("soap"));
    assert_eq!(chosen(&["*"]).as_deref(), Some("soap"));
    let by_default = answer(&Policy::default(), &head);
    assert_eq!(by_default.header("sec-websocket-protocol"), Some("soap"));
}

/// RFC 6455, section 4.1: its last character has bits that no byte needs.
#[test]
fn the_example_key_of_the_rfc_is_a_key() {
    let head = request_but(KEY, "AQIDBAUGBwgJCgsMDQ4PEC==");
    let response = answer(&Policy::default(), head.as_bytes());
    assert_eq!(response.status, 101, "{response:?}");
    assert_eq!(
        response.header("sec-websocket-accept"),
        Some("OfS0wDaT5NoxF2gqm7Zj2YtetzM=")
    );
}

#[test]
fn a_wrong_version_is_answered_with_the_right_one() {
    for version in ["12", "8", "14", "130", "x", ""] {
        let head = request_but("Version: 13", &format!("Version: {version}"));
        let response = refusal(&head, 426);
        assert_eq!(response.header("sec-websocket-version"), Some("13"));
    }
}

#[test]
fn a_plain_get_is_told_what_this_is() {
    let response = refusal("GET / HTTP/1.1\r\nHost: localhost:3000\r\n\r\n", 426);
    assert!(
        response
            .header("upgrade")
            .is_some_and(|it| it.eq_ignore_ascii_case("websocket"))
    );
    let body = String::from_utf8(response.rest).expect("text");
    assert!(body.to_lowercase().contains("websocket"), "{body}");
}

#[test]
fn another_method_is_not_allowed() {
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        let head = request_but("GET ", &format!("{method} "));
        let response = answer(&Policy::default(), head.as_bytes());
        assert_eq!(response.status, 405);
        assert_eq!(response.header("allow"), Some("GET"));
        assert!(
            method != "HEAD" || response.rest.is_empty(),
            "a HEAD is answered without a body"
        );
    }
}

#[test]
fn malformed_requests_are_refused() {
    let key = format!("Sec-WebSocket-Key: {KEY}");
    for (passage, replacement) in [
        (key.as_str(), "X-Nothing: here"),
        (&key, "Sec-WebSocket-Key: "),
        (&key, "Sec-WebSocket-Key: not base64!"),
        (&key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub24="),
        (&key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSEh"),
        (&key, &format!("{key}\r\n{key}")),
        ("Host: localhost:3000", "X-Host: localhost"),
        ("Host: localhost:3000", "Host: a\r\nHost: b"),
        ("Connection: Upgrade\r\n", "Connection: Upgrade\n"),
        ("Connection: Upgrade", "Connection : Upgrade"),
        (
            "Connection: Upgrade",
            "Connection: Upgrade\r\n folded: line",
        ),
        ("Connection: Upgrade", "Conn\0ection: Upgrade"),
        ("GET /chat HTTP/1.1", "GET  HTTP/1.1"),
        ("GET /chat HTTP/1.1", "nonsense"),
        ("GET /chat HTTP/1.1", "\u{1}\u{2}\u{3}"),
    ] {
        let head = request_but(passage, replacement);
        let response = answer(&Policy::default(), head.as_bytes());
        assert_eq!(response.status, 400, "for {replacement:?}");
        response.assert_refused(400);
    }
}

#[test]
fn an_old_http_is_not_upgraded() {
    let head = request_but("HTTP/1.1", "HTTP/1.0");
    let response = answer(&Policy::default(), head.as_bytes());
    assert!(matches!(response.status, 400 | 426 | 505), "{response:?}");
    response.assert_refused(response.status);
}

#[test]
fn a_head_without_end_is_refused_at_its_limit() {
    let policy = Policy::default();
    for line in [
        "X: y\r\n",
        "X-Filler: zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n",
    ] {
        let mut pretend = Pretend::open(&policy);
        pretend.feed(b"GET / HTTP/1.1\r\nHost: a\r\n");
        let mut fed = 0;
        while pretend.state == State::Open && fed < 40_000 {
            pretend.feed(line.as_bytes());
            fed += line.len();
        }
        assert!((8_000..=17_000).contains(&fed), "refused after {fed} bytes");
        request::read(&pretend.release())
            .expect("a response")
            .assert_refused(431);
    }
    let many = (0..101)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect::<String>();
    answer(&policy, &request::with_header(&many)).assert_refused(431);
    let long = format!("X-Long: {}\r\n", "y".repeat(20_000));
    answer(&policy, &request::with_header(&long)).assert_refused(431);
    let long_target = request_but("/chat", &format!("/{}", "y".repeat(20_000)));
    let status = answer(&policy, long_target.as_bytes()).status;
    assert!(matches!(status, 414 | 431), "{status}");
}

#[test]
fn a_server_that_refuses_says_so() {
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    pretend.refusing = true;
    pretend.feed(&request::upgrade());
    assert_ne!(pretend.state, State::Open);
    let response = request::read(&pretend.release()).expect("a response");
    response.assert_refused(503);
    assert!(response.header("retry-after").is_some(), "{response:?}");
}

#[test]
fn a_cut_head_without_memory_to_hold_it_is_refused() {
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    pretend.spend_slabs();
    for byte in request::upgrade() {
        pretend.feed(&[byte]);
    }
    assert_ne!(pretend.state, State::Open);
    request::read(&pretend.release())
        .expect("a response")
        .assert_refused(503);
}

#[test]
fn no_trickle_of_bytes_moves_the_deadline_of_the_head() {
    let policy = Policy {
        handshake_timeout: Duration::from_secs(10),
        ..Policy::default()
    };
    let mut pretend = Pretend::open(&policy);
    let due = pretend.deadline().expect("a head has a deadline");
    assert_eq!(due.since(pretend.now), policy.handshake_timeout);
    for byte in &request::upgrade()[..9] {
        pretend.wait(Duration::from_secs(1));
        pretend.feed(&[*byte]);
        assert_eq!(pretend.deadline(), Some(due), "a byte moved the deadline");
    }
    assert_eq!(pretend.state, State::Open);
    pretend.wait(Duration::from_secs(1));
    assert_ne!(pretend.state, State::Open);
    request::read(&pretend.release())
        .expect("a response")
        .assert_refused(408);
}

#[test]
fn a_peer_that_finishes_before_its_head_gets_nothing_it_could_mistake() {
    let policy = Policy::default();
    for count in [0, 20] {
        let mut pretend = Pretend::open(&policy);
        pretend.feed(&request::upgrade()[..count]);
        pretend.peer_finishes();
        assert_ne!(pretend.state, State::Open);
        let sent = pretend.release();
        if !sent.is_empty() {
            request::read(&sent)
                .expect("a whole response")
                .assert_refused(400);
        }
    }
}

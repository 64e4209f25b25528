//! The upgrade request in all its forms, the refusals, and the deadline of the head.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use ringback::protocol::WallClock;
use ringback::protocol::policy::Policy;
use support::fate;
use support::pretend::{Pretend, State};
use support::request::{self, KEY, Response};
use support::streams::{self, Cuts};

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
fn unknown_headers_and_extensions_are_ignored() {
    let head = request::with_header(
        "Sec-WebSocket-Extensions: x-anything; at=all\r\n\
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
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
        let response = refusal(&request_but("GET ", &format!("{method} ")), 405);
        assert_eq!(response.header("allow"), Some("GET, HEAD"));
    }
    refusal(&request_but("GET /chat ", "OPTIONS * "), 405);
}

#[test]
fn an_unknown_method_is_not_implemented() {
    for method in ["get", "FETCH", "PROPFIND", "Get", "HEADS"] {
        let response = refusal(&request_but("GET ", &format!("{method} ")), 501);
        assert_eq!(response.header("allow"), None);
    }
    let proxied = refusal(&request_but("GET /chat ", "CONNECT localhost:3000 "), 501);
    assert!(proxied.body().contains("proxy"), "{proxied:?}");
}

#[test]
fn a_head_is_answered_like_a_get_without_a_body() {
    let visit = |method: &str| format!("{method} / HTTP/1.1\r\nHost: localhost:3000\r\n\r\n");
    let get = refusal(&visit("GET"), 426);
    for head in [visit("HEAD"), format!("\r\n{}", visit("HEAD"))] {
        let response = answer(&Policy::default(), head.as_bytes());
        assert_eq!(response.status, 426);
        assert!(response.rest.is_empty(), "{response:?}");
        for name in ["content-length", "content-type", "upgrade", "connection"] {
            assert_eq!(response.header(name), get.header(name), "{name}");
        }
    }
    // Only a GET can be upgraded (RFC 6455, section 4.1).
    let upgrade = request_but("GET ", "HEAD ");
    assert_eq!(answer(&Policy::default(), upgrade.as_bytes()).status, 426);
}

#[test]
fn a_target_that_names_nothing_here_is_refused() {
    for target in [
        "*",
        "foo",
        "/a#b",
        "#",
        "?a",
        "localhost:3000",
        "http:///a",
        "http://:80/a",
        "http://name@a/",
        "http://name:word@a",
        "://a",
        "1:/a",
    ] {
        refusal(&request_but("/chat", target), 400);
    }
    for target in [
        "/",
        "//",
        "/a?b=/c:d",
        "http://localhost",
        "HTTP://a:1/b?c@d",
        "ws://a?b",
    ] {
        let head = request_but("/chat", target);
        answer(&Policy::default(), head.as_bytes()).assert_switched();
    }
}

#[test]
fn a_socket_io_client_is_told_what_this_is() {
    for head in [
        request_but("/chat", "/socket.io/?EIO=4&transport=websocket"),
        request_but("/chat", "/?transport=websocket&EIO=3"),
        "GET /?EIO=4 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
    ] {
        let response = refusal(&head, 426);
        let body = String::from_utf8(response.rest).expect("text");
        assert!(body.contains("Socket.IO"), "{body}");
    }
}

/// What others than HTTP clients say first, and by what name they are called.
const STRANGERS: [(&str, &[u8]); 12] = [
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
    ("SSH", b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5\r\n"),
    ("SMTP", b"EHLO client.example.org\r\n"),
    ("SMTP", b"helo localhost\n"),
    ("Redis", b"*1\r\n$4\r\nPING\r\n"),
    ("Redis", b"*12\r\n$7\r\nCOMMAND\r\n"),
    ("Redis", b"PING\r\n"),
    ("MQTT", b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03abc"),
    ("PROXY", b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"),
    ("PROXY", b"PROXY UNKNOWN\r\n"),
    ("PROXY", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"),
];

#[test]
fn what_is_no_http_is_named_at_once() {
    for (name, bytes) in STRANGERS {
        let response = answer(&Policy::default(), bytes);
        response.assert_refused(400);
        let body = String::from_utf8(response.rest).expect("text");
        assert!(body.contains(name), "{name}: {body}");
    }
}

/// The first byte that no request can have there is answered, the one before it is not.
#[test]
fn a_request_line_is_refused_at_its_first_wrong_byte() {
    for (right, wrong) in [
        ("", " "),
        ("", "\n"),
        ("", "\u{1}"),
        ("\r", "G"),
        ("\r\n", "\r"),
        ("GET", "\r"),
        ("GET", "("),
        ("GET ", " "),
        ("GET /", "\r"),
        ("GET /", "\u{7f}"),
        ("GET / ", "h"),
        ("GET / HTTP/", "a"),
        ("GET / HTTP/1", "/"),
        ("GET / HTTP/1.1", "0"),
        ("GET / HTTP/1.1", "\n"),
        ("GET / HTTP/1.1\r", "H"),
    ] {
        let policy = Policy::default();
        let mut pretend = Pretend::open(&policy);
        pretend.feed(right.as_bytes());
        assert_eq!(pretend.state, State::Open, "{right:?}");
        assert!(pretend.sent.is_empty(), "{right:?}");
        pretend.feed(wrong.as_bytes());
        assert_ne!(pretend.state, State::Open, "{right:?} and {wrong:?}");
        request::read(&pretend.release())
            .expect("a response")
            .assert_refused(400);
    }
}

/// Heads that are right, nearly right, or none.
fn any_head() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(place, byte)| {
        let mut head = request::upgrade();
        let place = place.index(head.len());
        head[place] = byte;
        head
    });
    let stranger = prop::sample::select(STRANGERS.to_vec()).prop_map(|(_, bytes)| bytes.to_vec());
    let noise = proptest::collection::vec(any::<u8>(), 0..60);
    let pieces = vec![
        "GET", "FOO", " ", "/", "*", "HTTP/1.1", "HTTP/1.0", "\r\n", "\n", "\r", "Host: a",
        "\r\n\r\n",
    ];
    let words = proptest::collection::vec(prop::sample::select(pieces), 0..12)
        .prop_map(|words| words.concat().into_bytes());
    prop_oneof![3 => damaged, 2 => stranger, 1 => noise, 3 => words]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_head_is_answered_alike_wherever_it_is_cut(
        head in any_head(),
        cuts in streams::cuts(),
        refusing: bool,
    ) {
        let policy = Policy::default();
        let whole = fate::of(&policy, refusing, false, &head, &Cuts::Whole);
        prop_assert_eq!(fate::of(&policy, refusing, false, &head, &cuts), whole);
    }
}

/// RFC 9110, section 6.6.1: a server with a clock dates what it refuses, one without does not.
#[test]
fn a_refusal_says_when_it_was_made() {
    let undated = refusal("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426);
    assert_eq!(undated.header("date"), None);
    let policy = Policy {
        wall_clock: Some(WallClock(|| Duration::from_secs(784_111_777))),
        ..Policy::default()
    };
    for head in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x16\x03",
        b"\n",
    ] {
        let response = answer(&policy, head);
        assert_eq!(
            response.header("date"),
            Some("Sun, 06 Nov 1994 08:49:37 GMT")
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
    let response = refusal(&request_but("HTTP/1.1", "HTTP/1.0"), 505);
    let body = String::from_utf8(response.rest).expect("text");
    assert!(body.contains("proxy_http_version 1.1"), "{body}");
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

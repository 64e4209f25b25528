//! What the RFCs require of a server and no other test shows: docs/requirements.toml names each by its section.

mod support;

use ringback::protocol::policy::Policy;
use support::pretend::{Pretend, State};
use support::request::{self, Response};

/// What answers `head`.
fn answer(head: &str) -> Response {
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    pretend.feed(head.as_bytes());
    let refused = pretend.state != State::Open;
    let response = request::read(&pretend.release()).expect("a response");
    assert_eq!(refused, response.status != 101, "{response:?}");
    response
}

/// The same, with a status and a passage in its words.
#[track_caller]
fn assert_refused(head: &str, status: u16, words: &str) {
    let response = answer(head);
    response.assert_refused(status);
    assert!(response.body().contains(words), "{response:?}");
}

/// [`request::upgrade`] for another target.
fn upgrade_at(target: &str) -> String {
    let head = String::from_utf8(request::upgrade()).expect("ASCII");
    head.replacen("/chat", target, 1)
}

/// RFC 9112, section 3.2: whatever else is wrong with the request.
#[test]
fn a_host_is_missed_before_anything_else_is_said() {
    for line in [
        "GET / HTTP/1.1",
        "POST / HTTP/1.1",
        "FETCH / HTTP/1.1",
        "CONNECT a:1 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ] {
        assert_refused(&format!("{line}\r\n\r\n"), 400, "Host");
        assert_refused(
            &format!("{line}\r\nHost: a\r\nHost: a\r\n\r\n"),
            400,
            "Host",
        );
        assert_refused(&format!("{line}\r\nHost: a/b\r\n\r\n"), 400, "Host");
    }
}

/// RFC 9112, section 3.2.2: `Host` is ignored where the target says the same.
#[test]
fn the_server_is_called_by_the_name_in_a_whole_uri() {
    let head = "GET http://right.example:81/a HTTP/1.1\r\nHost: wrong.example\r\n\r\n";
    assert_refused(head, 426, "ws://right.example:81'");
    assert!(!answer(head).body().contains("wrong"));
}

/// RFC 9112, section 3: 8000 bytes at least.
#[test]
fn a_request_line_may_be_long() {
    let target = format!("/{}", "a".repeat(8_000));
    answer(&upgrade_at(&target)).assert_switched();
    assert_refused(&upgrade_at(&target.repeat(3)), 414, "request line");
    assert_refused(&"A".repeat(20_000), 501, "method");
}

/// RFC 6585, section 5.
#[test]
fn a_field_that_is_too_large_is_named() {
    let long = "y".repeat(17_000);
    for (name, is_named) in [
        ("Cookie", true),
        ("X-A!b", true),
        ("no token", false),
        ("", false),
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: {long}");
        let response = answer(&head);
        response.assert_refused(431);
        let said = format!("Most of it is the field {name}.");
        assert_eq!(
            response.body().contains(&said),
            is_named,
            "{name}: {response:?}"
        );
    }
    let many = "X: y\r\n".repeat(4_000);
    let response = answer(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}"));
    assert!(!response.body().contains("Most of it"), "{response:?}");
}

/// RFC 9112, section 3.2: no request line is put right, and what was wrong is said.
#[test]
fn a_byte_that_must_be_escaped_is_named_with_its_escape() {
    for (target, escape) in [
        ("/a<b", "%3C"),
        ("/?a=>", "%3E"),
        ("/\"", "%22"),
        ("/caf\u{e9}", "%C3"),
        ("http://a/\u{20ac}", "%E2"),
    ] {
        assert_refused(&upgrade_at(target), 400, escape);
    }
    // No URI has these either, but browsers send them (URL Standard, section 1.3).
    answer(&upgrade_at("/a|b?c={d}`^\\")).assert_switched();
}

/// RFC 6455, sections 4.2.1 and 4.3.
#[test]
fn an_offer_of_subprotocols_is_a_list_of_tokens() {
    let offering = |value: &str| {
        let head = request::with_header(&format!("Sec-WebSocket-Protocol: {value}\r\n"));
        String::from_utf8(head).expect("UTF-8")
    };
    for value in [
        "two words",
        "chat, a=b",
        "\"chat\"",
        "chat; q=1",
        "caf\u{e9}",
    ] {
        assert_refused(&offering(value), 400, "Sec-WebSocket-Protocol");
    }
    for value in ["chat", ", chat ,", "soap,chat\t", "", ","] {
        answer(&offering(value)).assert_switched();
    }
}

/// RFC 9110, section 15.6.6: HTTP/2 too is told what is spoken here, in the words of HTTP/1.1 that its clients know
/// for what they are.
#[test]
fn a_client_of_http_2_is_told_what_is_spoken_here() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert_refused(preface, 505, "HTTP/1.1");
}

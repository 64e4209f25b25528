//! Ordinary HTTP: which requests are handed over to whoever answers them, whole, and which are not.

mod support;

use proptest::prelude::*;
use proptest::sample::select;
use ringback::protocol::policy::Policy;
use support::fate;
use support::pretend::{Pretend, State};
use support::request;
use support::streams::{self, Cuts};

fn policy() -> Policy {
    Policy {
        http: true,
        ..Policy::default()
    }
}

/// The fate of `head`: handed over, or the status that answers it.
fn fate(head: &str) -> Result<(), u16> {
    let policy = policy();
    let mut pretend = Pretend::open(&policy);
    pretend.feed(head.as_bytes());
    if pretend.state == State::HandedOver {
        assert_eq!(pretend.handed_over, head.as_bytes());
        assert!(pretend.release().is_empty());
        return Ok(());
    }
    let response = request::read(&pretend.release()).expect("a response");
    Err(response.status)
}

/// What answers `head` where nobody else is there.
fn answer_without_http(head: &[u8]) -> (State, Vec<u8>) {
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    pretend.feed(head);
    (pretend.state, pretend.release())
}

#[test]
fn ordinary_requests_are_handed_over() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nHEAD /healthz HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "GET http://a/b?c HTTP/1.1\r\nHost:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n",
        "DELETE / HTTP/1.2\r\nHost: a\r\n\r\n",
        "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n\0\n",
    ] {
        assert_eq!(fate(head), Ok(()), "{head:?}");
    }
}

/// What fails as an upgrade, or is no HTTP/1, is told so as if nobody else were there.
#[test]
fn what_is_no_ordinary_request_is_answered_as_ever() {
    let but = |passage: &str, replacement: &str| {
        let head = String::from_utf8(request::upgrade()).expect("ASCII");
        assert!(head.contains(passage));
        head.replace(passage, replacement)
    };
    for head in [
        but("Upgrade: websocket\r\nConnection: Upgrade\r\n", ""),
        but("Upgrade: websocket", "Upgrade: h2c"),
        but("Connection: Upgrade", "Connection: close"),
        but("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        but("GET", "HEAD"),
        but("GET", "POST"),
        but("HTTP/1.1", "HTTP/1.0"),
        but("Host: localhost:3000\r\n", ""),
        but("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n"),
        "GET / HTTP/1.0\r\nSec-WebSocket-Key: x\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nSec-WebSocket-Version: 13\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Protocol: chat\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Extensions: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        "GET /?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "POST /?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "FETCH / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n".to_owned(),
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let policy = policy();
        let mut pretend = Pretend::open(&policy);
        pretend.feed(head.as_bytes());
        assert_ne!(pretend.state, State::Open, "{head:?}");
        let answer = (pretend.state, pretend.release());
        assert_eq!(answer, answer_without_http(head.as_bytes()), "{head:?}");
    }
}

/// Where recipients may differ in where a body ends, requests are smuggled (RFC 9112, section 11.2).
#[test]
fn a_body_whose_end_is_unclear_is_refused() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 05\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length:\r\n",
    ] {
        for method in ["GET", "POST"] {
            let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            assert_eq!(fate(&head), Err(400), "{head:?}");
        }
    }
    assert_eq!(
        fate("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Err(400)
    );
    assert_eq!(
        fate("POST / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        Err(400)
    );
}

/// Who asks whether it is well has to be answered then, too.
#[test]
fn a_server_that_takes_no_upgrades_hands_over_all_the_same() {
    let policy = policy();
    for (head, state) in [
        (
            b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            State::HandedOver,
        ),
        (request::upgrade(), State::HalfClosed),
    ] {
        let mut pretend = Pretend::open(&policy);
        pretend.refusing = true;
        pretend.feed(&head);
        assert_eq!(pretend.state, state);
        pretend.release();
    }
}

/// Requests that are right, nearly right, or upgrades, and whatever comes behind them.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let lines = vec![
        "GET / HTTP/1.1",
        "POST /a HTTP/1.1",
        "GET / HTTP/1.0",
        "GET * HTTP/1.1",
    ];
    let fields = vec![
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Sec-WebSocket-Version: 13\r\n",
        "X: y\n",
        "Accept: */*\r\n",
    ];
    let built = (
        select(lines),
        proptest::collection::vec(select(fields), 0..4),
        proptest::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(line, fields, body)| {
            let head = format!("{line}\r\nHost: b\r\n{}\r\n", fields.concat());
            [head.as_bytes(), &body].concat()
        });
    let upgrade = proptest::collection::vec(any::<u8>(), 0..20)
        .prop_map(|behind| [request::upgrade(), behind].concat());
    prop_oneof![4 => built, 1 => upgrade]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A hand-over is a fate like others: it happens or not, and every byte that came goes with it in order.
    #[test]
    fn where_a_request_is_cut_does_not_decide_who_answers(
        bytes in requests(),
        cuts in streams::cuts(),
        refusing: bool,
        is_carried: bool,
    ) {
        let policy = policy();
        let whole = fate::of(&policy, refusing, is_carried, &bytes, &Cuts::Whole);
        prop_assert_eq!(fate::of(&policy, refusing, is_carried, &bytes, &cuts), whole);
    }
}

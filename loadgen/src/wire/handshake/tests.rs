//! What a client must accept of a server's answer, and what not.

use super::offer::{Header, parse_subprotocol};
use super::*;

/// The nonce of RFC 6455 section 1.3, whose answer is printed there.
const NONCE: &[u8; 16] = b"the sample nonce";
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n\
    CONNECTION: keep-alive, upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn begin(offer: Offer) -> Handshake {
    Handshake::begin("h:1", "/", &Arc::new(offer), *NONCE).1
}

fn answered(answer: &[u8]) -> Result<Progress, Failure> {
    begin(Offer::default()).receive(answer)
}

/// The sample answer with one more header.
fn answer_with(header: &str) -> String {
    ANSWER.replacen("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"), 1)
}

fn chat() -> Offer {
    Offer {
        subprotocols: ["v2.chat", "chat"]
            .map(|name| parse_subprotocol(name).unwrap())
            .to_vec(),
        ..Offer::default()
    }
}

fn deflate() -> Offer {
    Offer {
        deflate: true,
        ..Offer::default()
    }
}

#[test]
fn accepts_the_sample_of_the_rfc_however_cut() {
    let offer = Arc::new(Offer {
        headers: vec![Header::parse("X-Test: yes").unwrap()],
        ..Offer::default()
    });
    let (request, _) = Handshake::begin("h:1", "/x", &offer, *NONCE);
    let request = String::from_utf8(request).unwrap();
    assert!(request.starts_with("GET /x HTTP/1.1\r\nHost: h:1\r\n"));
    assert!(request.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    assert!(request.ends_with("X-Test: yes\r\n\r\n"));

    let answer = [ANSWER.as_bytes(), b"\x81\x00"].concat();
    assert_eq!(
        answered(&answer).unwrap(),
        Progress::Open(b"\x81\x00".to_vec())
    );
    for cut in 0..ANSWER.len() {
        let mut handshake = begin(Offer::default());
        assert_eq!(handshake.receive(&answer[..cut]).unwrap(), Progress::More);
        assert_eq!(
            handshake.receive(&answer[cut..]).unwrap(),
            Progress::Open(b"\x81\x00".to_vec())
        );
    }
}

#[test]
fn refuses_a_wrong_101() {
    for (good, bad) in [
        ("upgrade: WebSocket", "upgrade: h2c"),
        ("upgrade: WebSocket", "upgrade: websocket, h2c"),
        ("upgrade: WebSocket", "X-Upgrade: websocket"),
        ("upgrade: WebSocket", "upgrade: websocket\r\nUpgrade: h2c"),
        ("keep-alive, upgrade", "keep-alive"),
        ("s3pP", "t3pP"),
        ("Sec-WebSocket-Accept", "X-Accept"),
        (
            "\r\n\r\n",
            "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        ),
        (
            "\r\n\r\n",
            "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        ),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"),
    ] {
        let answer = ANSWER.replacen(good, bad, 1);
        assert!(
            matches!(answered(answer.as_bytes()), Err(Failure::Refused(_))),
            "{bad}"
        );
    }
}

#[test]
fn exactly_one_of_the_subprotocols_offered_is_chosen() {
    let mut handshake = begin(chat());
    let answer = answer_with("sec-websocket-protocol: chat");
    let progress = handshake.receive(answer.as_bytes()).unwrap();
    assert_eq!(progress, Progress::Open(Vec::new()));
    assert_eq!(handshake.accepted().subprotocol.as_deref(), Some("chat"));

    for (header, phrase) in [
        (
            "X: y",
            "chose none of the subprotocols offered (v2.chat, chat)",
        ),
        (
            "Sec-WebSocket-Protocol: CHAT",
            "must choose one of v2.chat, chat",
        ),
        (
            "Sec-WebSocket-Protocol: v2.chat, chat",
            "must choose one of",
        ),
        ("Sec-WebSocket-Protocol:", "must choose one of"),
        (
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat",
            "must choose one of",
        ),
    ] {
        let answer = answer_with(header);
        let failure = begin(chat()).receive(answer.as_bytes()).unwrap_err();
        assert!(failure.to_string().contains(phrase), "{header}: {failure}");
    }
}

#[test]
fn compression_is_agreed_on_or_the_handshake_fails() {
    let mut handshake = begin(deflate());
    let answer =
        answer_with("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10");
    handshake.receive(answer.as_bytes()).unwrap();
    let agreed = handshake.accepted().deflate.unwrap();
    assert_eq!(agreed.server.max_window_bits, 10);

    for (header, phrase) in [
        ("X: y", "does not accept permessage-deflate"),
        (
            "Sec-WebSocket-Extensions: permessage-deflate; x",
            "unknown parameter",
        ),
        (
            "Sec-WebSocket-Extensions: permessage-deflate\r\n\
             Sec-WebSocket-Extensions: permessage-deflate",
            "2 extensions",
        ),
        ("Sec-WebSocket-Extensions: \u{ff}", "not offered"),
    ] {
        let answer = answer_with(header);
        let failure = begin(deflate()).receive(answer.as_bytes()).unwrap_err();
        assert!(failure.to_string().contains(phrase), "{header}: {failure}");
    }
}

#[test]
fn a_refusal_is_told_with_status_and_body() {
    let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\nRetry-After: 7\r\n\r\n\
        go away\n";
    let failure = answered(answer).unwrap_err().to_string();
    assert!(failure.contains("503 Service Unavailable"), "{failure}");
    assert!(failure.contains("Retry-After: \"7\""), "{failure}");
    assert!(failure.contains("go away"), "{failure}");

    let mut handshake = begin(Offer::default());
    assert_eq!(
        handshake.receive(b"HTTP/1.1 400 Bad\r\n\r\nwh").unwrap(),
        Progress::More
    );
    // A server that keeps the connection open has still given its status.
    assert!(handshake.out_of_time(5).to_string().contains("400 Bad"));
    assert!(handshake.end_of_stream().to_string().contains("\"wh\""));
    assert!(answered(b"SSH-2.0-x\r\n").is_err());
}

#[test]
fn a_refusal_says_what_would_be_right() {
    for (answer, phrases) in [
        (
            "301 Moved\r\nLocation: wss://h/new",
            &["301 Moved", "\"wss://h/new\"", "not followed"][..],
        ),
        (
            "401 Unauthorized\r\nWWW-Authenticate: Basic realm=x",
            &["401", "WWW-Authenticate: \"Basic realm=x\""][..],
        ),
        ("403 Forbidden\r\nX: y", &["403 Forbidden"][..]),
        (
            "426 Upgrade Required\r\nSec-WebSocket-Version: 8",
            &["426", "Sec-WebSocket-Version: \"8\""][..],
        ),
    ] {
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        let failure = answered(answer.as_bytes()).unwrap_err().to_string();
        for phrase in phrases {
            assert!(failure.contains(phrase), "{failure}");
        }
    }
    let failure = answered(b"\x15\x03\x03\x00\x02\x02\x32").unwrap_err();
    assert!(failure.to_string().contains("use wss://"), "{failure}");
}

#[test]
fn interim_responses_are_passed_over_but_not_for_ever() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let answer = format!("{interim}{interim}{ANSWER}x");
    assert_eq!(
        answered(answer.as_bytes()).unwrap(),
        Progress::Open(b"x".to_vec())
    );
    let mut handshake = begin(Offer::default());
    let outcome = (0..HEAD_BYTES_MAX).find_map(|_| handshake.receive(interim.as_bytes()).err());
    assert!(outcome.is_some());
}

#[test]
fn a_server_that_says_nothing_is_told_from_one_that_stops_half_way() {
    let mut handshake = begin(Offer::default());
    assert!(
        handshake
            .end_of_stream()
            .to_string()
            .contains("without answering")
    );
    assert!(
        handshake
            .out_of_time(5)
            .to_string()
            .contains("did not answer within 5")
    );
    handshake.receive(b"HTTP/1.1 10").unwrap();
    assert!(
        handshake
            .end_of_stream()
            .to_string()
            .contains("in the middle")
    );
    assert!(
        handshake
            .out_of_time(5)
            .to_string()
            .contains("did not finish")
    );
}

use proptest::prelude::*;

use super::*;
use crate::protocol::policy::Elsewhere;

/// The key of RFC 6455, section 1.3, and its answer.
const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SAMPLE_ACCEPT: &[u8; 28] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const FIELDS: [&str; 5] = [
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

pub(super) fn head_of<S: AsRef<str>>(line: &str, fields: &[S]) -> Vec<u8> {
    let mut head = format!("{line}\r\n");
    for field in fields {
        head += field.as_ref();
        head += "\r\n";
    }
    head += "\r\n";
    head.into_bytes()
}

/// An upgrade in which the fields named as those in `changed` are replaced by them.
fn head_with(changed: &[&str]) -> Vec<u8> {
    let mut fields = without(changed);
    fields.extend_from_slice(changed);
    head_of("GET /chat HTTP/1.1", &fields)
}

/// The fields of an upgrade that are not named as one of `others`.
fn without(others: &[&str]) -> Vec<&'static str> {
    let name = |field: &str| field.split(':').next().map(str::to_ascii_lowercase);
    FIELDS
        .into_iter()
        .filter(|kept| !others.iter().any(|other| name(other) == name(kept)))
        .collect()
}

fn policy(subprotocols: &[&str]) -> Policy {
    Policy {
        subprotocols: subprotocols.iter().map(ToString::to_string).collect(),
        ..Policy::default()
    }
}

/// The verdict on a head that must be whole.
fn verdict(head: &[u8]) -> Result<(), Refusal> {
    assert_eq!(
        scan(head, 0),
        Scan::Complete(head.len()),
        "{}",
        head.escape_ascii()
    );
    answer(head, &policy(&[])).map(|_| ())
}

#[track_caller]
fn refused(head: &[u8], expected: Refusal) {
    assert_eq!(verdict(head), Err(expected), "{}", head.escape_ascii());
}

#[track_caller]
fn accepted(head: &[u8]) {
    assert_eq!(verdict(head), Ok(()), "{}", head.escape_ascii());
}

fn upgraded<'a>(answer: Result<Answer<'a>, Refusal>) -> Accepted<'a> {
    match answer {
        Ok(Answer::Upgrade(accepted)) => accepted,
        other => panic!("{other:?}"),
    }
}

fn switching(accepted: &Accepted<'_>) -> Vec<u8> {
    let mut out = vec![0; HEAD_BYTES_MAX];
    let len = write_switching(accepted, &mut out);
    out.truncate(len);
    out
}

#[test]
fn answers_the_example_of_the_specification() {
    let head = head_with(&[
        "Origin: http://example.com",
        "Sec-WebSocket-Protocol: chat, superchat",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    ]);
    let policy = policy(&["superchat", "chat"]);
    let accepted = upgraded(answer(&head, &policy));
    assert_eq!(&accepted.accept, SAMPLE_ACCEPT);
    assert_eq!(
        String::from_utf8_lossy(&switching(&accepted)),
        "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\
        \r\n"
    );
}

#[test]
fn a_101_is_as_long_as_is_said_before_it_is_written() {
    let policy = policy(&["*"]);
    for subprotocol in ["", "a", "chat"] {
        let mut fields = vec![
            "Host:".to_owned(),
            "Upgrade:websocket".to_owned(),
            "Connection:upgrade".to_owned(),
            format!("Sec-WebSocket-Key:{SAMPLE_KEY}"),
            "Sec-WebSocket-Version:13".to_owned(),
        ];
        if !subprotocol.is_empty() {
            fields.push(format!("Sec-WebSocket-Protocol:{subprotocol}"));
        }
        let head = head_of("GET / HTTP/1.1", &fields);
        let accepted = upgraded(answer(&head, &policy));
        assert_eq!(switching(&accepted).len(), accepted.switching_len());
    }
}

#[test]
fn finds_tokens_in_any_case_and_place() {
    for changed in [
        &["upgrade: WebSocket"][..],
        &["UPGRADE: h2c, WEBSOCKET"],
        &["Upgrade: h2c", "Upgrade:websocket"],
        &["Upgrade: websocket", "Upgrade: h2c"],
        &["Upgrade: ,, websocket ,h2c"],
        &["connection: keep-alive, Upgrade"],
        &["CONNECTION:UPGRADE"],
        &["Connection: keep-alive", "Connection: \tupgrade\t"],
        &["Connection: Upgrade", "Connection: keep-alive"],
        &["Connection: upgrade,keep-alive"],
        &["sec-websocket-version:13"],
        &["SEC-WEBSOCKET-KEY:   dGhlIHNhbXBsZSBub25jZQ==  "],
        &["Content-Length: 0"],
        &["Host: [::1]:3000"],
        &["Host:"],
    ] {
        accepted(&head_with(changed));
    }
    for changed in [
        "Upgrade: web socket",
        "Upgrade: websockets",
        "Upgrade: websocket/13",
    ] {
        refused(&head_with(&[changed]), Refusal::UpgradeRequired);
    }
    for changed in [
        "Connection: upgrades",
        "Connection: keep-alive",
        "Connection:",
    ] {
        refused(&head_with(&[changed]), Refusal::Connection);
    }
}

#[test]
fn refuses_what_the_fields_say() {
    for (changed, expected) in [
        (&["Host: a", "Host: a"][..], Refusal::Host),
        (&["Host: a b"], Refusal::Host),
        (&["Host: a/b"], Refusal::Host),
        (&["Host: a:http"], Refusal::Host),
        (&["Host: a:1:2"], Refusal::Host),
        (&["Host: ::1"], Refusal::Host),
        (&["Host: [::1"], Refusal::Host),
        (&["Host: [::1]3000"], Refusal::Host),
        (&["Content-Length: 1"], Refusal::Body),
        (&["Content-Length: 0", "Content-Length: 5"], Refusal::Body),
        (&["Content-Length: 5", "Content-Length: 0"], Refusal::Body),
        (&["Content-Length: +0"], Refusal::Body),
        (&["Transfer-Encoding: chunked"], Refusal::Body),
        (&["Upgrade: h2c"], Refusal::UpgradeRequired),
        (&["Connection: close"], Refusal::Connection),
        (&["Sec-WebSocket-Version: 8"], Refusal::WebSocketVersion),
        (&["Sec-WebSocket-Version: 013"], Refusal::WebSocketVersion),
        (&["Sec-WebSocket-Version: 13, 8"], Refusal::WebSocketVersion),
        (
            &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"],
            Refusal::WebSocketVersion,
        ),
    ] {
        refused(&head_with(changed), expected);
    }
    for (absent, expected) in [
        ("Host", Refusal::Host),
        ("Upgrade", Refusal::UpgradeRequired),
        ("Connection", Refusal::Connection),
        ("Sec-WebSocket-Version", Refusal::WebSocketVersion),
        ("Sec-WebSocket-Key", Refusal::Key),
    ] {
        refused(&head_of("GET / HTTP/1.1", &without(&[absent])), expected);
    }
}

#[test]
fn refuses_every_other_key() {
    let key = |value: &str| head_with(&[&format!("Sec-WebSocket-Key: {value}")]);
    accepted(&key("AAAAAAAAAAAAAAAAAAAAAA=="));
    // The example of section 4.1, whose last character has bits behind the last byte.
    accepted(&key("AQIDBAUGBwgJCgsMDQ4PEC=="));
    accepted(&key("dGhlIHNhbXBsZSBub25jZR=="));
    accepted(&key("//////////////////////w=="
        .get(1..)
        .expect("it is ASCII")));
    for value in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",     // no padding
        "dGhlIHNhbXBsZSBub25jZQ=",    // half of it
        "dGhlIHNhbXBsZSBub25jZ===",   // too much padding
        "dGhlIHNhbXBsZSBub25jZQ==x",  // a byte more
        "dGhlIHNhbXBsZSBub25jZTE=",   // seventeen bytes
        "dGhlIHNhbXBsZSBub25jZTEy",   // eighteen
        "dGhlIHNhbXBsZSBub25j",       // fifteen
        "dGhlIHNhbXBsZSBub25jZQ==, ", // a list
        "dGhl_HNhbXBsZSBub25jZQ==",   // the other alphabet
        "dGhl HNhbXBsZSBub25jZQ==",   // a space
        "=dGhlIHNhbXBsZSBub25jZQ=",
    ] {
        refused(&key(value), Refusal::Key);
    }
    let field = FIELDS[3];
    refused(&head_with(&[field, field]), Refusal::Key);
}

#[test]
fn reads_the_request_line_strictly() {
    let with_line = |line: &str| head_of(line, &FIELDS);
    accepted(&with_line("GET / HTTP/1.1"));
    accepted(&with_line("GET /?a=b&c HTTP/1.2"));
    accepted(&with_line("GET http://server.example.com/ HTTP/1.9"));
    accepted(&with_line("\r\nGET / HTTP/1.1"));
    for (line, expected) in [
        ("POST / HTTP/1.1", Refusal::Method),
        ("get / HTTP/1.1", Refusal::UnknownMethod),
        ("HEAD / HTTP/1.1", Refusal::UpgradeRequired),
        ("OPTIONS * HTTP/1.1", Refusal::Method),
        ("GET * HTTP/1.1", Refusal::Target),
        ("GET /#d HTTP/1.1", Refusal::Target),
        ("SSH-2 / http", Refusal::Foreign(Foreign::Ssh)),
        ("GET / HTTP/1.0", Refusal::HttpVersion),
        ("GET / HTTP/0.9", Refusal::HttpVersion),
        ("PRI * HTTP/2.0", Refusal::HttpVersion),
        ("GET / HTTP/2.1", Refusal::HttpVersion),
        ("GET /", Refusal::Malformed),
        ("GET / http/1.1", Refusal::Malformed),
        ("GET / HTTP/1.10", Refusal::Malformed),
        ("GET / HTTP/a.b", Refusal::Malformed),
        ("GET / HTTP/1.1 ", Refusal::Malformed),
        ("GET  / HTTP/1.1", Refusal::Malformed),
        ("GET\t/ HTTP/1.1", Refusal::Malformed),
        ("GET /a\u{e9} HTTP/1.1", Refusal::Unescaped(0xC3)),
        ("GET /<a> HTTP/1.1", Refusal::Unescaped(b'<')),
        ("G\u{e9}T / HTTP/1.1", Refusal::Malformed),
        ("CONNECT a:1 HTTP/1.1", Refusal::Connect),
        ("GET /\0 HTTP/1.1", Refusal::Malformed),
        (" GET / HTTP/1.1", Refusal::Malformed),
        ("G(T / HTTP/1.1", Refusal::Malformed),
        ("GET / HTTP/1.1\rHost: a", Refusal::Malformed),
        ("", Refusal::Malformed),
    ] {
        let head = with_line(line);
        let early = match expected {
            Refusal::Malformed | Refusal::Foreign(_) | Refusal::Unescaped(_) => Err(expected),
            _ => Ok(()),
        };
        assert_eq!(check_line(&head), early, "{line:?}");
        assert_eq!(answer(&head, &policy(&[])), Err(expected), "{line:?}");
    }
    // Two empty lines in front are a head by themselves.
    assert_eq!(
        scan(&with_line("\r\n\r\nGET / HTTP/1.1"), 0),
        Scan::Complete(4)
    );
    assert_eq!(
        answer(b"\r\n\r\n", &policy(&[])),
        Err(Refusal::Foreign(Foreign::ProxyV2))
    );
}

#[test]
fn reads_header_fields_strictly() {
    for field in [
        "Host : a",
        "X-Folded: a\r\n b",
        "X-Folded: a\r\n\tb",
        " X-First: a",
        "X-Nul: a\0b",
        "X-Bare: a\rb",
        "X-Bell: \x07",
        "No colon",
        ": no name",
        "X(Y): a",
    ] {
        // At the end and at the front, where a parser may treat it differently.
        let last = head_with(&[field]);
        assert_eq!(
            answer(&last, &policy(&[])),
            Err(Refusal::Malformed),
            "{field:?} last"
        );
        let first = head_of(&format!("GET / HTTP/1.1\r\n{field}"), &FIELDS);
        assert_eq!(
            answer(&first, &policy(&[])),
            Err(Refusal::Malformed),
            "{field:?} first"
        );
    }
    accepted(&head_with(&["X-Bytes: \u{e9}", "X-Tab: a\tb", "X-Empty:"]));
}

#[test]
fn takes_a_hundred_header_fields_and_no_more() {
    let mut fields: Vec<_> = FIELDS.map(str::to_owned).into();
    fields.extend((fields.len()..HEADERS_MAX).map(|index| format!("X-{index}: a")));
    accepted(&head_of("GET / HTTP/1.1", &fields));
    fields.push("X-Last: a".to_owned());
    refused(&head_of("GET / HTTP/1.1", &fields), Refusal::TooManyHeaders);
    fields.extend((0..3000).map(|_| "a:".to_owned()));
    refused(&head_of("GET / HTTP/1.1", &fields), Refusal::TooManyHeaders);
}

#[test]
fn chooses_the_first_subprotocol_offered_that_it_knows() {
    for (offers, known, expected) in [
        (
            &["chat, superchat"][..],
            &["superchat", "chat"][..],
            Some("chat"),
        ),
        (&["chat", "superchat"], &["superchat"], Some("superchat")),
        (&["a,b", "c , chat"], &["chat"], Some("chat")),
        (&["chat"], &[], None),
        (&["chat"], &["Chat"], None),
        (&["chat"], &["*"], Some("chat")),
        (&[" ,, e ,"], &["*"], Some("e")),
        (&[], &["*"], None),
    ] {
        let fields: Vec<_> = offers
            .iter()
            .map(|offer| format!("Sec-WebSocket-Protocol: {offer}"))
            .collect();
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        let head = head_with(&fields);
        let policy = policy(known);
        let accepted = upgraded(answer(&head, &policy));
        assert_eq!(accepted.subprotocol, expected, "of {offers:?} by {known:?}");
    }
    for offers in ["ch at", "a=b", "(c)", "\"d\"", "a, b/c", "caf\u{e9}"] {
        let head = head_with(&[&format!("Sec-WebSocket-Protocol: {offers}")]);
        refused(&head, Refusal::Subprotocol);
    }
}

#[test]
fn tells_socket_io_from_other_visitors() {
    let visit = |target: &str| head_of(&format!("GET {target} HTTP/1.1"), &["Host: a"]);
    refused(
        &visit("/socket.io/?EIO=4&transport=polling"),
        Refusal::SocketIo,
    );
    refused(&visit("/?transport=polling&EIO=4"), Refusal::SocketIo);
    refused(&visit("/EIO=4"), Refusal::UpgradeRequired);
    refused(&visit("/?VIDEIO=4"), Refusal::UpgradeRequired);
    let upgrade = head_of("GET /?EIO=4&transport=websocket HTTP/1.1", &FIELDS);
    refused(&upgrade, Refusal::SocketIo);
}

#[test]
fn a_path_that_is_somebody_elses_is_his_with_all_below() {
    let place = |path: &str, speaks_engine_io| Elsewhere {
        path: path.to_owned(),
        speaks_engine_io,
    };
    let here = Policy {
        http: true,
        elsewhere: vec![place("/x", false), place("/socket.io", true)],
        ..Policy::default()
    };
    let nobody = Policy {
        http: false,
        ..here.clone()
    };
    for (target, is_elsewhere) in [
        ("/x/close/1000?after=3", true),
        ("/socket.io/?EIO=4&transport=websocket", true),
        ("http://a/socket.io?EIO=4", true),
        ("/chat", false),
        ("/xy", false),
    ] {
        let upgrade = head_of(&format!("GET {target} HTTP/1.1"), &FIELDS);
        let verdict = answer(&upgrade, &here);
        assert_eq!(
            matches!(verdict, Ok(Answer::Elsewhere(_))),
            is_elsewhere,
            "{target}"
        );
        assert_eq!(
            matches!(verdict, Ok(Answer::Upgrade(_))),
            !is_elsewhere,
            "{target}"
        );
        assert!(!matches!(
            answer(&upgrade, &nobody),
            Ok(Answer::Elsewhere(_))
        ));
        let visit = head_of(&format!("POST {target} HTTP/1.1"), &["Host: a"]);
        assert_eq!(answer(&visit, &here), Ok(Answer::Http), "{target}");
    }
    // In order, or refused like any other.
    let keyless = head_of("GET /x/echo HTTP/1.1", &without(&["Sec-WebSocket-Key:"]));
    assert_eq!(answer(&keyless, &here), Err(Refusal::Key));
    let stray = head_of("GET /?EIO=4&transport=polling HTTP/1.1", &["Host: a"]);
    assert_eq!(answer(&stray, &here), Err(Refusal::SocketIoPath));
    assert_eq!(answer(&stray, &nobody), Err(Refusal::SocketIo));
    // Somebody else's, but not a place for Socket.IO either.
    let astray = head_of("GET /x/?EIO=4&transport=websocket HTTP/1.1", &FIELDS);
    assert_eq!(answer(&astray, &here), Err(Refusal::SocketIoPath));
    let astray = head_of("GET /x/?EIO=4&transport=polling HTTP/1.1", &["Host: a"]);
    assert_eq!(answer(&astray, &here), Err(Refusal::SocketIoPath));
}

/// A response as a client reads it: status, fields with lower-case names, body.
pub(super) fn read_response(response: &[u8]) -> (u16, Vec<(String, String)>, String) {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Response::new(&mut headers);
    let status = parsed.parse(response).expect("the response is well formed");
    let body = &response[status.unwrap()..];
    let fields = parsed.headers.iter().map(|field| {
        let value = String::from_utf8(field.value.to_vec()).expect("values are ASCII");
        (field.name.to_ascii_lowercase(), value)
    });
    let body = String::from_utf8(body.to_vec()).expect("bodies are UTF-8");
    (
        parsed.code.expect("a parsed response has a status"),
        fields.collect(),
        body,
    )
}

proptest! {
    #[test]
    fn a_damaged_head_is_answered_without_harm(
        place: prop::sample::Index,
        byte: u8,
        offered in "[ -~]{0,40}",
    ) {
        let mut head = head_with(&[&format!("Sec-WebSocket-Protocol: {offered}")]);
        let place = place.index(head.len());
        head[place] = byte;
        match answer(&head, &policy(&["*"])) {
            Ok(Answer::Http | Answer::Elsewhere(_)) => prop_assert!(false, "nobody is there"),
            Ok(Answer::Upgrade(accepted)) => {
                let response = switching(&accepted);
                let fields = if accepted.subprotocol.is_some() { 4 } else { 3 };
                prop_assert_eq!(read_response(&response).1.len(), fields);
                prop_assert_eq!(scan(&response, 0), Scan::Complete(response.len()));
            }
            Err(refusal) => {
                let response = refusal.render(&head, None, false);
                prop_assert_eq!(read_response(&response).0, refusal.status());
            }
        }
    }

    #[test]
    fn any_bytes_are_answered_without_panic(
        head in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = scan(&head, 0);
        if let Err(refusal) = answer(&head, &policy(&["*"])) {
            read_response(&refusal.render(&head, None, false));
        }
    }
}

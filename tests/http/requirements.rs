//! What RFC 9110 and RFC 9112 require and no other test shows: docs/requirements.toml names each by its section.

use std::io::Read;

use crate::rig::Rig;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// RFC 9112, section 3.2.2.
#[test]
fn the_name_in_a_whole_uri_counts_and_not_that_of_host() {
    let rig = Rig::start();
    for path in ["/", "/x/echo"] {
        let answer = rig.ask(&format!(
            "GET http://right.example:81{path} HTTP/1.1\r\nHost: wrong.example\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains("ws://right.example:81"), "{answer:?}");
        assert!(!answer.body.contains("wrong"), "{answer:?}");
    }
}

/// RFC 9112, section 7.1: a size is not cut short, extensions are passed over, trailers are no fields.
#[test]
fn chunks_are_read_with_care() {
    let rig = Rig::start();
    let head = "POST /http HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n";
    let body = "5;a=b;c=\"d;\\\"e\"\r\nhello\r\n0\r\nX-Trailer: none\r\n\r\n";
    let answer = rig.ask(&format!("{head}{body}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("\"text\":\"hello\""), "{answer:?}");
    assert!(!answer.body.contains("X-Trailer"), "{answer:?}");
    for size in ["10000000000000005", "-5", "0x5", "g"] {
        let mut client = rig.call(format!("{head}{size}\r\nhello\r\n0\r\n\r\n{HEALTH}"));
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.closes()), (400, true), "{answer:?}");
        client.shut_down();
        client.ends();
    }
}

/// RFC 9112, section 8.
#[test]
fn a_body_that_is_cut_short_is_none() {
    let rig = Rig::start();
    for body in [
        "Content-Length: 6\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n6\r\nhello",
    ] {
        let mut client = rig.call(format!("POST /http HTTP/1.1\r\nHost: a\r\n{body}"));
        client.shut_down();
        let mut all = String::new();
        client.stream.read_to_string(&mut all).expect("UTF-8");
        assert!(all.is_empty() || all.starts_with("HTTP/1.1 400 "), "{all}");
    }
}

/// RFC 9110, sections 10.1.1 and 15.2; RFC 9112, section 6.1: it knows no interim response and no transfer coding.
#[test]
fn a_client_of_http_1_0_is_sent_nothing_that_it_does_not_know() {
    let rig = Rig::start();
    let mut client = rig
        .call("POST /healthz HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
    assert_eq!(client.answer(false).status, 405);
    client.shut_down();
    client.ends();
    let mut client = rig.call("GET /sse?every=10ms&n=2 HTTP/1.0\r\n\r\n");
    let mut all = String::new();
    client.stream.read_to_string(&mut all).expect("UTF-8");
    assert!(all.starts_with("HTTP/1.0 200 "), "{all}");
    assert!(
        !all.to_ascii_lowercase().contains("transfer-encoding"),
        "{all}"
    );
    assert!(all.ends_with("}\n\n"), "{all}");
}

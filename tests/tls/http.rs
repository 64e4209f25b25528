//! Ordinary HTTP over TLS, and what lives on it.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::AlertDescription;

use crate::client::{Client, config, serve_localhost};
use crate::handshakes::alert_of;
use crate::mixed_up::is_logged;
use crate::reload::metrics;
use crate::support::frames::Frame;
use crate::support::request;

pub(crate) fn ordinary_requests_are_answered(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let mut kept = Client::connect(&server, &authority);
    for (path, words) in [
        ("/", "wss://localhost"),
        ("/healthz", "ok"),
        ("/readyz", "ready"),
        ("/x/upper", "wss://localhost/x/upper"),
        ("/http", "\"method\":\"GET\""),
        ("/socket.io/", "https://localhost"),
        ("/x", "whoami"),
    ] {
        for client in [&mut kept, &mut Client::connect(&server, &authority)] {
            let answer = client.ask(path);
            assert!(answer.body().contains(words), "{path}: {}", answer.body());
        }
    }
    for (version, name) in [
        (&rustls::version::TLS12, "TLSv1.2"),
        (&rustls::version::TLS13, "TLSv1.3"),
    ] {
        let config = Arc::new(config(&authority, &[version], None));
        let mut client = Client::try_connect(&server, "localhost", &config).expect("in");
        let body = client.ask("/x/whoami").body().to_owned();
        let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let tls = &told["tls"];
        assert_eq!(tls["version"], name, "{body}");
        assert_eq!(tls["server_name"], "localhost", "{body}");
        assert_eq!(tls["client"], serde_json::Value::Null, "{body}");
        let cipher = tls["cipher"].as_str().expect("a cipher");
        assert!(cipher.starts_with("TLS_"), "{cipher}");
    }
    let (server, authority) = serve_localhost(engine, &["--no-http"]);
    let mut client = Client::connect(&server, &authority);
    let answer = client.ask("/");
    assert_eq!(answer.status, 426);
    assert!(answer.body().contains("wss://"), "{}", answer.body());
}

/// As those of the workers are.
pub(crate) fn what_breaks_amid_requests_is_counted_and_told(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &["--admin", "127.0.0.1:0"]);
    let mut client = Client::connect(&server, &authority);
    assert_eq!(client.ask("/healthz").status, 200);
    let mut socket = client.stream.sock.try_clone().expect("a descriptor");
    let noise = [&[23, 3, 3, 0, 40][..], &[7; 40]].concat();
    socket.write_all(&noise).expect("the server reads");
    let error = client.stream.read(&mut [0; 10]).expect_err("an alert");
    assert_eq!(alert_of(&error), Some(AlertDescription::BadRecordMac));
    is_logged(&server, "TLS: sends what its keys did not seal");
    let page = metrics(&server);
    let line = "ringback_http_tls_broken_total 1\n";
    assert!(page.contains(line), "{page}");
}

pub(crate) fn a_kept_connection_becomes_a_websocket(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    for version in rustls::ALL_VERSIONS {
        let config = Arc::new(config(&authority, &[version], None));
        let mut client = Client::try_connect(&server, "localhost", &config).expect("in");
        for _ in 0..3 {
            assert_eq!(client.ask("/healthz").status, 200);
        }
        client.handshake();
        let frame = Frame::binary(&[7; 50_000]);
        client.send(&frame.encode());
        let echo = Frame { key: None, ..frame }.encode();
        assert!(client.read_exact(echo.len()) == echo);
        client.send(&Frame::close(1000, "").encode());
        assert!(format!("{:?}", client.replies_to_end()).contains("1000"));
        // All in one write.
        let mut client = Client::try_connect(&server, "localhost", &config).expect("in");
        let get = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
        let message = Frame::text("at once");
        client.send(&[&get[..], &request::upgrade(), &message.encode()].concat());
        assert_eq!(client.read_response().status, 200);
        client.read_exact(3);
        client.read_response().assert_switched();
        let echo = Frame {
            key: None,
            ..message
        }
        .encode();
        assert_eq!(client.read_exact(echo.len()), echo);
    }
}

pub(crate) fn behaviours_are_spoken(engine: &'static str) {
    let (server, authority) = serve_localhost(engine, &[]);
    let upgrade = |path: &str| {
        String::from_utf8(request::upgrade())
            .expect("a head")
            .replace("GET /chat", &format!("GET {path}"))
            .into_bytes()
    };
    let mut client = Client::connect(&server, &authority);
    client.send(&upgrade("/x/whoami"));
    client.read_response().assert_switched();
    let head = client.read_exact(4);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let told = String::from_utf8(client.read_exact(length)).expect("text");
    assert!(told.contains("\"tls\":{\"version\":\"TLSv1.3\""), "{told}");
    // Many records of its own accord, then its end.
    let mut client = Client::connect(&server, &authority);
    client.send(&upgrade("/x/huge/1000000"));
    client.read_response().assert_switched();
    let head = client.read_exact(10);
    let length = u64::from_be_bytes(head[2..].try_into().expect("eight"));
    assert_eq!(length, 1_000_000, "{head:?}");
    client.read_exact(1_000_000);
    client.send(&Frame::close(1000, "").encode());
    client.replies_to_end();
}

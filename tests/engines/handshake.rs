//! The upgrade over a socket.

use std::io::Write;

use crate::server::Server;
use crate::support::frames::{self, Frame};
use crate::support::request::{self, Response};
use crate::wire::Wire;

fn refuse(server: &Server, head: &[u8]) -> Response {
    let mut wire = Wire::connect(server);
    wire.send(head);
    wire.finish();
    let answer = wire.read_to_end();
    let response = request::read(&answer).unwrap_or_else(|| panic!("no response in {answer:?}"));
    let date = response.header("date").expect("a server with a clock");
    httpdate::parse_http_date(date).expect("a date of HTTP");
    response
}

/// Whether or not ordinary HTTP is answered too.
pub(crate) fn refusals_are_whole_responses(engine: &'static str) {
    let valid = String::from_utf8(request::upgrade()).expect("ASCII");
    let many = (0..200)
        .map(|number| format!("X-{number}: y\r\n"))
        .collect::<String>();
    let refused = [
        (valid.replace("Version: 13", "Version: 8"), 426),
        (valid.replace("Upgrade: websocket\r\n", ""), 426),
        (valid.replace("Connection: Upgrade\r\n", ""), 400),
        (valid.replace("GET", "POST"), 405),
        (valid.replace("GET", "FETCH"), 501),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), 501),
        (valid.replace("/chat", "*"), 400),
        (valid.replace("Host: localhost:3000\r\n", ""), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        (valid.replace("HTTP/1.1", "HTTP/1.0"), 505),
        (valid.replace("\r\nUpgrade", "\nUpgrade"), 400),
        (valid.replace("/chat", &"/long".repeat(5000)), 414),
        (
            String::from_utf8(request::with_header(&many)).expect("ASCII"),
            431,
        ),
        (
            "\u{16}\u{3}\u{1} a TLS client, as it were\r\n\r\n".to_owned(),
            400,
        ),
    ];
    for options in [&[][..], &["--no-http"]] {
        let server = Server::start(engine, options);
        for (head, status) in &refused {
            refuse(&server, head.as_bytes()).assert_refused(*status);
        }
        Wire::upgrade(&server).assert_echoes("still serving");
    }
}

/// They are told so, rather than let wait for a 408.
pub(crate) fn what_is_no_http_is_answered(engine: &'static str) {
    let server = Server::start(engine, &[]);
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO localhost\r\n",
    ] {
        let mut wire = Wire::connect(&server);
        wire.send(bytes);
        let answer = wire.read_to_end();
        request::read(&answer)
            .expect("a response")
            .assert_refused(400);
    }
}

pub(crate) fn a_trickle_does_not_hold_a_connection(engine: &'static str) {
    let server = Server::start(engine, &["--handshake-timeout", "1s"]);
    let wire = Wire::connect(&server);
    let mut slow = wire.stream.try_clone().expect("a descriptor");
    let trickle = std::thread::spawn(move || {
        let endless = b"GET / HTTP/1.1\r\nX-Slow: "
            .iter()
            .chain(std::iter::repeat(&b'y'));
        for byte in endless.take(500) {
            if slow.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let answer = wire.read_to_end();
    request::read(&answer)
        .expect("a response")
        .assert_refused(408);
    trickle.join().expect("the sender ends");
}

pub(crate) fn frames_behind_the_request_are_served(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let mut wire = Wire::connect(&server);
    let large = Frame::binary(&frames::noise(200_000, 12));
    let early = frames::encode(&[Frame::text("early"), large.clone(), Frame::close(4000, "")]);
    let sending = wire.send_aside([request::upgrade(), early].concat());
    wire.read_response().assert_switched();
    let seen = wire.replies_to_end().outcome;
    sending.join().expect("all is sent");
    let messages: Vec<_> = seen
        .messages()
        .map(|message| message.bytes.as_slice())
        .collect();
    assert!(messages == [b"early".as_slice(), &large.payload]);
}

pub(crate) fn a_subprotocol_is_chosen(engine: &'static str) {
    for (options, chosen) in [
        (
            &["--subprotocol", "mqtt", "--subprotocol", "chat"][..],
            Some("chat"),
        ),
        (&[], Some("soap")),
        (&["--tutorial"], Some("soap")),
        (&["--subprotocol", ""], None),
    ] {
        let server = Server::start(engine, options);
        let mut wire = Wire::connect(&server);
        wire.send(&request::with_header(
            "Sec-WebSocket-Protocol: soap, chat, mqtt\r\n",
        ));
        let response = wire.read_response();
        response.assert_switched();
        assert_eq!(
            response.header("sec-websocket-protocol"),
            chosen,
            "{options:?}"
        );
    }
}

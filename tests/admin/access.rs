//! A line for everyone who goes and for every request, where that is asked for.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;

use crate::rig::{Seen, say};
use crate::server::{PATIENCE, until};
use crate::support::frames::{CLOSE, Frame};

/// Says something and goodbye, and is gone.
fn visit(server: &Seen) -> String {
    let stream = server.upgrade();
    let peer = stream.local_addr().unwrap().to_string();
    say(stream, &[Frame::text("x"), Frame::new(CLOSE, [0x0b, 0xb9])]);
    peer
}

/// Asks for two things, of which the second is no request.
fn ask(server: &Seen) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let peer = stream.local_addr().unwrap().to_string();
    stream
        .write_all(b"GET /healthz?token=secret HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    stream
        .write_all(b"GET /a\x1b[2J\nINFO forged HTTP/1.1\r\n\r\n")
        .unwrap();
    say(stream, &[]);
    peer
}

/// The line of what `kind` is told of that has `with` in it.
fn line(server: &Seen, kind: &str, with: &str) -> String {
    let is_it = |line: &&String| line.contains(kind) && line.contains(with);
    until(with, || server.log().iter().find(is_it).cloned())
}

fn assert_has(line: &str, fields: &[&str]) {
    for field in fields {
        assert!(line.contains(field), "no {field} in {line}");
    }
}

pub(crate) fn everyone_is_told_of_where_that_is_wanted(engine: &'static str) {
    // Whatever else is wanted of the log.
    let server = Seen::start(
        engine,
        &[
            "--access-log",
            "on",
            "--log-filter",
            "info,ringback::access=off",
        ],
    );
    let said = line(
        &server,
        "access: connection",
        &format!("peer={} ", visit(&server)),
    );
    let fields = [
        "connection=0-1 ",
        "tls=false ",
        "status=101 ",
        "received_messages=1 ",
        "sent_messages=1 ",
        "end=\"left\" ",
        "code=3001 ",
        "seconds=",
    ];
    assert_has(&said, &fields);
    let peer = ask(&server);
    let answered = line(&server, "access: request", "healthz");
    assert_has(
        &answered,
        &[
            &format!("peer={peer} "),
            "method=\"GET\" ",
            "path=\"/healthz\" ",
            "status=200 ",
            "seconds=",
        ],
    );
    let refused = line(&server, "access: request", "status=400");
    assert_has(&refused, &[&format!("peer={peer} "), "u{1b}[2J", "nINFO\""]);
    let log = server.log().join("\n");
    assert!(
        !log.contains('\x1b') && !log.contains("secret") && !log.contains("\nINFO"),
        "{log:?}"
    );
    let mut stranger = TcpStream::connect(server.address).unwrap();
    let peer = stranger.local_addr().unwrap();
    stranger.write_all(b"no HTTP at all\r\n\r\n").unwrap();
    say(stranger, &[]);
    let said = line(&server, "access: connection", &format!("peer={peer} "));
    assert_has(
        &said,
        &["status=400 ", "received_bytes=18 ", "end=\"refused\""],
    );
    assert!(!said.contains("messages="), "{said}");

    let json = Seen::start(engine, &["--access-log", "on", "--log-format", "json"]);
    let peer = visit(&json);
    let said: Value =
        serde_json::from_str(&line(&json, "access: connection", &peer)).expect("JSON");
    assert_eq!(said["peer"], peer);
    assert_eq!(
        (&said["status"], &said["code"], &said["tls"]),
        (&101.into(), &3001.into(), &false.into())
    );
    assert!(
        said["seconds"].as_f64().is_some_and(|it| it > 0.0),
        "{said}"
    );

    let off = Seen::start(engine, &[]);
    visit(&off);
    ask(&off);
    off.assert_comes(&["ringback_connections_ended_total{worker=\"0\"} 1"]);
    off.signal(Signal::USR1);
    line(&off, "counted ", "ringback_connections_accepted");
    assert!(!off.log().iter().any(|line| line.contains("access:")));
}

//! What is said of single connections: one line each, not too often, with fields.

use std::io::Write;
use std::net::TcpStream;

use rustix::process::Signal;

use crate::rig::{Seen, say};
use crate::server::until;
use crate::support::frames::Frame;

fn unmasked() -> Frame {
    Frame {
        key: None,
        ..Frame::text("x")
    }
}

/// Asks for something that is no HTTP.
fn refused(server: &Seen) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let peer = stream.local_addr().unwrap().to_string();
    stream.write_all(b"GET /\x1b[2J HTTP/1.1\r\n\r\n").unwrap();
    say(stream, &[]);
    peer
}

fn line(server: &Seen, with: &str) -> String {
    until("a line", || {
        server.log().into_iter().find(|line| line.contains(with))
    })
}

pub(crate) fn whoever_is_refused_or_ended_is_named_once(engine: &'static str) {
    let server = Seen::start(engine, &[]);
    let peer = refused(&server);
    let said = line(&server, &format!("peer={peer}"));
    assert!(
        said.contains("refused with 400") && said.contains("kind=\"refused\""),
        "{said}"
    );
    assert!(
        said.contains(" code=400") && said.contains(" connection=0-1 "),
        "{said}"
    );
    assert!(!said.contains('\x1b'), "{said:?}");
    let stream = server.upgrade();
    let peer = stream.local_addr().unwrap();
    say(stream, &[unmasked()]);
    let said = line(&server, &format!("peer={peer}"));
    assert!(said.contains("closed with 1002: unmasked frame"), "{said}");
    assert!(said.contains("kind=\"violation\" code=1002"), "{said}");
    let json = Seen::start(engine, &["--log-format", "json"]);
    say(json.upgrade(), &[unmasked()]);
    let said = line(&json, "unmasked frame");
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["kind"], "violation");
    assert_eq!(said["code"], 1002);
    assert_eq!(said["connection"], "0-1");
    assert!(
        said["peer"]
            .as_str()
            .is_some_and(|it| it.starts_with("127.0.0.1:")),
        "{said}"
    );
}

pub(crate) fn what_is_said_too_often_is_counted(engine: &'static str) {
    let server = Seen::start(engine, &[]);
    for _ in 0..15 {
        refused(&server);
    }
    // Of another kind.
    say(server.upgrade(), &[unmasked()]);
    server.assert_comes(&["ringback_log_lines_left_out_total{why=\"limit\"} 5"]);
    line(&server, "unmasked frame");
    let lines = |server: &Seen| {
        let log = server.log();
        log.iter()
            .filter(|line| line.contains("refused with 400"))
            .count()
    };
    assert_eq!(lines(&server), 10);
    server.signal(Signal::TERM);
    line(&server, "5 more lines were left out");
}

#[test]
fn what_is_not_wanted_is_not_said() {
    let options = ["--log-filter", "info,ringback::connection=off"];
    let server = Seen::start("epoll", &options);
    refused(&server);
    server.assert_comes(&["ringback_handshakes_total{status=\"400\"} 1"]);
    server.signal(Signal::USR1);
    line(&server, "counted ringback_connections_accepted{worker=0} 1");
    assert!(
        !server
            .log()
            .iter()
            .any(|line| line.contains("refused with"))
    );
}

//! What peers do is counted, once and under its name.

use std::io::{Read, Write};
use std::net::TcpStream;

use socket2::SockRef;

use crate::rig::{Seen, get, say};
use crate::support::frames::{self, Frame};

pub(crate) fn what_peers_do_is_counted(engine: &'static str) {
    let server = Seen::start(engine, &["--max-message-size", "1000"]);
    let answer = say(
        server.upgrade(),
        &[
            Frame::text("hello"),
            Frame::text("hi"),
            Frame::binary(&[7; 300]),
            Frame::text("in ").unfinished(),
            Frame::ping(b"abc"),
            Frame::new(frames::CONTINUATION, "two"),
            Frame::new(frames::PONG, "unasked"),
            Frame::close(1000, "bye"),
        ],
    );
    assert!(answer.ends_with(&[0x88, 2, 0x03, 0xe8]));
    // One that breaks the rules, one that says too much, one that goes without a code, one that is no upgrade.
    let unmasked = Frame {
        key: None,
        ..Frame::text("x")
    };
    say(server.upgrade(), &[unmasked]);
    say(server.upgrade(), &[Frame::binary(&[0; 1001])]);
    say(server.upgrade(), &[Frame::new(frames::CLOSE, "")]);
    say(server.upgrade(), &[Frame::close(4000, "")]);
    let mut stranger = TcpStream::connect(server.address).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    say(stranger, &[]);
    assert_eq!(get(server.address, "/", "").status, 200);
    let open = server.upgrade();
    server.assert_comes(&[
        "ringback_handshakes_total{status=\"101\"} 6",
        "ringback_handshakes_total{status=\"400\"} 1",
        "ringback_messages_total{direction=\"in\",opcode=\"text\"} 3",
        "ringback_messages_total{direction=\"out\",opcode=\"text\"} 3",
        "ringback_messages_total{direction=\"in\",opcode=\"binary\"} 1",
        "ringback_messages_total{direction=\"in\",opcode=\"ping\"} 1",
        "ringback_messages_total{direction=\"out\",opcode=\"pong\"} 1",
        "ringback_messages_total{direction=\"in\",opcode=\"pong\"} 1",
        "ringback_messages_total{direction=\"out\",opcode=\"ping\"} 0",
        "ringback_messages_total{direction=\"in\",opcode=\"close\"} 3",
        "ringback_messages_total{direction=\"out\",opcode=\"close\"} 5",
        "ringback_payload_bytes_total{direction=\"in\",opcode=\"text\"} 13",
        "ringback_payload_bytes_total{direction=\"out\",opcode=\"binary\"} 300",
        "ringback_payload_bytes_total{direction=\"in\",opcode=\"pong\"} 7",
        "ringback_payload_bytes_total{direction=\"out\",opcode=\"pong\"} 3",
        "ringback_closes_total{by=\"peer\",code=\"1000\"} 1",
        "ringback_closes_total{by=\"peer\",code=\"none\"} 1",
        "ringback_closes_total{by=\"peer\",code=\"other\"} 1",
        "ringback_closes_total{by=\"server\",code=\"1002\"} 1",
        "ringback_closes_total{by=\"server\",code=\"1009\"} 1",
        "ringback_violations_total{kind=\"unmasked frame\"} 1",
        "ringback_violations_total{kind=\"message too big\"} 1",
        "ringback_violations_total{kind=\"reserved opcode\"} 0",
        "ringback_connections{state=\"open\",worker=\"0\"} 1",
        "ringback_connections{state=\"handshake\",worker=\"0\"} 0",
        "ringback_connections{state=\"closing\",worker=\"0\"} 0",
        "ringback_connections_accepted_total{worker=\"0\"} 8",
        "ringback_connections_put_down_total{worker=\"0\"} 1",
        "ringback_http_requests_total 1",
    ]);
    let _silent = TcpStream::connect(server.address).unwrap();
    server.assert_comes(&["ringback_connections{state=\"handshake\",worker=\"0\"} 1"]);
    drop(open);
    server.assert_comes(&["ringback_connections{state=\"open\",worker=\"0\"} 0"]);
    let page = server.metrics();
    assert!(page.sum("ringback_received_bytes_total") > 1300.0);
    assert!(page.sum("ringback_answered_bytes_total") > 700.0);
}

#[test]
fn who_is_unwelcome_at_the_http_side_is_counted_and_told() {
    let server = Seen::start("epoll", &["--allow-host", "localhost"]);
    let mut kept = TcpStream::connect(server.address).unwrap();
    for host in ["localhost", "elsewhere.example"] {
        let request = format!("GET /http HTTP/1.1\r\nHost: {host}\r\n\r\n");
        kept.write_all(request.as_bytes()).unwrap();
        assert_ne!(kept.read(&mut [0; 1024]).unwrap(), 0);
    }
    server.assert_comes(&["ringback_http_unwelcome_total 1"]);
    let told = || {
        server
            .log()
            .join("\n")
            .contains("refused with 421: host not allowed")
    };
    crate::server::until("the log says why", || told().then_some(()));
}

pub(crate) fn what_a_prefix_makes_is_counted(engine: &'static str) {
    let options = [
        "--prefix",
        "> ",
        "--greeting",
        "hi",
        "--greeting-after",
        "101",
    ];
    let server = Seen::start(engine, &options);
    let frames = [
        Frame::text("one"),
        Frame::binary(b"two"),
        Frame::close(1001, ""),
    ];
    say(server.upgrade(), &frames);
    server.assert_comes(&[
        "ringback_messages_total{direction=\"in\",opcode=\"text\"} 1",
        "ringback_messages_total{direction=\"in\",opcode=\"binary\"} 1",
        "ringback_messages_total{direction=\"out\",opcode=\"text\"} 3",
        "ringback_messages_total{direction=\"out\",opcode=\"binary\"} 0",
        "ringback_payload_bytes_total{direction=\"in\",opcode=\"binary\"} 3",
        "ringback_payload_bytes_total{direction=\"out\",opcode=\"text\"} 12",
    ]);
}

pub(crate) fn who_does_not_keep_up_is_counted(engine: &'static str) {
    let server = Seen::start(engine, &["--socket-buffers", "16KiB"]);
    let mut slow = server.upgrade();
    let _ = SockRef::from(&slow).set_recv_buffer_size(4096);
    slow.set_nonblocking(true).unwrap();
    let message = Frame::binary(&[1; 16 * 1024]).encode();
    let behind = "ringback_connections_behind{worker=\"0\"} 1";
    crate::server::until("it is behind", || {
        let _ = slow.write(&message);
        server
            .metrics()
            .0
            .lines()
            .any(|line| line == behind)
            .then_some(())
    });
    let queued = "ringback_buffer_memory_bytes{for=\"sending\"}";
    let page = server.metrics();
    let line = page.0.lines().find(|line| line.starts_with(queued));
    assert_ne!(line.unwrap().rsplit_once(' ').unwrap().1, "0");
    drop(slow);
    server.assert_comes(&["ringback_connections_behind{worker=\"0\"} 0"]);
}

//! What peers do is counted, once and under its name.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use socket2::SockRef;

use crate::authority::Authority;
use crate::rig::{Seen, get, say};
use crate::server::PATIENCE;
use crate::support::frames::{self, Frame};
use crate::support::request;

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
        "ringback_connections{entrance=\"127.0.0.1:0\",state=\"open\",worker=\"0\"} 1",
        "ringback_connections{entrance=\"127.0.0.1:0\",state=\"handshake\",worker=\"0\"} 0",
        "ringback_connections{entrance=\"127.0.0.1:0\",state=\"closing\",worker=\"0\"} 0",
        "ringback_connections_accepted_total{worker=\"0\"} 8",
        "ringback_connections_put_down_total{worker=\"0\"} 1",
        "ringback_http_requests_total 1",
    ]);
    let _silent = TcpStream::connect(server.address).unwrap();
    server.assert_comes(&[
        "ringback_connections{entrance=\"127.0.0.1:0\",state=\"handshake\",worker=\"0\"} 1",
    ]);
    drop(open);
    server.assert_comes(&[
        "ringback_connections{entrance=\"127.0.0.1:0\",state=\"open\",worker=\"0\"} 0",
    ]);
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

pub(crate) fn each_entrance_is_counted_apart(engine: &'static str) {
    let server = Seen::start(engine, &["--listen", "127.0.0.2:0"]);
    let log = server.log();
    let other = log
        .iter()
        .find_map(|line| line.split_once("ws://127.0.0.2:"));
    let port = other.expect("an address").1.parse().expect("a port");
    let _first = server.upgrade();
    // One that comes back from the HTTP side.
    let mut second = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), port)).unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    let ordinary = b"HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    for request in [&ordinary[..], &request::upgrade()] {
        second.write_all(request).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            second.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
    }
    let _silent = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), port)).unwrap();
    let connections = |entrance, state, count| {
        format!(
            "ringback_connections{{entrance=\"{entrance}\",state=\"{state}\",worker=\"0\"}} {count}"
        )
    };
    let lines = [
        connections("127.0.0.1:0", "open", 1),
        connections("127.0.0.1:0", "handshake", 0),
        connections("127.0.0.2:0", "open", 1),
        connections("127.0.0.2:0", "handshake", 1),
        connections("other", "open", 0),
    ];
    server.assert_comes(&lines.each_ref().map(|line| &line[..]));
}

pub(crate) fn turns_are_timed(engine: &'static str) {
    let server = Seen::start(engine, &[]);
    let mut peer = server.upgrade();
    for _ in 0..200 {
        peer.write_all(&Frame::text("hi").encode()).unwrap();
        peer.read_exact(&mut [0; 4]).unwrap();
    }
    let page = server.metrics();
    assert!(page.sum("ringback_turn_duration_seconds_count") > 0.0);
    assert!(page.sum("ringback_turn_duration_seconds_sum") > 0.0);
    assert!(page.sum("ringback_turn_duration_max_seconds") > 0.0);
}

#[test]
fn what_became_of_a_reload_is_told_with_its_time() {
    let authority = Authority::new();
    let options = authority.options(&["localhost"]);
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let server = Seen::start(
        "epoll",
        &[&["--listen", "tls://127.0.0.1:0"], &options[..]].concat(),
    );
    let time = |result: &str| {
        let page = server.metrics();
        let name = "ringback_tls_last_reload_timestamp_seconds";
        let start = format!("{name}{{result=\"{result}\"}} ");
        let line = page.0.lines().find_map(|line| line.strip_prefix(&start));
        line.map(|time| time.parse::<f64>().expect("seconds"))
    };
    assert_eq!((time("read"), time("refused")), (None, None));
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    server.signal(Signal::HUP);
    let read = crate::server::until("it is read again", || time("read"));
    authority.write("0.pem", "no certificate");
    server.signal(Signal::HUP);
    let refused = crate::server::until("it is refused", || time("refused"));
    assert!(before.as_secs_f64() - 1.0 < read && read <= refused);
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

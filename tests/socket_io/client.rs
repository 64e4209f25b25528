//! The clients: requests of polling, and frames of a WebSocket.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::server::{PATIENCE, Server};
use crate::support::event::CloseSeen;
use crate::support::frames::Frame;
use crate::support::replies;
use crate::support::request::{self, Response};

/// Heartbeats that a test can wait for.
pub(crate) const SHORT_HEARTBEATS: [&str; 4] = [
    "--socket-io-ping-interval",
    "300ms",
    "--socket-io-ping-timeout",
    "200ms",
];

pub(crate) const SOCKET_IO: &str = "/socket.io/";
pub(crate) const ENGINE_IO: &str = "/engine.io/";

/// A server whose heartbeats nobody waits for.
pub(crate) fn server() -> Server {
    Server::start("epoll", &[])
}

/// What stands between packets in a payload.
pub(crate) const SEPARATOR: char = '\u{1e}';

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
        .set_write_timeout(Some(PATIENCE))
        .expect("a time-out");
    stream
}

/// The response to a request on a connection of its own, with these header lines, each ending in CRLF.
pub(crate) fn ask(
    server: &Server,
    method: &str,
    target: &str,
    lines: &str,
    body: &[u8],
) -> Response {
    let mut stream = send(server, method, target, lines, body);
    answer(&mut stream)
}

/// Sends a request.
pub(crate) fn send(
    server: &Server,
    method: &str,
    target: &str,
    lines: &str,
    body: &[u8],
) -> TcpStream {
    let mut stream = connect(server.address);
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost:3000\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{lines}\r\n"
    );
    // One that is refused by its head may be closed before all of its body is sent.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    stream
}

/// Reads the response to the end of its connection.
pub(crate) fn answer(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a response in time");
    request::read(&bytes).unwrap_or_else(|| panic!("no response in {}", bytes.escape_ascii()))
}

/// A session that polls.
pub(crate) struct Polling<'a> {
    server: &'a Server,
    path: &'static str,
    pub(crate) sid: String,
    /// Packets that came and were not looked at.
    ahead: Vec<String>,
}

impl<'a> Polling<'a> {
    /// One that has answered the first ping, which comes at once.
    pub(crate) fn open(server: &'a Server, path: &'static str) -> Self {
        let polling = Self::open_only(server, path);
        assert_eq!(polling.get().body(), "2");
        polling.say("3");
        polling
    }

    pub(crate) fn open_only(server: &'a Server, path: &'static str) -> Self {
        let target = format!("{path}?EIO=4&transport=polling");
        let response = ask(server, "GET", &target, "", b"");
        assert_eq!(response.status, 200, "{response:?}");
        let open = response.body().strip_prefix('0').expect("an open packet");
        let open: serde_json::Value = serde_json::from_str(open).expect("JSON");
        Polling {
            server,
            path,
            sid: open["sid"].as_str().expect("an identifier").to_owned(),
            ahead: Vec::new(),
        }
    }

    /// Where its requests go.
    pub(crate) fn target(&self) -> String {
        format!("{}?EIO=4&transport=polling&sid={}", self.path, self.sid)
    }

    pub(crate) fn get(&self) -> Response {
        ask(self.server, "GET", &self.target(), "", b"")
    }

    /// Sends a request for what there is to tell, whose answer comes later.
    pub(crate) fn start_get(&self) -> TcpStream {
        send(self.server, "GET", &self.target(), "", b"")
    }

    pub(crate) fn post(&self, payload: impl AsRef<[u8]>) -> Response {
        ask(self.server, "POST", &self.target(), "", payload.as_ref())
    }

    /// Sends packets that must be taken.
    pub(crate) fn say(&self, payload: impl AsRef<[u8]>) {
        let response = self.post(payload);
        assert_eq!((response.status, response.body()), (200, "ok"));
    }

    /// The next packet that is no ping.
    pub(crate) fn next(&mut self) -> String {
        loop {
            if self.ahead.is_empty() {
                let response = self.get();
                assert_eq!(response.status, 200, "{response:?}");
                let packets = response.body().split(SEPARATOR);
                self.ahead = packets.map(str::to_owned).collect();
            }
            let packet = self.ahead.remove(0);
            if packet != "2" {
                return packet;
            }
            self.say("3");
        }
    }

    /// Joins a namespace of Socket.IO, and takes what is said on joining.
    pub(crate) fn join(&mut self) {
        self.say("40");
        assert!(self.next().starts_with("40{"));
        assert_eq!(self.next(), "42[\"auth\",{}]");
    }

    /// Goes on with it over a WebSocket; says nothing there yet.
    pub(crate) fn upgrade(&self) -> Web {
        let target = format!("{}?EIO=4&transport=websocket&sid={}", self.path, self.sid);
        Web::open(self.server, &target)
    }
}

/// What a WebSocket brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    /// A Close, or the end of the stream.
    End,
}

/// Text.
pub(crate) fn text(text: impl Into<String>) -> Seen {
    Seen::Text(text.into())
}

/// A WebSocket.
pub(crate) struct Web {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
    /// Messages in it that were not looked at, behind so many that were taken out of it.
    ahead: VecDeque<Seen>,
    taken: usize,
}

impl Web {
    pub(crate) fn open(server: &Server, target: &str) -> Self {
        let (stream, response) = Self::ask(server, target);
        response.assert_switched();
        Web {
            stream,
            read: response.rest,
            ahead: VecDeque::new(),
            taken: 0,
        }
    }

    /// Asks for one: the connection, and the head of the response with what came behind it.
    pub(crate) fn ask(server: &Server, target: &str) -> (TcpStream, Response) {
        let mut stream = connect(server.address);
        let head = String::from_utf8(request::upgrade()).expect("ASCII");
        let head = head.replacen("/chat", target, 1);
        stream.write_all(head.as_bytes()).expect("a peer");
        let mut read = Vec::new();
        loop {
            if let Some(response) = request::read(&read) {
                return (stream, response);
            }
            let mut chunk = [0; 4096];
            let count = stream.read(&mut chunk).expect("a response");
            assert!(count > 0, "no response in {}", read.escape_ascii());
            read.extend_from_slice(&chunk[..count]);
        }
    }

    /// A session that begins as a WebSocket: its open packet is taken, and the first ping, which comes at once.
    pub(crate) fn session(server: &Server, path: &str) -> Self {
        let mut web = Self::open(server, &format!("{path}?EIO=4&transport=websocket"));
        assert!(matches!(web.next(), Seen::Text(open) if open.starts_with("0{")));
        assert_eq!(web.next_with_pings(), text("2"));
        web.say("3");
        web
    }

    /// One of Socket.IO that has joined the main namespace.
    pub(crate) fn joined(server: &Server) -> Self {
        let mut web = Self::session(server, SOCKET_IO);
        web.say("40");
        assert!(matches!(web.next(), Seen::Text(joined) if joined.starts_with("40{\"sid\":")));
        assert_eq!(web.next(), text("42[\"auth\",{}]"));
        web
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        self.stream.write_all(&frame.encode()).expect("a peer");
    }

    pub(crate) fn say(&mut self, packet: &str) {
        self.send(&Frame::text(packet));
    }

    pub(crate) fn say_binary(&mut self, bytes: &[u8]) {
        self.send(&Frame::binary(bytes));
    }

    /// The next message that is no ping of a heartbeat, which is answered.
    pub(crate) fn next(&mut self) -> Seen {
        loop {
            let seen = self.next_with_pings();
            if seen != text("2") {
                return seen;
            }
            // It may be ended by now.
            let _ = self.stream.write_all(&Frame::text("3").encode());
        }
    }

    /// The next message.
    pub(crate) fn next_with_pings(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.ahead.pop_front() {
                return seen;
            }
            let outcome = replies::read(&self.read)
                .expect("frames of a server")
                .outcome;
            for message in outcome.messages().skip(self.taken) {
                self.taken += 1;
                let bytes = message.bytes.clone();
                self.ahead.push_back(if message.text {
                    text(String::from_utf8(bytes).expect("UTF-8"))
                } else {
                    Seen::Binary(bytes)
                });
            }
            if self.ahead.is_empty() && (outcome.close.is_some() || !self.more()) {
                return Seen::End;
            }
        }
    }

    /// Whether the server's Close came, with this code or none.
    pub(crate) fn close_code(&self) -> Option<CloseSeen> {
        let replies = replies::read(&self.read).expect("frames of a server");
        replies.outcome.close
    }

    /// Waits for the end, before which only pings may come.
    pub(crate) fn ends(&mut self) {
        loop {
            match self.next_with_pings() {
                Seen::End => return,
                seen => assert!(seen == text("2") || seen == text("1"), "{seen:?}"),
            }
        }
    }

    fn more(&mut self) -> bool {
        let mut chunk = [0; 65_536];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.read.extend_from_slice(&chunk[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

/// A time in which nothing is expected to happen.
pub(crate) fn a_while() {
    std::thread::sleep(Duration::from_millis(100));
}

//! A server with its admin listener, and who asks there.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::server::{PATIENCE, Server, until};
use crate::support::frames::Frame;
use crate::support::request;

/// A server that tells how it is at an address of the loopback.
pub(crate) struct Seen {
    server: Server,
    pub(crate) admin: SocketAddr,
}

impl Deref for Seen {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Seen {
    pub(crate) fn start(engine: &str, options: &[&str]) -> Seen {
        let options = [options, &["--admin", "127.0.0.1:0"]].concat();
        let server = Server::start(engine, &options);
        let admin = until("the admin listener listens", || admin_in(&server));
        Seen { server, admin }
    }

    /// Its end, which must come.
    pub(crate) fn wait(self) {
        assert!(self.server.wait().success());
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.admin, path, "")
    }

    /// The page of metrics now.
    pub(crate) fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        Metrics(answer.body)
    }

    /// Waits until these are among the metrics, since what peers do is counted a moment later.
    pub(crate) fn assert_comes(&self, lines: &[&str]) {
        let mut page = self.metrics();
        let missing = |page: &Metrics| {
            let has = |line: &str| page.0.lines().any(|it| it == line);
            lines.iter().copied().find(|line| !has(line))
        };
        let start = std::time::Instant::now();
        while let Some(line) = missing(&page) {
            assert!(start.elapsed() < PATIENCE, "no {line} in {}", page.0);
            page = self.metrics();
        }
    }

    /// A connection that was upgraded.
    pub(crate) fn upgrade(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(&request::upgrade()).expect("a request");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a response");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        stream
    }
}

fn admin_in(server: &Server) -> Option<SocketAddr> {
    let log = server.log();
    let mut lines = log.iter();
    let line = lines.find_map(|line| line.split_once("admin listener on "))?;
    line.1.split('"').next()?.parse().ok()
}

/// The numbers of `/metrics`.
pub(crate) struct Metrics(pub(crate) String);

impl Metrics {
    /// The sum of all samples of that name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let is_it = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        let number = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
        self.0.lines().filter(is_it).map(number).sum()
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn read(mut stream: impl Read) -> Option<Answer> {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        })
    }
}

fn request(path: &str, headers: &str) -> String {
    // The answer to HTTP/1.0 comes in one piece, and ends with the connection.
    format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n")
}

/// Asks at an address; whoever is there answers.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    try_get(address, path, headers).expect("an answer")
}

/// Asks at an address; none where nobody answers.
pub(crate) fn try_get(address: SocketAddr, path: &str, headers: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request(path, headers).as_bytes()).ok()?;
    Answer::read(stream)
}

/// Asks at a Unix socket.
pub(crate) fn get_unix(path: &Path, what: &str) -> Answer {
    let mut stream = UnixStream::connect(path).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
        .write_all(request(what, "").as_bytes())
        .expect("a request");
    Answer::read(stream).expect("an answer")
}

/// Sends frames, then FIN, and reads what comes until the server's.
pub(crate) fn say(mut stream: TcpStream, frames: &[Frame]) -> Vec<u8> {
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    stream.write_all(&bytes).expect("frames");
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

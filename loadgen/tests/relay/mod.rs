#![allow(dead_code, reason = "each test file uses its own part")]
//! A relay in front of a server: another place to connect to, and a proxy.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// A relay on a free port of 127.0.0.1, until the test ends.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    /// Where connections came from.
    pub(crate) sources: Arc<Mutex<Vec<IpAddr>>>,
    /// What they asked for, of a proxy.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

/// One side of a relayed connection.
trait Side: Read + Write + Sized + Send + 'static {
    fn twin(&self) -> io::Result<Self>;
    fn end(&self) -> io::Result<()>;
}

impl Side for TcpStream {
    fn twin(&self) -> io::Result<TcpStream> {
        self.try_clone()
    }
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Side for UnixStream {
    fn twin(&self) -> io::Result<UnixStream> {
        self.try_clone()
    }
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Relay {
    /// Passes everything on to `server`; of a proxy, once a request was answered by `answer`.
    pub(crate) fn start(server: SocketAddr, answer: Option<&'static str>) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            address: listener.local_addr().unwrap(),
            sources: Arc::default(),
            requests: Arc::default(),
        };
        let (sources, requests) = (Arc::clone(&relay.sources), Arc::clone(&relay.requests));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // Whoever has gone already is no concern of the relay's.
                let Ok(source) = stream.peer_addr() else {
                    continue;
                };
                sources.lock().unwrap().push(source.ip());
                if let Some(answer) = answer {
                    let Ok(head) = read_head(&mut stream) else {
                        continue;
                    };
                    requests.lock().unwrap().push(head);
                    let is_told = stream.write_all(answer.as_bytes()).is_ok();
                    if !is_told || !answer.starts_with("HTTP/1.1 200") {
                        continue;
                    }
                }
                pass(stream, TcpStream::connect(server).unwrap());
            }
        });
        relay
    }
}

/// Listens on a unix socket, and passes everything on to `server`.
pub(crate) fn listen_at(path: &Path, server: SocketAddr) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            pass(stream.unwrap(), TcpStream::connect(server).unwrap());
        }
    });
}

fn pass(client: impl Side, server: TcpStream) {
    server.set_nodelay(true).unwrap();
    let (from, to) = (client.twin().unwrap(), server.twin().unwrap());
    thread::spawn(move || copy(from, to));
    thread::spawn(move || copy(server, client));
}

fn copy(mut from: impl Side, mut to: impl Side) {
    // As is whoever goes away in the middle.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.end();
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

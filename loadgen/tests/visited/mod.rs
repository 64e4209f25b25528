#![allow(dead_code, reason = "each test file uses its own part")]
//! A fake server that is visited: each connection, by its number, can be treated in a way of its own.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha1::{Digest, Sha1};
use socket2::SockRef;

/// How a connection is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should be: echoes, answers the Close, ends the stream.
    Good,
    /// The same, the Close and the end of the stream of TLS in one packet.
    Hasty,
    /// The same, but reset instead of ended.
    ResetAtEnd,
    /// Reset instead of an echo.
    Reset,
    /// The stream is ended instead of the Close being answered.
    NoClose,
    /// Connected, and nothing more.
    Silent,
    /// The Close is never answered.
    DeafToClose,
    /// All is said, and the stream is never ended.
    Lingering,
    /// 503.
    Refused,
    /// The upgrade takes so many milliseconds.
    Slow(u64),
    /// Good, with a ping as soon as it is open; the pong must come before anything else.
    Pinging,
    /// Good, until some time after so many connections have been accepted: then the stream is ended.
    Leaving(usize),
}

/// A server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Connections accepted.
    pub(crate) accepted: Arc<AtomicUsize>,
    /// Messages of each connection that came to its Close, in that order.
    pub(crate) messages: Arc<Mutex<Vec<usize>>>,
    is_over: Arc<AtomicBool>,
}

/// How long the last connections have to be upgraded before those that are [`Manner::Leaving`] leave.
const LEAVE_AFTER: Duration = Duration::from_millis(1500);

/// How long they wait for that at most.
const LEAVE_MAX: Duration = Duration::from_secs(60);

/// What all connections write into and look at.
#[derive(Clone)]
struct Book {
    accepted: Arc<AtomicUsize>,
    messages: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    /// Treats connection number N, from 0, in the manner of N.
    pub(crate) fn start(manner: impl Fn(usize) -> Manner + Send + 'static) -> Server {
        Server::with(manner, |stream, manner, book| {
            talk(&stream, &stream, manner, &book)
        })
    }

    /// The same over TLS; the certificate of the authority lies in the file named.
    pub(crate) fn start_tls(manner: impl Fn(usize) -> Manner + Send + 'static) -> (Server, Ca) {
        let ca = Ca::new();
        let config = Arc::clone(&ca.config);
        let server = Server::with(manner, move |stream, manner, book| {
            let connection =
                ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            let mut tls = StreamOwned::new(connection, stream.try_clone()?);
            talk(&mut tls, &stream, manner, &book)?;
            if manner == Manner::Hasty {
                tls.conn.send_close_notify();
                tls.flush()?;
            }
            Ok(())
        });
        (server, ca)
    }

    /// Echoes bare bytes.
    pub(crate) fn start_tcp() -> Server {
        Server::with(
            |_| Manner::Good,
            |stream, _, _| io::copy(&mut &stream, &mut &stream).map(drop),
        )
    }

    fn with(
        manner: impl Fn(usize) -> Manner + Send + 'static,
        handle: impl Fn(TcpStream, Manner, Book) -> io::Result<()> + Clone + Send + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            messages: Arc::default(),
            is_over: Arc::default(),
        };
        let is_over = Arc::clone(&server.is_over);
        let book = Book {
            accepted: Arc::clone(&server.accepted),
            messages: Arc::clone(&server.messages),
        };
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    // No descriptors: as a server would, wait for better times.
                    thread::sleep(Duration::from_millis(10));
                    continue;
                };
                let number = book.accepted.fetch_add(1, Ordering::Relaxed);
                let (manner, handle, book) = (manner(number), handle.clone(), book.clone());
                // A client that goes away in the middle is no concern of the fake's.
                thread::Builder::new()
                    .stack_size(256 * 1024)
                    .spawn(move || drop(handle(stream, manner, book)))
                    .unwrap();
            }
        });
        server
    }

    /// Waits until so many connections have been accepted.
    pub(crate) fn await_accepted(&self, count: usize) {
        let began = Instant::now();
        while self.accepted.load(Ordering::Relaxed) < count {
            assert!(began.elapsed() < Duration::from_secs(60), "nobody comes");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Listens no more.
    pub(crate) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes whoever accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn talk(
    mut stream: impl Read + Write,
    socket: &TcpStream,
    manner: Manner,
    book: &Book,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    if manner == Manner::Silent {
        thread::sleep(Duration::from_secs(60));
        return Ok(());
    }
    let head = read_head(&mut stream)?;
    match manner {
        Manner::Refused => {
            stream.write_all(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\nno seats\n",
            )?;
            return socket.shutdown(Shutdown::Write);
        }
        Manner::Slow(milliseconds) => thread::sleep(Duration::from_millis(milliseconds)),
        _ => {}
    }
    stream.write_all(answer(&head).as_bytes())?;
    match manner {
        Manner::Pinging => {
            stream.write_all(&[0x89, 2, b'h', b'i'])?;
            let (opcode, payload) = read_frame(&mut stream)?;
            if (opcode, payload.as_slice()) != (10, b"hi") {
                return Ok(());
            }
        }
        Manner::Leaving(count) => {
            let (socket, accepted) = (socket.try_clone()?, Arc::clone(&book.accepted));
            thread::spawn(move || {
                let began = Instant::now();
                while accepted.load(Ordering::Relaxed) < count && began.elapsed() < LEAVE_MAX {
                    thread::sleep(Duration::from_millis(10));
                }
                thread::sleep(LEAVE_AFTER);
                // Until then all is as it should be.
                drop(socket.shutdown(Shutdown::Both));
            });
        }
        _ => {}
    }
    let mut messages = 0;
    loop {
        let (opcode, payload) = read_frame(&mut stream)?;
        match (opcode, manner) {
            (8, Manner::NoClose) => return Ok(()),
            (8, Manner::DeafToClose) => thread::sleep(Duration::from_secs(60)),
            (8, _) => {
                if manner == Manner::Hasty {
                    SockRef::from(socket).set_tcp_cork(true)?;
                }
                stream.write_all(&frame(8, &payload))?;
                stream.flush()?;
                book.messages.lock().unwrap().push(messages);
                if manner == Manner::Lingering {
                    thread::sleep(Duration::from_secs(60));
                }
                if manner == Manner::ResetAtEnd {
                    // So that the Close is read before the reset comes: whatever has not been read is
                    // lost with it.
                    thread::sleep(Duration::from_millis(20));
                    SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
                }
                return Ok(());
            }
            (_, Manner::Reset) => {
                SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
                return Ok(());
            }
            _ => {
                messages += 1;
                stream.write_all(&frame(opcode, &payload))?;
                stream.flush()?;
            }
        }
    }
}

fn answer(head: &str) -> String {
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap_or_default()
        .trim();
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// One client frame: opcode and unmasked payload.
fn read_frame(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut start = [0; 2];
    stream.read_exact(&mut start)?;
    let length = match start[1] & 0x7f {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length)?;
            usize::try_from(u64::from_be_bytes(length)).unwrap()
        }
        short => usize::from(short),
    };
    let mut key = [0; 4];
    stream.read_exact(&mut key)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[index % 4];
    }
    Ok((start[0] & 0x0f, payload))
}

fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// An authority of its own, and the certificate that it gave the server.
pub(crate) struct Ca {
    config: Arc<ServerConfig>,
    folder: tempfile::TempDir,
}

impl Ca {
    fn new() -> Ca {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(parameters, key);

        let server_key = rcgen::KeyPair::generate().unwrap();
        let server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&server_key, &issuer)
            .unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], private)
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Ca {
            config: Arc::new(config),
            folder,
        }
    }

    /// The file with the authority's certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

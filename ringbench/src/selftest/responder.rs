//! The peer of a self-test: one thread that answers WebSocket messages as quickly as a plain loop over
//! epoll does. It knows no more of the protocol than the generator speaks, and nothing of the server
//! that this project is about.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringload::control::Bell;
use ringload::load::pin;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use sha1::{Digest, Sha1};

use super::replies::{FRAME_BYTES_MAX, turn};

/// Appended to the key before hashing (RFC 6455 section 1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// First size of a connection's buffer; it grows to what a frame needs.
const BUFFER_BYTES: usize = 16 * 1024;

/// Longest request head taken.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Most request headers taken.
const HEADERS_MAX: usize = 64;

/// Most connections at a time: nobody but a self-test should come.
const CLIENTS_MAX: usize = 1024;

/// Events taken per wait.
const EVENTS_MAX: usize = 256;

/// Event data of what is no connection.
const STOP: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// A peer at work; it stops when dropped.
pub(super) struct Responder {
    /// Where it listens.
    pub(super) address: SocketAddr,
    stop: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Starts it on a free port of 127.0.0.1, on these CPUs; wherever the kernel likes if there are none.
    pub(super) fn start(cpus: &[usize]) -> io::Result<Responder> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(Bell::new()?);
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*stop, EventData::new_u64(STOP), EventFlags::IN)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        let cpus = cpus.to_vec();
        let server = Server {
            listener,
            epoll,
            clients: Vec::new(),
        };
        let bell = stop.clone();
        let thread = Builder::new().name("responder".to_owned()).spawn(move || {
            // Kept until the end: the epoll set watches it.
            let _bell = bell;
            // Where the kernel does not allow the CPU, the generator's figures hold all the same.
            let _ = if cpus.is_empty() { Ok(()) } else { pin(&cpus) };
            server.serve();
        })?;
        Ok(Responder {
            address,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.ring();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread's has been seen by the run that it failed.
            let _ = thread.join();
        }
    }
}

struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    clients: Vec<Option<Client>>,
}

impl Server {
    fn serve(mut self) {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        loop {
            let ready = match epoll::wait(&self.epoll, &mut events, None) {
                Ok((ready, _)) => ready,
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            for event in &*ready {
                match event.data.u64() {
                    STOP => return,
                    LISTENER => self.accept(),
                    index => self.attend(index as usize),
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let free = self.clients.iter().position(Option::is_none);
            let index = free.unwrap_or(self.clients.len());
            if index >= CLIENTS_MAX {
                continue;
            }
            let data = EventData::new_u64(index as u64);
            let is_watched = stream.set_nonblocking(true).is_ok()
                && stream.set_nodelay(true).is_ok()
                && epoll::add(&self.epoll, &stream, data, EventFlags::IN).is_ok();
            if !is_watched {
                continue;
            }
            if index == self.clients.len() {
                self.clients.push(None);
            }
            self.clients[index] = Some(Client::new(stream));
        }
    }

    fn attend(&mut self, index: usize) {
        let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let was_sending = client.is_sending();
        let goes_on = client.attend().unwrap_or(false);
        let is_sending = client.is_sending();
        let is_watched = goes_on
            && (is_sending == was_sending || {
                let flags = if is_sending {
                    EventFlags::OUT
                } else {
                    EventFlags::IN
                };
                let data = EventData::new_u64(index as u64);
                epoll::modify(&self.epoll, &client.stream, data, flags).is_ok()
            });
        if !is_watched {
            // Dropping the socket closes it and takes it out of the epoll set.
            self.clients[index] = None;
        }
    }
}

/// One connection.
///
/// ```text
/// buffer: | sent | replies to send | (used up) | not yet looked at | free |
///                ^ sent            ^ replies   ^ rest              ^ filled
/// ```
struct Client {
    stream: TcpStream,
    is_open: bool,
    is_closing: bool,
    buffer: Vec<u8>,
    filled: usize,
    sent: usize,
    replies: usize,
    rest: usize,
}

impl Client {
    fn new(stream: TcpStream) -> Client {
        Client {
            stream,
            is_open: false,
            is_closing: false,
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
            sent: 0,
            replies: 0,
            rest: 0,
        }
    }

    /// Whether replies wait for room. Until then nothing is read.
    fn is_sending(&self) -> bool {
        self.sent < self.replies
    }

    /// Reads, answers and writes what can be; `false` when the connection is over.
    fn attend(&mut self) -> io::Result<bool> {
        if self.is_sending() {
            return self.send();
        }
        if self.filled == self.buffer.len() {
            // A whole buffer without an end: no head and no frame is as long.
            return Ok(false);
        }
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Ok(false),
            Ok(bytes) => self.filled += bytes,
            Err(error) if is_nothing(&error) => return Ok(true),
            Err(error) => return Err(error),
        }
        if !self.is_open {
            return self.shake_hands();
        }
        let Some(turned) = turn(&mut self.buffer[..self.filled]) else {
            return Ok(false);
        };
        self.replies = turned.replies;
        self.rest = turned.rest;
        self.is_closing = turned.is_closed;
        if turned.needed > self.buffer.len() {
            // Room for a good part of the next frame, so that its replies can be batched too.
            let bytes = (2 * turned.needed).min(2 * FRAME_BYTES_MAX);
            self.buffer.resize(bytes, 0);
        }
        self.send()
    }

    /// Writes what it can. When all is written, what was not looked at moves to the front.
    fn send(&mut self) -> io::Result<bool> {
        while self.is_sending() {
            match self.stream.write(&self.buffer[self.sent..self.replies]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if is_nothing(&error) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        self.buffer.copy_within(self.rest..self.filled, 0);
        self.filled -= self.rest;
        (self.sent, self.replies, self.rest) = (0, 0, 0);
        Ok(!self.is_closing)
    }

    fn shake_hands(&mut self) -> io::Result<bool> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let head_bytes = match request.parse(&self.buffer[..self.filled]) {
            Ok(httparse::Status::Complete(bytes)) => bytes,
            Ok(httparse::Status::Partial) => return Ok(self.filled < HEAD_BYTES_MAX),
            Err(_) => return Ok(false),
        };
        let mut headers = request.headers.iter();
        let key = headers.find(|header| header.name.eq_ignore_ascii_case("Sec-WebSocket-Key"));
        let Some(key) = key else {
            return Ok(false);
        };
        let mut hash = Sha1::new();
        hash.update(key.value);
        hash.update(ACCEPT_GUID);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            STANDARD.encode(hash.finalize())
        );
        // A fresh connection has room for it.
        self.stream.write_all(answer.as_bytes())?;
        self.buffer.copy_within(head_bytes..self.filled, 0);
        self.filled -= head_bytes;
        self.is_open = true;
        // Our own client sends nothing before it has the answer.
        Ok(self.filled == 0)
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn connect(responder: &Responder) -> TcpStream {
        let mut stream = TcpStream::connect(responder.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        // RFC 6455 section 1.3 has this key and its answer.
        let head =
            "GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{answer}"
        );
        stream
    }

    #[test]
    fn it_answers_and_closes() {
        let responder = Responder::start(&[]).unwrap();
        let mut stream = connect(&responder);
        // "Hello", masked, as in RFC 6455 section 5.7; then a Close.
        stream
            .write_all(&[
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
            ])
            .unwrap();
        let mut reply = [0; 7];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply, [0x81, 5, b'H', b'e', b'l', b'l', b'o']);
        stream.write_all(&[0x88, 0x80, 1, 2, 3, 4]).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, [0x88, 0]);
    }

    #[test]
    fn a_client_that_does_not_read_holds_nothing_up() {
        let responder = Responder::start(&[]).unwrap();
        let mut greedy = connect(&responder);
        let mut frame = vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        frame.resize(14 + 65_536, 7);
        greedy.set_nonblocking(true).unwrap();
        // Until both sockets and the peer's buffer are full.
        let mut written = 0;
        let mut stuck = 0;
        while stuck < 20 {
            match greedy.write(&frame[written % frame.len()..]) {
                Ok(bytes) => (written, stuck) = (written + bytes, 0),
                Err(error) => {
                    assert!(is_nothing(&error), "{error}");
                    std::thread::sleep(Duration::from_millis(5));
                    stuck += 1;
                }
            }
        }
        let mut other = connect(&responder);
        other.write_all(&[0x82, 0x81, 0, 0, 0, 0, 42]).unwrap();
        let mut reply = [0; 3];
        other.read_exact(&mut reply).unwrap();
        assert_eq!(reply, [0x82, 1, 42]);
        // And the greedy one gets its replies once it reads.
        greedy.set_nonblocking(false).unwrap();
        greedy
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut first = vec![0; 10 + 65_536];
        greedy.read_exact(&mut first).unwrap();
        assert_eq!(first[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert!(first[10..].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn whoever_speaks_something_else_is_dropped() {
        let responder = Responder::start(&[]).unwrap();
        for wrong in [
            "\u{1}\u{2}\u{3}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            let mut stream = TcpStream::connect(responder.address).unwrap();
            stream.write_all(wrong.as_bytes()).unwrap();
            // The end of the stream, or a reset if bytes were left unread.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.is_empty());
        }
        let mut stream = connect(&responder);
        stream.write_all(&[0x82, 1, 42]).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

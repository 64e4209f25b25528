//! Peers that mean harm, of every kind there is, and one thread that keeps all of them at it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::server::Server;
use crate::support::deflated;
use crate::support::frames::{self, CONTINUATION, Frame, TEXT};
use crate::support::request;

/// A request that is answered.
pub(crate) const GOOD: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// The beginning of one that never ends.
pub(crate) const HALF: &str = "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ";

/// How long besiegers sleep between their rounds.
const PERIOD: Duration = Duration::from_millis(20);

/// How many come again in a round, of those that were ended or have left: what a small machine has time for beside
/// those that are served.
const RETURNS_MAX: usize = 10;

/// The most that is read or written at once, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// What the kernel may keep for one that does not read, about, and what goes in a segment, in bytes: as over a
/// network. Segments as large as those of the loopback make the server's send buffer megabytes large.
const RECEIVE_BYTES: usize = 16 * 1024;
const SEGMENT_BYTES: u32 = 1400;

/// Connections of one kind. Whoever of them is ended, and notices, comes again.
#[derive(Clone, Default)]
pub(crate) struct Kind {
    pub(crate) count: usize,
    /// What is sent at once.
    pub(crate) begin: Vec<u8>,
    /// What is sent over and over, so many bytes of it in each round, as far as they are taken.
    pub(crate) more: Vec<u8>,
    pub(crate) step: usize,
    /// How many bytes are read in each round.
    pub(crate) reads: usize,
    /// It is reset in each round, and made again.
    pub(crate) leaves: bool,
}

impl Kind {
    /// Connections that say so much and no more, and never read.
    pub(crate) fn of(count: usize, begin: impl Into<Vec<u8>>) -> Self {
        Kind {
            count,
            begin: begin.into(),
            ..Kind::default()
        }
    }

    /// The same as a WebSocket, with `behind` behind the request.
    fn upgraded(count: usize, behind: impl AsRef<[u8]>) -> Self {
        Self::of(count, [&request::upgrade(), behind.as_ref()].concat())
    }

    /// The same where compression is agreed on.
    fn deflating(count: usize, behind: &[u8]) -> Self {
        let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        Self::of(count, [&request::with_header(offer), behind].concat())
    }

    /// The same as a WebSocket at `target`.
    fn at(count: usize, target: &str, behind: &[u8]) -> Self {
        let request = String::from_utf8(request::upgrade()).expect("ASCII");
        let request = request.replace("/chat", target);
        Self::of(count, [request.as_bytes(), behind].concat())
    }

    /// They go on with `more`.
    pub(crate) fn then(self, more: impl Into<Vec<u8>>) -> Self {
        let more = more.into();
        Kind {
            step: more.len(),
            more,
            ..self
        }
    }

    /// They send a byte of it at a time.
    fn by_bytes(self) -> Self {
        Kind { step: 1, ..self }
    }

    /// They read so many bytes in each round.
    fn reading(self, reads: usize) -> Self {
        Kind { reads, ..self }
    }

    /// Whether they never read what the echo answers.
    pub(crate) fn wants_much(&self) -> bool {
        self.reads == 0 && self.begin == request::upgrade() && !self.more.is_empty()
    }

    fn leaving(self) -> Self {
        Kind {
            leaves: true,
            ..self
        }
    }
}

/// A thousand of every kind.
pub(crate) fn all_kinds() -> Vec<Kind> {
    let message = |bytes: usize| Frame::binary(&frames::noise(bytes, 51)).encode();
    let (huge, large) = (Frame::binary(&[]), message(16_000));
    let huge = Frame {
        length_form: frames::LengthForm::Lie(256 << 20),
        ..huge
    };
    let nothing = |opcode| Frame::new(opcode, []).unfinished().encode();
    let ping = Frame::ping(&[7; 125]).encode();
    // The three bytes of a character, each in a fragment of its own.
    let third = |byte: u8| Frame::new(CONTINUATION, [byte]).unfinished().encode();
    let character = "€".bytes().flat_map(third).collect::<Vec<_>>();
    let event = |text: &str| Frame::text(text).encode();
    let events = event(r#"42["message","hello"]"#);
    let unmasked = Frame {
        key: None,
        ..Frame::binary(b"plain")
    };
    let socket_io = "/socket.io/?EIO=4&transport=websocket";
    vec![
        // Those that say nothing, or not all of it.
        Kind::of(40, ""),
        Kind::of(40, HALF),
        Kind::of(40, HALF).then("y"),
        Kind::upgraded(40, ""),
        Kind::upgraded(50, &huge.encode()[..1]),
        Kind::upgraded(60, &large[..8_000]),
        Kind::upgraded(50, &ping[..9]),
        // Those that want much, and read none of it.
        Kind::upgraded(60, huge.encode()).then([0; PIECE_BYTES]),
        Kind::upgraded(60, "").then(message(16).repeat(500)),
        Kind::upgraded(50, "").then(ping.repeat(50)),
        Kind::of(40, GOOD).then(GOOD.repeat(100)),
        Kind::at(40, "/x/echo", b"").then(large.clone()),
        Kind::at(30, "/x/huge/1GiB", b""),
        Kind::at(40, socket_io, &event("40")).then(events.repeat(20)),
        // Those that are much work.
        Kind::upgraded(60, nothing(TEXT))
            .then(nothing(CONTINUATION).repeat(1000))
            .reading(PIECE_BYTES),
        Kind::upgraded(50, "")
            .then(message(3))
            .by_bytes()
            .reading(PIECE_BYTES),
        Kind::upgraded(40, nothing(TEXT))
            .then(character)
            .reading(PIECE_BYTES),
        Kind::upgraded(20, "")
            .then(message(PIECE_BYTES))
            .reading(PIECE_BYTES),
        Kind::upgraded(30, "").then(large).reading(100),
        // Those whose compressed text is more work than it is long, or never whole.
        Kind::deflating(20, &[])
            .then(deflated::bomb(60).encode())
            .reading(PIECE_BYTES),
        Kind::deflating(20, &[])
            .then(deflated::codes(60_000).encode())
            .reading(PIECE_BYTES),
        Kind::deflating(
            40,
            &deflated::text(&frames::prose(5_000, 52)).encode()[..1_000],
        ),
        // Those that do not end as they should.
        Kind::upgraded(40, Frame::close(1000, "").encode()),
        Kind::upgraded(20, unmasked.encode()).then("on"),
        Kind::upgraded(10, Frame::new(3, []).encode()).then("on"),
        Kind::of(10, "\u{16}\u{3}\u{1}\u{2}\0\u{1}").then("on"),
        Kind::upgraded(40, message(1)).leaving(),
    ]
}

/// One of them.
struct Besieger {
    kind: usize,
    stream: Option<TcpStream>,
    /// How far it is in what it sends over and over.
    at: usize,
}

/// Connections that are held, and what goes on with them.
pub(crate) struct Siege {
    is_over: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

impl Siege {
    /// All of `kinds` at once.
    pub(crate) fn lay(server: &Server, kinds: Vec<Kind>) -> Self {
        let address = server.address;
        let numbered = kinds.iter().enumerate();
        let numbers = numbered.flat_map(|(number, kind)| (0..kind.count).map(move |_| number));
        let mut all: Vec<_> = numbers
            .map(|kind| Besieger {
                kind,
                stream: connect(address, &kinds[kind]),
                at: 0,
            })
            .collect();
        let is_over = Arc::<AtomicBool>::default();
        let seen_over = is_over.clone();
        let running = thread::spawn(move || {
            let mut buffer = vec![0; PIECE_BYTES];
            while !seen_over.load(Relaxed) {
                let mut returns = RETURNS_MAX;
                for besieger in &mut all {
                    besieger.go_on(address, &kinds[besieger.kind], &mut buffer, &mut returns);
                }
                thread::sleep(PERIOD);
            }
        });
        Siege {
            is_over,
            running: Some(running),
        }
    }
}

impl Drop for Siege {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        let ended = self.running.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || thread::panicking());
    }
}

/// A connection that has said what it begins with; none where the server does not take it. The kernel keeps little
/// for it, so that what it does not read is soon the server's to keep.
fn connect(address: SocketAddr, kind: &Kind) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.set_recv_buffer_size(RECEIVE_BYTES).ok()?;
    socket.set_tcp_mss(SEGMENT_BYTES).ok()?;
    socket.connect(&address.into()).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true).ok()?;
    stream.write_all(&kind.begin).ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(stream)
}

impl Besieger {
    /// Does its round, or comes again if it may.
    fn go_on(&mut self, address: SocketAddr, kind: &Kind, buffer: &mut [u8], returns: &mut usize) {
        let stays = match &mut self.stream {
            Some(stream) if kind.leaves => {
                // It cannot fail, and if it did it would only leave politely.
                let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
                false
            }
            Some(stream) => Self::talk(stream, kind, &mut self.at, buffer).is_ok(),
            None => false,
        };
        if !stays && *returns > 0 {
            *returns -= 1;
            self.at = 0;
            self.stream = None;
            self.stream = connect(address, kind);
        }
    }

    /// Sends and reads what it does in a round.
    fn talk(
        stream: &mut TcpStream,
        kind: &Kind,
        at: &mut usize,
        buffer: &mut [u8],
    ) -> std::io::Result<()> {
        let waits = |done: std::io::Result<usize>| match done {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            done => done.map(Some),
        };
        let end = kind.more.len().min(*at + kind.step);
        if let Some(count) = waits(stream.write(&kind.more[*at..end]))?.filter(|it| *it > 0) {
            *at = (*at + count) % kind.more.len();
        }
        if kind.reads > 0 && waits(stream.read(&mut buffer[..kind.reads]))? == Some(0) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

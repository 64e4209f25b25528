//! A side, and clients of it that see bytes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ringback::http::{Caller, Hooks, Settings, Side};
use ringback::protocol::Policy;

/// How long anything may take that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A time-out that a test waits for.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// The request of a client that asks for a WebSocket.
pub(crate) const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A side with somebody who accepts for it.
pub(crate) struct Rig {
    pub(crate) side: Side,
    listener: TcpListener,
    /// What it gives back.
    pub(crate) upgrades: Receiver<Caller>,
    /// That it panicked.
    pub(crate) panics: Receiver<()>,
}

/// A time that no test waits for, unless it says so.
pub(crate) fn patient() -> (Settings, Policy) {
    let settings = Settings {
        idle_timeout: 2 * PATIENCE,
        body_timeout: 2 * PATIENCE,
        ..Settings::default()
    };
    let policy = Policy {
        handshake_timeout: 2 * PATIENCE,
        stall_timeout: 2 * PATIENCE,
        linger_timeout: 2 * PATIENCE,
        ..Policy::default()
    };
    (settings, policy)
}

impl Rig {
    pub(crate) fn start() -> Rig {
        let (settings, policy) = patient();
        Rig::start_with(settings, policy)
    }

    pub(crate) fn start_with(settings: Settings, policy: Policy) -> Rig {
        let (sender, upgrades) = channel();
        let (noted, panics) = channel();
        let hooks = Hooks {
            upgrade: Box::new(move |caller| {
                if sender.send(caller).is_err() {
                    // A panic, without the seconds that its backtrace takes.
                    resume_unwind(Box::new("nobody takes it"));
                }
            }),
            panicked: Box::new(move || noted.send(()).expect("somebody is told")),
        };
        Rig {
            panics,
            side: Side::start(settings, policy, hooks).expect("a thread"),
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"),
            upgrades,
        }
    }

    /// A client of whom `unread` has been read.
    pub(crate) fn call(&self, unread: impl AsRef<[u8]>) -> Client {
        let address = self.listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("a listener");
        client.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        client
            .set_write_timeout(Some(PATIENCE))
            .expect("a time-out");
        let (server, _) = self.listener.accept().expect("the client");
        self.side.sender().take(Caller {
            socket: server.into(),
            unread: unread.as_ref().to_vec(),
            unsent: Vec::new(),
            received: unread.as_ref().len() as u64,
            link: None,
            guest: None,
        });
        Client {
            stream: client,
            read: Vec::new(),
        }
    }

    /// The one answer to a request that asks for nothing after it.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut client = self.call(request);
        let answer = client.answer(request.starts_with("HEAD"));
        client.shut_down();
        client.ends();
        answer
    }
}

/// Waits for what `attempt` brings.
pub(crate) fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "no place is given back");
        sleep(Duration::from_millis(5));
    }
}

/// A client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) version: String,
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a field that may come once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().skip(1).filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        let value = values.next();
        assert!(values.next().is_none(), "{name} is repeated: {self:?}");
        value
    }

    pub(crate) fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("a peer that reads");
    }

    pub(crate) fn shut_down(&self) {
        // A peer that has reset the connection already is seen when it is read from.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// The next response, whose body is `Content-Length` bytes long, or to the end.
    pub(crate) fn answer(&mut self, is_head: bool) -> Answer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(
                self.more() > 0,
                "no answer, but {:?}",
                self.read.escape_ascii()
            );
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).expect("ASCII");
        let mut words = head.split(' ');
        let mut answer = Answer {
            version: words.next().unwrap_or_default().to_owned(),
            status: words
                .next()
                .and_then(|status| status.parse().ok())
                .expect("a status"),
            head: head.clone(),
            body: String::new(),
        };
        assert_eq!(answer.field("transfer-encoding"), None, "{answer:?}");
        let announced = answer
            .field("content-length")
            .map(|text| text.parse().expect("a number"));
        let length: usize = if is_head { 0 } else { announced.unwrap_or(0) };
        while self.read.len() < length {
            assert!(self.more() > 0, "a body cut short");
        }
        answer.body = String::from_utf8(self.read.drain(..length).collect()).expect("UTF-8");
        answer
    }

    /// Waits for the end of the stream, before which nothing more may come.
    pub(crate) fn ends(&mut self) {
        while self.more() > 0 {}
        assert_eq!(self.read.escape_ascii().to_string(), "");
    }

    /// Waits for the end of the stream or a reset.
    pub(crate) fn is_ended(&mut self) {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
                Err(error) => panic!("not ended: {error}"),
            }
        }
    }

    fn more(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).expect("an answer in time");
        self.read.extend_from_slice(&chunk[..count]);
        count
    }
}

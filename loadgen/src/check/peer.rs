//! A raw connection to the server: blocking, every wait with a deadline, every byte recorded.

mod sending;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;

use super::agreement::{Terms, agreed};
use super::head::{Head, KEY, Response};
use super::reader::{Event, Message, Reader};
use super::transcript::{Side, Transcript};
use super::verdict::Finding;
use super::wire::{Cut, pong};
use crate::link::Link;
use crate::target::Target;

/// Between two writes that must arrive apart.
const PAUSE: Duration = Duration::from_millis(3);

/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long a write, or a read between writes, may take before the other has its turn.
const MOMENT: Duration = Duration::from_millis(20);

/// What all cases know about the server.
pub(crate) struct Ground {
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// How long one thing is waited for.
    pub(crate) timeout: Duration,
    /// Messages that the server sends unasked behind each upgrade.
    pub(crate) greetings: usize,
    /// It agrees to permessage-deflate.
    pub(crate) deflate: bool,
    /// How long a peer that is slow or silent may be borne with.
    pub(crate) patience: Duration,
    /// The server's process, if it is on this machine and was named.
    pub(crate) pid: Option<i32>,
}

/// How the server ended the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With FIN, or close_notify where there is TLS.
    Finished,
    Reset,
}

/// What a wait ended with.
#[derive(PartialEq, Eq)]
pub(crate) enum Incoming<T> {
    Came(T),
    Ended(End),
    /// Nothing, for as long as is waited.
    Silence,
}

/// In words, as reports have it.
impl<T: fmt::Debug> fmt::Debug for Incoming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incoming::Came(what) => what.fmt(f),
            Incoming::Ended(end) => f.write_str(end.words()),
            Incoming::Silence => f.write_str("nothing"),
        }
    }
}

/// One connection.
pub(crate) struct Peer<'a> {
    ground: &'a Ground,
    stream: TcpStream,
    link: Link,
    /// Plain bytes that came and are no frames yet: before the upgrade, the answer's head.
    head: Vec<u8>,
    pub(crate) reader: Reader,
    pub(crate) transcript: Transcript,
    /// Greetings that have not come yet.
    greetings: usize,
    end: Option<End>,
}

impl End {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            End::Finished => "the end of the stream",
            End::Reset => "a reset",
        }
    }
}

impl<'a> Peer<'a> {
    /// Connects, through TLS where the URL wants it.
    pub(crate) fn connect(ground: &'a Ground) -> Result<Peer<'a>, Finding> {
        let broken = |error| Finding::Broken(format!("connecting: {error}"));
        let stream = TcpStream::connect_timeout(&ground.address, ground.timeout).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        stream
            .set_write_timeout(Some(ground.timeout))
            .map_err(broken)?;
        let link = match &ground.tls {
            None => Link::default(),
            Some((config, name)) => Link::tls(Arc::clone(config), name.clone())
                .map_err(|failure| Finding::Broken(failure.to_string()))?,
        };
        let mut peer = Peer {
            ground,
            stream,
            link,
            head: Vec::new(),
            reader: Reader::default(),
            transcript: Transcript::default(),
            greetings: ground.greetings,
            end: None,
        };
        let deadline = Instant::now() + ground.timeout;
        peer.flush_link();
        while peer.link.is_handshaking() {
            match peer.receive(deadline)? {
                Incoming::Came(_) => {}
                other => return Err(Finding::Broken(format!("TLS handshake: {other:?}"))),
            }
        }
        Ok(peer)
    }

    /// What is known about the server.
    pub(crate) fn ground(&self) -> &'a Ground {
        self.ground
    }

    /// Makes the ordinary upgrade.
    pub(crate) fn upgrade(&mut self) -> Result<(), Finding> {
        self.open(&Head::ordinary(&self.ground.target))?;
        self.transcript.upgraded("an ordinary upgrade");
        Ok(())
    }

    /// A case is for servers that compress; it does not apply to others.
    pub(crate) fn require_deflate(&self) -> Result<(), Finding> {
        if self.ground.deflate {
            return Ok(());
        }
        let what = "the server agrees to no permessage-deflate";
        Err(Finding::Inapplicable(what.to_owned()))
    }

    /// Upgrades with offers of RFC 7692; the case does not apply if the server agrees to none of them.
    pub(crate) fn upgrade_with(&mut self, offer: &str) -> Result<Terms, Finding> {
        self.require_deflate()?;
        let head = Head::ordinary(&self.ground.target).with("Sec-WebSocket-Extensions", offer);
        let response = self.open(&head)?;
        let Some(terms) = agreed(&response, offer.split(',').map(str::trim))? else {
            return Err(Finding::Inapplicable(format!(
                "the server does not agree to {offer}"
            )));
        };
        self.reader.agree(&terms);
        let answer: Vec<_> = response.all("sec-websocket-extensions").collect();
        self.transcript.upgraded(&format!(
            "an upgrade with {offer}, agreed to as {}",
            answer.join(", ")
        ));
        Ok(terms)
    }

    /// Upgrades with a request that has the ordinary key.
    pub(crate) fn open(&mut self, head: &Head) -> Result<Response, Finding> {
        self.send(&head.bytes());
        let response = match self.response()? {
            Incoming::Came(response) => response,
            other => {
                return Err(Finding::Broken(format!(
                    "an upgrade got no answer, but {other:?}"
                )));
            }
        };
        if response.status != 101 {
            return Err(Finding::Broken(format!(
                "an upgrade was refused with {}",
                response.status
            )));
        }
        response.check_upgrade(KEY)?;
        Ok(response)
    }

    /// Sends. That the server has ended the connection, or reads no more, shows when it is read from.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.transcript.bytes(Side::Sent, bytes);
        let mut wire = Vec::new();
        let sent = self.link.send(bytes, &mut wire);
        let written = self.stream.write_all(&wire);
        if sent.is_err() || written.is_err() {
            self.transcript.note("the server took no more");
        }
    }

    /// Sends in pieces.
    pub(crate) fn send_cut(&mut self, bytes: &[u8], cut: &Cut) {
        for (number, piece) in cut.apply(bytes).into_iter().enumerate() {
            if number > 0 {
                std::thread::sleep(PAUSE);
            }
            self.send(piece);
        }
    }

    /// Ends our side: FIN, behind a close_notify where there is TLS.
    pub(crate) fn half_close(&mut self) {
        let mut wire = Vec::new();
        self.link.close(&mut wire);
        let _ = self.stream.write_all(&wire);
        let _ = self.stream.shutdown(Shutdown::Write);
        self.transcript.note("ended our side of the stream");
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Waits for the head of an answer. Behind a 101, what follows are frames.
    pub(crate) fn response(&mut self) -> Result<Incoming<Response>, Finding> {
        let deadline = Instant::now() + self.ground.timeout;
        loop {
            if let Some((response, length)) = Response::parse(&self.head)? {
                let rest = self.head.split_off(length);
                self.head = rest;
                match response.status {
                    101 => self.reader.feed(&std::mem::take(&mut self.head)),
                    // Interim, such as 100.
                    100..200 => continue,
                    _ => {}
                }
                return Ok(Incoming::Came(response));
            }
            if self.head.len() > HEAD_BYTES_MAX {
                return Err(Finding::Illegal(
                    "the server's answer begins with a head of over 64 KiB".to_owned(),
                ));
            }
            match self.receive(deadline)? {
                Incoming::Came(bytes) => self.head.extend_from_slice(&bytes),
                Incoming::Ended(end) => return Ok(Incoming::Ended(end)),
                Incoming::Silence => return Ok(Incoming::Silence),
            }
        }
    }

    /// Waits for the next event behind an upgrade, as long as one thing is waited for.
    pub(crate) fn event(&mut self) -> Result<Incoming<Event>, Finding> {
        self.event_until(Instant::now() + self.ground.timeout)
    }

    /// Waits for the next event behind an upgrade. Greetings are passed over, pings are
    /// answered.
    pub(crate) fn event_until(&mut self, deadline: Instant) -> Result<Incoming<Event>, Finding> {
        loop {
            match self.reader.next()? {
                Some(Event::Message(_)) if self.greetings > 0 => {
                    self.greetings -= 1;
                    continue;
                }
                Some(event) => {
                    if let Event::Ping(payload) = &event {
                        self.send(&pong(payload).bytes());
                    }
                    return Ok(Incoming::Came(event));
                }
                None => {}
            }
            match self.receive(deadline)? {
                Incoming::Came(bytes) => self.reader.feed(&bytes),
                Incoming::Ended(end) => return Ok(Incoming::Ended(end)),
                Incoming::Silence => return Ok(Incoming::Silence),
            }
        }
    }

    /// Waits for the end of the stream, behind the server's Close: a frame before it is one too many.
    pub(crate) fn end(&mut self) -> Result<Option<End>, Finding> {
        let deadline = Instant::now() + self.ground.timeout;
        loop {
            match self.event_until(deadline)? {
                Incoming::Came(_) => {}
                Incoming::Ended(end) => return Ok(Some(end)),
                Incoming::Silence => return Ok(None),
            }
        }
    }

    /// Waits for this very message.
    pub(crate) fn echo(&mut self, sent: &Message) -> Result<(), Finding> {
        loop {
            let what = match self.event()? {
                Incoming::Came(Event::Message(message)) if message == *sent => return Ok(()),
                Incoming::Came(Event::Ping(_) | Event::Pong(_)) => continue,
                other => format!("{} did not come back, but {other:?}", sent.words()),
            };
            return Err(Finding::Broken(what));
        }
    }

    /// Plain bytes as they come, none where TLS kept them. An end, once seen, is the answer for good.
    pub(crate) fn receive(&mut self, deadline: Instant) -> Result<Incoming<Vec<u8>>, Finding> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(end) = self.end {
                return Ok(Incoming::Ended(end));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Incoming::Silence);
            }
            let _ = self.stream.set_read_timeout(Some(left));
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended(End::Finished),
                Ok(count) => {
                    let mut plain = Vec::new();
                    let result = self.link.receive(&buffer[..count], &mut plain);
                    self.flush_link();
                    self.transcript.bytes(Side::Received, &plain);
                    if self.link.is_ended() {
                        self.ended(End::Finished);
                    }
                    result.map_err(|failure| Finding::Illegal(failure.to_string()))?;
                    return Ok(Incoming::Came(plain));
                }
                // Interrupted, or out of time: the deadline judges.
                Err(error) if is_pause(&error) => {}
                Err(_) => self.ended(End::Reset),
            }
        }
    }

    fn ended(&mut self, end: End) {
        self.end = Some(end);
        self.transcript.note(match end {
            End::Finished => "the server ended the stream",
            End::Reset => "the server reset the connection",
        });
    }

    fn flush_link(&mut self) {
        let mut wire = Vec::new();
        self.link.wire_out(&mut wire);
        let _ = self.stream.write_all(&wire);
    }
}

/// Whether a call may be made again.
fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

//! The whole way from a fresh TCP connection to the first message, without a socket.
//!
//! ```text
//! TCP stands ─► CONNECT (--proxy) ─► TLS handshake (wss://) ─► upgrade (WebSocket) ─► greeting ─► open
//! ```

use super::greeting::Greeting;
use super::proxy::Tunnel;
use super::standing::Wait;
use crate::link::Link;
use crate::wire::failure::Failure;
use crate::wire::handshake::extension::DeflateAgreement;
use crate::wire::handshake::{Accepted, Handshake, Progress};

/// A connection being opened: bytes from the wire in, bytes for the wire out, and at last the
/// opened connection.
pub(crate) struct Opening {
    /// What is awaited before all else, if a proxy lies between.
    tunnel: Option<Tunnel>,
    link: Link,
    /// The upgrade request, until TLS stands.
    request: Option<Vec<u8>>,
    /// What waits for the answer; `None` where no upgrade is to be done.
    handshake: Option<Handshake>,
    /// Decrypted and not yet taken by the handshake.
    plain: Vec<u8>,
    /// What is said before the connection is open.
    greeting: Option<Box<Greeting>>,
    /// What the upgrade settled, while the greeting is awaited.
    accepted: Option<Accepted>,
}

/// What an opening leads to.
pub(crate) struct Opened {
    /// What all further bytes pass through.
    pub(crate) link: Link,
    /// Plaintext that came behind the handshake's answer.
    pub(crate) early: Vec<u8>,
    /// What both sides will hold to.
    pub(crate) agreed: Agreed,
    /// Whether TLS went on with an earlier session, so that its handshake was a shorter one.
    pub(crate) is_resumed: bool,
}

/// What the handshakes settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The subprotocol that the server chose; `None` if none was offered.
    pub(crate) subprotocol: Option<String>,
    /// How messages may be compressed; `None` if that was not offered.
    pub(crate) deflate: Option<DeflateAgreement>,
    /// Version and cipher suite, such as `TLSv1.3 TLS13_AES_128_GCM_SHA256`; `None` without TLS.
    pub(crate) tls: Option<String>,
}

impl Opening {
    /// An opening over `link`, and where WebSocket is spoken the request and what waits for its
    /// answer.
    pub(crate) fn new(link: Link, upgrade: Option<(Vec<u8>, Handshake)>) -> Opening {
        let (request, handshake) = upgrade.unzip();
        Opening {
            tunnel: None,
            link,
            request,
            handshake,
            plain: Vec::new(),
            greeting: None,
            accepted: None,
        }
    }

    /// The same, with what is said before the connection is open.
    pub(super) fn greeted(self, greeting: Option<Greeting>) -> Opening {
        Opening {
            greeting: greeting.map(Box::new),
            ..self
        }
    }

    /// The same, behind a proxy that is asked by `request`.
    pub(super) fn through(self, request: Option<Vec<u8>>) -> Opening {
        let tunnel = request.map(Tunnel::new);
        Opening { tunnel, ..self }
    }

    /// What is awaited.
    pub(crate) fn awaits(&self) -> Wait {
        match (&self.tunnel, &self.accepted) {
            (Some(_), _) => Wait::Proxy,
            (_, Some(_)) => Wait::Greeting,
            _ if self.link.is_handshaking() => Wait::Tls,
            _ => Wait::Upgrade,
        }
    }

    /// The TCP connection stands: appends the first bytes to send. A connection with nothing to
    /// open is open at once.
    pub(crate) fn begin(&mut self, wire: &mut Vec<u8>) -> Result<Option<Opened>, Failure> {
        if let Some(tunnel) = &mut self.tunnel {
            wire.append(&mut tunnel.request);
            return Ok(None);
        }
        self.advance(wire)
    }

    /// Takes bytes from the wire and appends what is to be sent. That is worth sending after a
    /// failure too: it tells the server why.
    ///
    /// Once this has returned the opened connection, the opening is done with.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        wire: &mut Vec<u8>,
    ) -> Result<Option<Opened>, Failure> {
        if let Some(tunnel) = &mut self.tunnel {
            let Some(behind) = tunnel.receive(bytes)? else {
                return Ok(None);
            };
            self.tunnel = None;
            return self.receive(&behind, wire);
        }
        let received = self.link.receive(bytes, &mut self.plain);
        let advanced = received.and_then(|()| self.advance(wire));
        self.link.wire_out(wire);
        match advanced {
            Ok(None) if self.link.is_ended() => Err(self.end_of_stream()),
            advanced => advanced,
        }
    }

    /// It comes to nothing: where the WebSocket is open and its greeting awaited, appends a Close that says so.
    pub(crate) fn resign(&mut self, code: u16, wire: &mut Vec<u8>) {
        if self.accepted.is_some()
            && let Some(greeting) = &mut self.greeting
        {
            let mut close = Vec::new();
            greeting.resign(code, &mut close);
            // It is lost either way.
            let _ = self.link.send(&close, wire);
        }
    }

    /// The server ended the stream before the connection was open.
    pub(crate) fn end_of_stream(&mut self) -> Failure {
        if let Some(tunnel) = &self.tunnel {
            return tunnel.missing("it ended the connection");
        }
        if let Some(greeting) = self.awaited_greeting() {
            return greeting.end_of_stream();
        }
        match (&mut self.handshake, self.link.is_handshaking()) {
            (Some(handshake), false) => handshake.end_of_stream(),
            _ => match self.link.end_of_stream() {
                Err(failure) => failure,
                Ok(()) => Failure::Disconnected { in_flight: 0 },
            },
        }
    }

    /// The server has said nothing more for `seconds`.
    pub(crate) fn out_of_time(&mut self, seconds: u64) -> Failure {
        if let Some(tunnel) = &self.tunnel {
            return tunnel.missing(&format!("it said no more within {seconds} seconds"));
        }
        if let Some(greeting) = self.awaited_greeting() {
            return greeting.out_of_time(seconds);
        }
        match (&mut self.handshake, self.link.is_handshaking()) {
            (Some(handshake), false) => handshake.out_of_time(seconds),
            _ => Failure::Refused(format!(
                "the TLS handshake did not end within {seconds} seconds; if the server does not \
                 speak TLS on this port, use ws://"
            )),
        }
    }

    fn advance(&mut self, wire: &mut Vec<u8>) -> Result<Option<Opened>, Failure> {
        self.link.wire_out(wire);
        if self.link.is_handshaking() {
            return Ok(None);
        }
        if let Some(request) = self.request.take() {
            self.link.send(&request, wire)?;
        }
        let plain = std::mem::take(&mut self.plain);
        if self.accepted.is_some() {
            return self.greet(&plain, wire);
        }
        let Some(handshake) = &mut self.handshake else {
            return Ok(Some(self.opened(plain, Accepted::default())));
        };
        if plain.is_empty() {
            return Ok(None);
        }
        match handshake.receive(&plain)? {
            Progress::More => Ok(None),
            Progress::Open(early) => {
                let accepted = handshake.accepted().clone();
                let Some(greeting) = &mut self.greeting else {
                    return Ok(Some(self.opened(early, accepted)));
                };
                let mut first = Vec::new();
                greeting.begin(&mut first);
                self.link.send(&first, wire)?;
                self.accepted = Some(accepted);
                self.greet(&early, wire)
            }
        }
    }

    fn awaited_greeting(&self) -> Option<&Greeting> {
        let greeting = self.greeting.as_deref();
        greeting.filter(|_| self.accepted.is_some())
    }

    /// Takes what has come of the greeting, and what came behind it.
    fn greet(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<Option<Opened>, Failure> {
        let Some(greeting) = &mut self.greeting else {
            return Ok(None);
        };
        let mut pongs = Vec::new();
        let early = greeting.receive(plain, &mut pongs);
        self.link.send(&pongs, wire)?;
        Ok(early?.map(|early| {
            let accepted = self.accepted.take().unwrap_or_default();
            self.opened(early, accepted)
        }))
    }

    fn opened(&mut self, early: Vec<u8>, accepted: Accepted) -> Opened {
        let link = std::mem::replace(&mut self.link, Link::Plain);
        let agreed = Agreed {
            subprotocol: accepted.subprotocol,
            deflate: accepted.deflate,
            tls: link.describe(),
        };
        Opened {
            is_resumed: link.is_resumed(),
            link,
            early,
            agreed,
        }
    }
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;

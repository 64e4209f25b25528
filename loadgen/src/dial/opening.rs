//! The whole way from a fresh TCP connection to the first message, without a socket.
//!
//! ```text
//! TCP stands ─► CONNECT (--proxy) ─► TLS handshake (wss://) ─► upgrade (WebSocket) ─► greeting ─► open
//! ```

use std::mem;

use super::greeting::Greeting;
use super::proxy::Tunnel;
use super::standing::Wait;
use crate::link::Link;
use crate::wire::failure::Failure;
use crate::wire::handshake::{Accepted, Handshake, Progress};

/// A connection being opened: bytes from the wire in, bytes for the wire out, and at last the
/// opened connection.
pub(crate) struct Opening {
    /// What is awaited before all else, if a proxy lies between.
    pub(super) tunnel: Option<Tunnel>,
    link: Link,
    /// The upgrade request, until TLS stands.
    request: Option<Vec<u8>>,
    /// What waits for the answer; `None` where no upgrade is to be done.
    handshake: Option<Handshake>,
    /// Decrypted and not yet taken by the handshake.
    plain: Vec<u8>,
    /// What is said before the connection is open, until the upgrade is done.
    pub(super) greeting: Option<Greeting>,
    /// The same from then on, with what the upgrade settled.
    greeted: Option<(Greeting, Accepted)>,
}

/// What an opening leads to.
pub(crate) struct Opened {
    /// What all further bytes pass through.
    pub(crate) link: Link,
    /// Plaintext that came behind the handshake's answer.
    pub(crate) early: Vec<u8>,
    /// What the upgrade settled; nothing where there was none.
    pub(crate) accepted: Accepted,
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
            greeted: None,
        }
    }

    /// What is awaited.
    pub(crate) fn awaits(&self) -> Wait {
        match (&self.tunnel, &self.greeted) {
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
            Ok(None) if self.link.is_ended() => Err(self.unfinished(None)),
            advanced => advanced,
        }
    }

    /// It comes to nothing: where the WebSocket is open and its greeting awaited, appends a Close that says so.
    pub(crate) fn resign(&mut self, code: u16, wire: &mut Vec<u8>) {
        if let Some((greeting, _)) = &mut self.greeted {
            let mut close = Vec::new();
            greeting.resign(code, &mut close);
            // It is lost either way.
            let _ = self.link.send(&close, wire);
        }
    }

    /// Why the connection did not come to be open: the server ended the stream before, or has said nothing more
    /// for so many `seconds`.
    pub(crate) fn unfinished(&mut self, seconds: Option<u64>) -> Failure {
        let silent = |who: &str| match seconds {
            None => format!("{who} ended the connection"),
            Some(seconds) => format!("{who} said no more within {seconds} seconds"),
        };
        if let Some(tunnel) = &self.tunnel {
            return tunnel.missing(&silent("it"));
        }
        if let Some((greeting, _)) = &self.greeted {
            return greeting.missing(&silent("the server"));
        }
        let handshake = self.handshake.as_mut();
        let upgrade = handshake.filter(|_| !self.link.is_handshaking());
        match (upgrade, seconds) {
            (Some(upgrade), None) => upgrade.end_of_stream(),
            (Some(upgrade), Some(seconds)) => upgrade.out_of_time(seconds),
            (None, None) => match self.link.end_of_stream() {
                Err(failure) => failure,
                Ok(()) => Failure::Disconnected { in_flight: 0 },
            },
            (None, Some(seconds)) => Failure::Refused(format!(
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
        let plain = mem::take(&mut self.plain);
        if self.greeted.is_some() {
            return self.greet(&plain, wire);
        }
        let Some(handshake) = &mut self.handshake else {
            return Ok(Some(self.opened(plain, Accepted::default())));
        };
        if plain.is_empty() {
            return Ok(None);
        }
        let Progress::Open(early) = handshake.receive(&plain)? else {
            return Ok(None);
        };
        let accepted = handshake.accepted().clone();
        let Some(mut greeting) = self.greeting.take() else {
            return Ok(Some(self.opened(early, accepted)));
        };
        let mut first = Vec::new();
        greeting.begin(&mut first);
        self.link.send(&first, wire)?;
        self.greeted = Some((greeting, accepted));
        self.greet(&early, wire)
    }

    /// Takes what has come of the greeting, and what came behind it.
    fn greet(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<Option<Opened>, Failure> {
        let Some((greeting, accepted)) = &mut self.greeted else {
            return Ok(None);
        };
        let mut answers = Vec::new();
        let early = greeting.receive(plain, &mut answers);
        self.link.send(&answers, wire)?;
        let Some(early) = early? else {
            return Ok(None);
        };
        let accepted = mem::take(accepted);
        Ok(Some(self.opened(early, accepted)))
    }

    fn opened(&mut self, early: Vec<u8>, accepted: Accepted) -> Opened {
        let link = mem::take(&mut self.link);
        Opened {
            link,
            early,
            accepted,
        }
    }
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;

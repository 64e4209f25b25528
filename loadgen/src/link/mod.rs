//! What lies between the socket and the protocol: nothing, or TLS.
//!
//! Sans-IO: bytes from the wire in, plaintext out, and the other way round. `trust` decides which
//! certificates are believed and puts a refusal into words. Nothing here knows a socket.

mod trust;

#[cfg(test)]
#[allow(dead_code, reason = "tests of the program use the rest")]
pub(crate) mod rehearsal;

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

use crate::wire::failure::Failure;

pub(crate) use self::trust::{Identity, Trust, client_config, server_name};

/// Most bytes of records that rustls may hold before they are moved to the caller's buffer: two
/// records of the largest size. It bounds memory whatever is sent at once.
const UNSENT_BYTES_MAX: usize = 32 * 1024;

/// What a connection's bytes pass through.
pub(crate) enum Link {
    /// Nothing: wire and plaintext are the same bytes.
    ///
    /// A caller that counts nanoseconds matches on this and hands its receive buffer on as it is;
    /// the methods below copy.
    Plain,
    /// TLS, boxed so that a plain link is one word.
    Tls(Box<Tls>),
}

/// The client's side of one TLS connection.
pub(crate) struct Tls {
    connection: ClientConnection,
    /// The server has said that nothing follows (close_notify, RFC 8446 section 6.1).
    is_ended: bool,
}

impl Link {
    /// TLS as `config` says, to a server that must prove to be `name`.
    pub(crate) fn tls(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Link, Failure> {
        let mut connection = ClientConnection::new(config, name)
            .map_err(|error| Failure::Refused(trust::explain(&error)))?;
        connection.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        Ok(Link::Tls(Box::new(Tls {
            connection,
            is_ended: false,
        })))
    }

    /// Takes bytes from the wire and appends what they hold to `plain`.
    ///
    /// May leave bytes for [`Link::wire_out`], above all when it fails: the alert that tells the
    /// server why. What comes behind a close_notify is ignored, as RFC 8446 section 6.1 wants.
    pub(crate) fn receive(&mut self, wire: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Link::Plain => {
                plain.extend_from_slice(wire);
                Ok(())
            }
            Link::Tls(tls) => tls.receive(wire, plain),
        }
    }

    /// Appends to `wire` what sends `plain`: the bytes themselves, or records that hold them and
    /// whatever TLS had to send before. Not before the handshake is done.
    pub(crate) fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Link::Plain => {
                wire.extend_from_slice(plain);
                Ok(())
            }
            Link::Tls(tls) => tls.send(plain, wire),
        }
    }

    /// Appends what TLS has to send on its own: its handshake and alerts. An update of our keys goes
    /// out with the next [`Link::send`], which is when it must (RFC 8446 section 4.6.3).
    pub(crate) fn wire_out(&mut self, wire: &mut Vec<u8>) {
        if let Link::Tls(tls) = self {
            tls.wire_out(wire);
        }
    }

    /// Appends the close_notify that ends our side. Nothing may be sent after it.
    pub(crate) fn close(&mut self, wire: &mut Vec<u8>) {
        if let Link::Tls(tls) = self {
            tls.connection.send_close_notify();
            tls.wire_out(wire);
        }
    }

    /// Whether the TLS handshake is still under way.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Link::Plain => false,
            Link::Tls(tls) => tls.connection.is_handshaking(),
        }
    }

    /// Whether TLS went on with an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        match self {
            Link::Plain => false,
            Link::Tls(tls) => tls.connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// Whether the server has ended its side by a close_notify: the end of the stream, though the
    /// socket may stay open.
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Link::Plain => false,
            Link::Tls(tls) => tls.is_ended,
        }
    }

    /// Judges the end of the socket's stream: without a close_notify before it, anybody on the way
    /// may have cut it.
    pub(crate) fn end_of_stream(&self) -> Result<(), Failure> {
        if self.is_handshaking() {
            return Err(Failure::Refused(
                "the server closed the connection in the middle of the TLS handshake".to_owned(),
            ));
        }
        match self {
            Link::Tls(tls) if !tls.is_ended => Err(Failure::Protocol(
                "the stream ended without a TLS close_notify, so its end may be missing".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// What was agreed on, such as `TLSv1.3 TLS13_AES_128_GCM_SHA256`; `None` without TLS or before
    /// its handshake is done.
    pub(crate) fn describe(&self) -> Option<String> {
        let Link::Tls(tls) = self else {
            return None;
        };
        let version = tls.connection.protocol_version()?.as_str()?;
        let suite = tls.connection.negotiated_cipher_suite()?.suite().as_str()?;
        Some(format!("{} {suite}", version.replace('_', ".")))
    }
}

impl Tls {
    fn receive(&mut self, mut wire: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        while !wire.is_empty() && !self.is_ended {
            // Takes a few KiB at a time and fails only when a message cannot fit, which
            // `process_new_packets` has found out before.
            self.connection
                .read_tls(&mut wire)
                .map_err(|error| Failure::Protocol(format!("TLS: {error}")))?;
            let result = self.connection.process_new_packets();
            // What came before an error was said all the same.
            let mut reader = self.connection.reader();
            // `WouldBlock` says that all is read, an empty slice that the stream has ended.
            while let Ok(bytes) = reader.fill_buf() {
                let length = bytes.len();
                if length == 0 {
                    break;
                }
                plain.extend_from_slice(bytes);
                reader.consume(length);
            }
            self.is_ended = match result {
                Ok(state) => state.peer_has_closed(),
                Err(error) => return Err(self.failure(&error)),
            };
        }
        Ok(())
    }

    fn send(&mut self, mut plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.wire_out(wire);
        while !plain.is_empty() {
            let taken = match self.connection.writer().write(plain) {
                Ok(taken) => taken,
                Err(error) => return Err(Failure::Io("encrypting", error)),
            };
            self.wire_out(wire);
            if taken == 0 {
                let error = io::Error::other("TLS takes no more bytes");
                return Err(Failure::Io("encrypting", error));
            }
            plain = &plain[taken..];
        }
        Ok(())
    }

    fn wire_out(&mut self, wire: &mut Vec<u8>) {
        // Writing to a vector does not fail; a zero would mean that nothing is there after all.
        while self.connection.wants_write() && self.connection.write_tls(wire).unwrap_or(0) > 0 {}
    }

    fn failure(&self, error: &rustls::Error) -> Failure {
        let what = trust::explain(error);
        if self.connection.is_handshaking() {
            Failure::Refused(what)
        } else {
            Failure::Protocol(what)
        }
    }
}

#[cfg(test)]
mod tests;

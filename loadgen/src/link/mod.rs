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

pub(crate) use self::trust::{TlsOptions, client_config, server_name};

/// Most bytes of records that rustls may hold before they are moved to the caller's buffer: two
/// records of the largest size. It bounds memory whatever is sent at once.
const UNSENT_BYTES_MAX: usize = 32 * 1024;

/// What a connection's bytes pass through. One of the default is nothing: wire and plaintext are the same bytes.
///
/// A caller that counts nanoseconds asks [`Link::is_plain`] and hands its receive buffer on as it is; the
/// methods below copy.
#[derive(Default)]
pub(crate) struct Link {
    /// The client's side of TLS, boxed so that a plain link is small.
    tls: Option<Box<ClientConnection>>,
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
        Ok(Link {
            tls: Some(Box::new(connection)),
            is_ended: false,
        })
    }

    /// Whether wire and plaintext are the same bytes.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Takes bytes from the wire and appends what they hold to `plain`.
    ///
    /// May leave bytes for [`Link::wire_out`], above all when it fails: the alert that tells the
    /// server why. What comes behind a close_notify is ignored, as RFC 8446 section 6.1 wants.
    pub(crate) fn receive(&mut self, mut wire: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(tls) = &mut self.tls else {
            plain.extend_from_slice(wire);
            return Ok(());
        };
        while !wire.is_empty() && !self.is_ended {
            // Takes a few KiB at a time and fails only when a message cannot fit, which
            // `process_new_packets` has found out before.
            tls.read_tls(&mut wire)
                .map_err(|error| Failure::Protocol(format!("TLS: {error}")))?;
            let result = tls.process_new_packets();
            // What came before an error was said all the same.
            let mut reader = tls.reader();
            // `WouldBlock` says that all is read, an empty slice that the stream has ended.
            while let Ok(bytes @ [_, ..]) = reader.fill_buf() {
                plain.extend_from_slice(bytes);
                let length = bytes.len();
                reader.consume(length);
            }
            self.is_ended = match result {
                Ok(state) => state.peer_has_closed(),
                Err(error) if tls.is_handshaking() => {
                    return Err(Failure::Refused(trust::explain(&error)));
                }
                Err(error) => return Err(Failure::Protocol(trust::explain(&error))),
            };
        }
        Ok(())
    }

    /// Appends to `wire` what sends `plain`: the bytes themselves, or records that hold them and
    /// whatever TLS had to send before. Not before the handshake is done.
    pub(crate) fn send(&mut self, mut plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(tls) = &mut self.tls else {
            wire.extend_from_slice(plain);
            return Ok(());
        };
        records_out(tls, wire);
        while !plain.is_empty() {
            let failed = |error| Failure::Io("encrypting", error);
            let taken = tls.writer().write(plain).map_err(failed)?;
            records_out(tls, wire);
            if taken == 0 {
                return Err(failed(io::Error::other("TLS takes no more bytes")));
            }
            plain = &plain[taken..];
        }
        Ok(())
    }

    /// Appends what TLS has to send on its own: its handshake and alerts. An update of our keys goes
    /// out with the next [`Link::send`], which is when it must (RFC 8446 section 4.6.3).
    pub(crate) fn wire_out(&mut self, wire: &mut Vec<u8>) {
        if let Some(tls) = &mut self.tls {
            records_out(tls, wire);
        }
    }

    /// Appends the close_notify that ends our side, once. Nothing may be sent after it.
    pub(crate) fn close(&mut self, wire: &mut Vec<u8>) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            records_out(tls, wire);
        }
    }

    /// Whether the TLS handshake is still under way.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether TLS went on with an earlier session, so that its handshake was a shorter one.
    pub(crate) fn is_resumed(&self) -> bool {
        let kind = self.tls.as_ref().and_then(|tls| tls.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// Whether the server has ended its side by a close_notify: the end of the stream, though the
    /// socket may stay open.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Judges the end of the socket's stream: without a close_notify before it, anybody on the way
    /// may have cut it.
    pub(crate) fn end_of_stream(&self) -> Result<(), Failure> {
        if self.is_handshaking() {
            return Err(Failure::Refused(
                "the server closed the connection in the middle of the TLS handshake".to_owned(),
            ));
        }
        if self.is_plain() || self.is_ended {
            return Ok(());
        }
        Err(Failure::Protocol(
            "the stream ended without a TLS close_notify, so its end may be missing".to_owned(),
        ))
    }

    /// What was agreed on, such as `TLSv1.3 TLS13_AES_128_GCM_SHA256`; `None` without TLS or before
    /// its handshake is done.
    pub(crate) fn describe(&self) -> Option<String> {
        let tls = self.tls.as_ref()?;
        let version = tls.protocol_version()?.as_str()?;
        let suite = tls.negotiated_cipher_suite()?.suite().as_str()?;
        Some(format!("{} {suite}", version.replace('_', ".")))
    }
}

fn records_out(tls: &mut ClientConnection, wire: &mut Vec<u8>) {
    // Writing to a vector does not fail; a zero would mean that nothing is there after all.
    while tls.wants_write() && tls.write_tls(wire).unwrap_or(0) > 0 {}
}

#[cfg(test)]
mod tests;

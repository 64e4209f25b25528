//! One connection's TLS: rustls, driven.
//!
//! ```text
//! Hello (nothing but the first record, or a part of it) -> Talking (a handshake, then traffic) -> Over
//! ```

use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use rustls::{Error, HandshakeKind, ProtocolVersion};

use super::acceptor::{Acceptor, take_name};
use super::certificates::subject;
use super::{Fault, Opened, records};

/// The most plaintext that one record has, in bytes (RFC 8446, section 5.1).
pub const RECORD_BYTES_MAX: usize = 1 << 14;

/// What a record has beside its plaintext, and what TLS may have to say in front of it, in bytes: a key update.
const OVERHEAD_BYTES_MAX: usize = 128;

/// The room that sealing so many bytes takes at most, in bytes.
pub const fn sealed_bytes_max(plain_bytes: usize) -> usize {
    plain_bytes + OVERHEAD_BYTES_MAX
}

/// The type of a record that a handshake begins with.
const HANDSHAKE: u8 = 22;

/// What is said where a handshake is ended before there are keys: a fatal user_canceled, "for some reason unrelated to a
/// protocol failure" (RFC 8446, section 6.1). Clients show it; a close_notify they do not believe before a handshake.
const CANCELED: [u8; 7] = [21, 3, 3, 0, 2, 2, 90];

/// What is said where rustls finds no words for what is no message: decode_error.
const NOT_UNDERSTOOD: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// What is said to whoever speaks plain HTTP, since only that is shown to whoever asked.
const SPEAK_TLS: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 97\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n\
    This port speaks TLS, and this was plain HTTP. Ask with https:// instead, or wss:// (not ws://).\n";

/// What was agreed on in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version, as in `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, by its registered name.
    pub cipher: String,
    /// The name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// The subject of the client's certificate, if it has shown one.
    pub client: Option<String>,
    /// Whether it resumed what was agreed on before, by a ticket.
    pub is_resumed: bool,
}

/// How far a connection is.
pub(super) struct Tls {
    state: State,
    /// The peer says that nothing follows.
    is_finished: bool,
    /// The name that the client asked for.
    name: Option<Box<str>>,
}

enum State {
    /// Its first record is not whole. Until then it costs nothing but that.
    Hello(Arc<Acceptor>),
    Talking(Box<UnbufferedServerConnection>),
    Over,
}

impl Tls {
    pub(super) fn new(acceptor: Arc<Acceptor>) -> Self {
        Tls {
            state: State::Hello(acceptor),
            is_finished: false,
            name: None,
        }
    }

    /// Whether what comes has no use any more.
    pub(super) fn hears_no_more(&self) -> bool {
        self.is_finished || matches!(self.state, State::Over)
    }

    /// Whether the peer has said that nothing follows.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(&self.state, State::Talking(connection) if !connection.is_handshaking())
    }

    /// Takes in the whole records that `bytes` begin with, and says how many bytes need not be shown again.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        opened: &mut Opened,
    ) -> Result<usize, Fault> {
        if let State::Hello(acceptor) = &self.state {
            if bytes.first().is_some_and(u8::is_ascii_alphabetic) {
                opened.out.extend_from_slice(SPEAK_TLS.as_bytes());
                self.state = State::Over;
                return Err(Fault::PlainHttp);
            }
            if bytes.first() == Some(&HANDSHAKE) && records::find(bytes).whole == 0 {
                return Ok(0);
            }
            let connection = UnbufferedServerConnection::new(acceptor.config());
            let Ok(connection) = connection else {
                self.state = State::Over;
                return Err(Fault::Other("could not be served"));
            };
            self.state = State::Talking(Box::new(connection));
        }
        let State::Talking(connection) = &mut self.state else {
            return Ok(bytes.len());
        };
        let handshakes = connection.is_handshaking();
        let outcome = take_in(connection, bytes, opened);
        // Of a handshake that failed, too: the name must not be taken for another's.
        if handshakes && let Some(name) = take_name() {
            self.name = Some(name);
        }
        match outcome {
            Ok(used) => {
                self.is_finished = opened.is_finished;
                Ok(used)
            }
            Err(error) => {
                let has_keys = connection.negotiated_cipher_suite().is_some();
                let is_told = matches!(error, Error::AlertReceived(_));
                if opened.out.is_empty() && !is_told && !has_keys {
                    opened.out.extend_from_slice(&NOT_UNDERSTOOD);
                }
                self.state = State::Over;
                Err(Fault::from(&error))
            }
        }
    }

    /// `unfinished`: what was not used of what came.
    pub(super) fn seal(
        &mut self,
        plain: &[u8],
        unfinished: &mut [u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let State::Talking(connection) = &mut self.state else {
            return None;
        };
        // There may be keys already, but not for a client that has not shown who it is.
        if connection.is_handshaking() {
            return None;
        }
        let mut written = 0;
        loop {
            let UnbufferedStatus { state, .. } = connection.process_tls_records(unfinished);
            match state.ok()? {
                ConnectionState::EncodeTlsData(mut data) => {
                    written += data.encode(&mut out[written..]).ok()?;
                }
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                ConnectionState::WriteTraffic(mut traffic) => {
                    return match traffic.encrypt(plain, &mut out[written..]) {
                        Ok(count) => Some(written + count),
                        Err(EncryptError::InsufficientSize(_) | EncryptError::EncryptExhausted) => {
                            None
                        }
                    };
                }
                _ => return None,
            }
        }
    }

    /// Says that nothing follows.
    pub(super) fn finish(&mut self, unfinished: &mut [u8], out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Hello(_) => out.extend_from_slice(&CANCELED),
            State::Talking(mut connection) => close(&mut connection, unfinished, out),
            State::Over => {}
        }
    }

    pub(super) fn facts(&self) -> Option<Facts> {
        let State::Talking(connection) = &self.state else {
            return None;
        };
        let suite = connection.negotiated_cipher_suite()?.suite();
        let client = connection.peer_certificates().and_then(<[_]>::first);
        Some(Facts {
            version: match connection.protocol_version()? {
                ProtocolVersion::TLSv1_2 => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher: suite
                .as_str()
                .unwrap_or_default()
                .replacen("TLS13_", "TLS_", 1),
            server_name: self.name.as_deref().map(str::to_owned),
            client: client.and_then(|certificate| subject(certificate)),
            is_resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }

    /// Whether the client has resumed.
    pub(super) fn is_resumed(&self) -> bool {
        matches!(&self.state, State::Talking(it) if it.handshake_kind() == Some(HandshakeKind::Resumed))
    }
}

/// Takes in whole records, and says how many bytes need not be shown again.
fn take_in(
    connection: &mut UnbufferedServerConnection,
    bytes: &mut [u8],
    opened: &mut Opened,
) -> Result<usize, Error> {
    let mut used = 0;
    loop {
        let UnbufferedStatus { mut discard, state } =
            connection.process_tls_records(&mut bytes[used..]);
        let mut is_over = false;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    opened.plain.extend_from_slice(record.payload);
                }
            }
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut opened.out),
            Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
            Ok(ConnectionState::PeerClosed) => opened.is_finished = true,
            // Early data is not offered, and there is no other state.
            Ok(_) => is_over = true,
            Err(error) => {
                used += discard;
                say(connection, &mut bytes[used..], &mut opened.out);
                return Err(error);
            }
        }
        used += discard;
        if is_over {
            return Ok(used);
        }
    }
}

/// Says close_notify, as soon as there are keys to say it with.
fn close(connection: &mut UnbufferedServerConnection, unused: &mut [u8], out: &mut Vec<u8>) {
    loop {
        match connection.process_tls_records(unused).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
            Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let start = out.len();
                out.resize(start + OVERHEAD_BYTES_MAX, 0);
                let count = traffic.queue_close_notify(&mut out[start..]);
                return out.truncate(start + count.unwrap_or(0));
            }
            // In the middle of a handshake of TLS 1.2, or before a second ClientHello: nothing is sealed yet.
            Ok(ConnectionState::BlockedHandshake) => return out.extend_from_slice(&CANCELED),
            _ => return,
        }
    }
}

/// Appends to `out` the alert of a connection that cannot go on. rustls is asked no longer than it has something to say:
/// what comes then is the fault again.
fn say(connection: &mut UnbufferedServerConnection, unused: &mut [u8], out: &mut Vec<u8>) {
    while connection.wants_write() {
        match connection.process_tls_records(unused).state {
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
            // What was opened with it is not heard any more.
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while traffic.next_record().is_some() {}
            }
            _ => return,
        }
    }
}

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    let start = out.len();
    // It says how much room it needs, and then fits.
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        out.resize(start + size.required_size, 0);
        if data.encode(&mut out[start..]).is_err() {
            out.truncate(start);
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_words_for_plain_http_have_the_length_they_say() {
        let (head, body) = SPEAK_TLS.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}

//! Why a run cannot go on: one sentence each, said once, to a person.

use std::fmt;
use std::io;

/// Bytes of context shown on each side of the first wrong byte.
const EXCERPT_BYTES: usize = 16;

/// The reason a connection failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A reply differs from what was sent.
    Mismatch(Box<Mismatch>),
    /// The server broke RFC 6455; the text says how.
    Protocol(String),
    /// The handshake did not end in a valid 101.
    Refused(String),
    /// Something did not come in time; the text says what.
    Late(String),
    /// What the server was to say first did not come; the text says what did.
    Ungreeted(String),
    /// The server sent a Close frame that was not asked for.
    ServerClosed {
        /// Close code, when the frame had one.
        code: Option<u16>,
        /// Close reason.
        reason: String,
    },
    /// End of stream with the connection still in use.
    Disconnected {
        /// Messages still waiting for their reply.
        in_flight: usize,
    },
    /// The kernel's error, with what was being done.
    Io(&'static str, io::Error),
}

/// What was wrong with a reply.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// The difference in words.
    pub(crate) what: String,
    /// Ordinal of the message on its connection, from 0.
    pub(crate) message: u64,
    /// Offset in the message of the first wrong byte.
    pub(crate) offset: u64,
    /// What was sent, around the offset.
    pub(crate) expected: Vec<u8>,
    /// What came back, from the same position.
    pub(crate) received: Vec<u8>,
    /// Offset in the message of the first byte of both excerpts.
    pub(crate) excerpt_offset: u64,
}

impl Mismatch {
    /// Describes the first wrong byte at `at` of `received`, whose first byte is at `base` of
    /// the whole payload `sent`.
    pub(crate) fn at(message: u64, sent: &[u8], base: usize, received: &[u8], at: usize) -> Self {
        let offset = base + at;
        let start = offset.saturating_sub(EXCERPT_BYTES / 2);
        let end = (offset + EXCERPT_BYTES)
            .min(sent.len())
            .min(base + received.len());
        // Everything before the offset has been compared already, so it equals what was sent.
        let mut got = sent[start..offset].to_vec();
        got.extend_from_slice(&received[at..end - base]);
        Mismatch {
            what: "a byte of the reply differs from what was sent".to_owned(),
            message,
            offset: offset as u64,
            expected: sent[start..end].to_vec(),
            received: got,
            excerpt_offset: start as u64,
        }
    }
}

/// `de ad be ef`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

impl Failure {
    /// The code of the Close that tells the server (RFC 6455 section 7.4.1).
    pub(crate) fn close_code(&self) -> u16 {
        match self {
            // Protocol error.
            Failure::Protocol(_) => 1002,
            // A message that violates a policy: that replies are right.
            Failure::Mismatch(_) => 1008,
            // Going away.
            _ => 1001,
        }
    }

    /// Whether the server ended the connection, and did nothing else wrong.
    pub(crate) fn is_end_of_connection(&self) -> bool {
        let is_end = matches!(
            self,
            Failure::ServerClosed { .. } | Failure::Disconnected { .. }
        );
        is_end || matches!(self, Failure::Io("receiving" | "sending", _))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (message {}, offset {})",
            self.what, self.message, self.offset
        )?;
        if !(self.expected.is_empty() && self.received.is_empty()) {
            let from = self.excerpt_offset;
            write!(
                f,
                "\n  expected from offset {from}: {}",
                hex(&self.expected)
            )?;
            write!(
                f,
                "\n  received from offset {from}: {}",
                hex(&self.received)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Mismatch(mismatch) => mismatch.fmt(f),
            Failure::Protocol(what) => write!(f, "the server broke the protocol: {what}"),
            Failure::Refused(what) => write!(f, "the handshake failed: {what}"),
            Failure::Late(what) => f.write_str(what),
            Failure::Ungreeted(what) => write!(f, "the greeting did not come: {what}"),
            Failure::ServerClosed { code, reason } => {
                f.write_str("the server closed the connection during the run")?;
                match code {
                    Some(code) => write!(f, " with close code {code}")?,
                    None => f.write_str(" without a close code")?,
                }
                if reason.is_empty() {
                    Ok(())
                } else {
                    // It is the server's, and may be anything: a terminal is shown no escape sequences.
                    write!(f, " ({})", reason.escape_debug())
                }
            }
            Failure::Disconnected { in_flight } => write!(
                f,
                "the server ended the connection during the run with {in_flight} messages unanswered"
            ),
            Failure::Io(doing, error) => match error.kind() {
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                    write!(f, "the server reset the connection ({doing})")
                }
                io::ErrorKind::ConnectionRefused => {
                    write!(f, "connection refused: nothing listens there ({doing})")
                }
                _ => write!(f, "{doing}: {error}"),
            },
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_gives_as_its_reason_does_nothing_to_a_terminal() {
        let closed = Failure::ServerClosed {
            code: Some(1001),
            reason: "\x1b[2Jz\u{e9}ro".to_owned(),
        };
        let text = closed.to_string();
        assert!(text.ends_with("1001 (\\u{1b}[2Jz\u{e9}ro)"), "{text}");
    }
}

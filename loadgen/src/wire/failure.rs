//! Why a run cannot go on: one sentence each, said once, to a person.

use std::fmt;
use std::io::{self, ErrorKind};

use thiserror::Error;

/// Bytes of context shown on each side of the first wrong byte.
const EXCERPT_BYTES: usize = 16;

/// The reason a connection failed.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// A reply differs from what was sent.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
    /// The server broke RFC 6455; the text says how.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The handshake did not end in a valid 101.
    #[error("the handshake failed: {0}")]
    Refused(String),
    /// Something did not come in time; the text says what.
    #[error("{0}")]
    Late(String),
    /// What the server was to say first did not come; the text says what did.
    #[error("the greeting did not come: {0}")]
    Ungreeted(String),
    /// The server sent a Close frame that was not asked for, with this code, if any, and this reason.
    #[error("the server closed the connection during the run {}", close(*code, reason))]
    ServerClosed { code: Option<u16>, reason: String },
    /// End of stream with the connection still in use, and so many messages without a reply.
    #[error("the server ended the connection during the run with {in_flight} messages unanswered")]
    Disconnected { in_flight: usize },
    /// The kernel's error, with what was being done.
    #[error("{}", io_error(.0, .1))]
    Io(&'static str, io::Error),
}

fn close(code: Option<u16>, reason: &str) -> String {
    let code = code.map_or_else(
        || "without a close code".to_owned(),
        |code| format!("with close code {code}"),
    );
    match reason {
        "" => code,
        // It is the server's, and may be anything: a terminal is shown no escape sequences.
        reason => format!("{code} ({})", reason.escape_debug()),
    }
}

fn io_error(doing: &str, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            format!("the server reset the connection ({doing})")
        }
        ErrorKind::ConnectionRefused => {
            format!("connection refused: nothing listens there ({doing})")
        }
        _ => format!("{doing}: {error}"),
    }
}

/// What was wrong with a reply.
#[derive(Debug, Default)]
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
fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
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
        matches!(
            self,
            Failure::ServerClosed { .. }
                | Failure::Disconnected { .. }
                | Failure::Io("receiving" | "sending", _)
        )
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.excerpt_offset;
        write!(
            f,
            "{} (message {}, offset {})",
            self.what, self.message, self.offset
        )?;
        if !(self.expected.is_empty() && self.received.is_empty()) {
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

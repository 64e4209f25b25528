//! Close codes, and violations: what the peer did wrong and the code that answers it.

use std::fmt;

/// A status code of a Close frame (RFC 6455, section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection has been fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server is going down.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// A text message, or a Close reason, that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// A message larger than the server's policy allows.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode(1009);

    /// The code, if it may stand in a Close frame: registered for use on the wire (1000-1003,
    /// 1007-1014) or in the ranges for libraries and applications (3000-4999).
    pub fn from_wire(code: u16) -> Option<CloseCode> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(CloseCode(code))
    }

    /// The whole Close frame that carries this code, as a server sends it: unmasked, no reason.
    pub const fn frame(self) -> [u8; 4] {
        let code = self.0.to_be_bytes();
        [0x88, 2, code[0], code[1]]
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a peer did wrong in the WebSocket protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A reserved bit is set and no extension gives it a meaning (RFC 6455, section 5.2).
    ReservedBits,
    /// An opcode that is not defined (section 5.2).
    ReservedOpcode,
    /// A frame from a client that is not masked (section 5.1).
    Unmasked,
    /// A control frame that is fragmented (section 5.5).
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    LongControl,
    /// A continuation with nothing to continue (section 5.4).
    UnexpectedContinuation,
    /// A new message before the last one ended (section 5.4).
    ExpectedContinuation,
    /// A length written in more bytes than it needs (section 5.2).
    NonMinimalLength,
    /// A 64-bit length with its highest bit set (section 5.2).
    NegativeLength,
    /// A Close whose payload is one byte long (section 5.5.1).
    ShortClose,
    /// A Close with a code that must not be sent (section 7.4).
    CloseCode,
    /// A Close reason that is not UTF-8 (section 5.5.1).
    CloseReason,
    /// A text message that is not UTF-8 (section 8.1).
    Utf8,
    /// A message above the configured maximum.
    MessageTooBig,
}

impl Violation {
    /// The code of the Close that answers it.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Violation::CloseReason | Violation::Utf8 => CloseCode::INVALID_PAYLOAD,
            Violation::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Violation::ReservedBits
            | Violation::ReservedOpcode
            | Violation::Unmasked
            | Violation::FragmentedControl
            | Violation::LongControl
            | Violation::UnexpectedContinuation
            | Violation::ExpectedContinuation
            | Violation::NonMinimalLength
            | Violation::NegativeLength
            | Violation::ShortClose
            | Violation::CloseCode => CloseCode::PROTOCOL_ERROR,
        }
    }
}

/// Why the server ended a connection, where it was not the peer that did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The request was answered with this status code instead of 101.
    Refused(u16),
    /// The request head was not whole in time.
    Handshake,
    /// The peer broke the protocol.
    Violation(Violation),
    /// The peer was silent for the idle timeout.
    Idle,
    /// The peer acknowledged nothing of what it was owed for the stall timeout.
    Stalled,
    /// The peer kept most of the memory for what is queued, and that was spent.
    Memory,
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Refused(status) => write!(formatter, "the request was refused with {status}"),
            Cause::Handshake => write!(formatter, "the request did not come in time"),
            Cause::Violation(violation) => {
                write!(
                    formatter,
                    "closed with {}: {violation:?}",
                    violation.close_code()
                )
            }
            Cause::Idle => write!(formatter, "closed for silence"),
            Cause::Stalled => write!(
                formatter,
                "reset: it is owed something, and acknowledges nothing"
            ),
            Cause::Memory => write!(
                formatter,
                "reset: it reads too little, and --buffer-memory is spent"
            ),
        }
    }
}

//! Close codes, violations (what the peer did wrong), and how a connection's end is told.

use std::fmt;

use super::handshake::Refusal;

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
    /// The server restarts: come again (registered with IANA).
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);

    /// The code, if it may stand in a Close frame: registered for use on the wire (1000-1003,
    /// 1007-1014) or in the ranges for libraries and applications (3000-4999).
    pub fn from_wire(code: u16) -> Option<CloseCode> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(CloseCode(code))
    }

    /// The code as it stands in a Close frame.
    pub const fn to_wire(self) -> u16 {
        self.0
    }

    /// The whole Close frame that carries this code alone, as a server sends it: unmasked.
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
    /// A reserved bit is set and no extension gives it a meaning there (RFC 6455, section 5.2; RFC 7692, section 6).
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
    /// A compressed text that is no DEFLATE data, or ends within it (RFC 7692, section 7.2.2).
    Deflate,
    /// A message above the configured maximum.
    MessageTooBig,
}

impl Violation {
    /// All there are, in the order of their declaration.
    pub const ALL: [Violation; 15] = [
        Violation::ReservedBits,
        Violation::ReservedOpcode,
        Violation::Unmasked,
        Violation::FragmentedControl,
        Violation::LongControl,
        Violation::UnexpectedContinuation,
        Violation::ExpectedContinuation,
        Violation::NonMinimalLength,
        Violation::NegativeLength,
        Violation::ShortClose,
        Violation::CloseCode,
        Violation::CloseReason,
        Violation::Utf8,
        Violation::Deflate,
        Violation::MessageTooBig,
    ];

    /// The code of the Close that answers it.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Violation::CloseReason | Violation::Utf8 | Violation::Deflate => {
                CloseCode::INVALID_PAYLOAD
            }
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

    /// The same in words, for the Close and the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Violation::ReservedBits => "reserved bits set",
            Violation::ReservedOpcode => "reserved opcode",
            Violation::Unmasked => "unmasked frame",
            Violation::FragmentedControl => "fragmented control frame",
            Violation::LongControl => "control frame over 125 bytes",
            Violation::UnexpectedContinuation => "continuation without a message",
            Violation::ExpectedContinuation => "new message inside a message",
            Violation::NonMinimalLength => "length not in its shortest form",
            Violation::NegativeLength => "length with its highest bit set",
            Violation::ShortClose => "Close of one byte",
            Violation::CloseCode => "invalid close code",
            Violation::CloseReason => "close reason is not UTF-8",
            Violation::Utf8 => "text is not UTF-8",
            Violation::Deflate => "compressed data is broken",
            Violation::MessageTooBig => "message too big",
        }
    }
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer has been silent for too long.
    Idle,
    /// The server is going down, with this code.
    Drain(CloseCode),
    /// The peer broke the protocol.
    Violation(Violation),
}

impl Ending {
    /// The code of the Close.
    pub const fn code(self) -> CloseCode {
        match self {
            Ending::Idle => CloseCode::GOING_AWAY,
            Ending::Drain(code) => code,
            Ending::Violation(violation) => violation.close_code(),
        }
    }

    /// The reason in the Close (RFC 6455, section 7.1.6): ASCII, far below the 123 bytes that fit.
    pub const fn reason(self) -> &'static str {
        match self {
            Ending::Idle => "idle",
            Ending::Drain(CloseCode::SERVICE_RESTART) => "restarting",
            Ending::Drain(_) => "going away",
            Ending::Violation(violation) => violation.reason(),
        }
    }
}

/// What the operator is told of a connection that the server ended, or never served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The request was answered with this instead of 101.
    Refused(Refusal),
    /// The session was closed in words.
    Closed(Ending),
    /// The peer acknowledged nothing of what it was owed for the stall timeout.
    Stalled,
    /// The peer kept most of the memory for what is queued, and that was spent.
    Memory,
    /// TLS cannot go on under it, for this reason, which begins with a verb.
    Tls(&'static str),
    /// What a load balancer puts in front of its connections was not in order, or did not come.
    Preface(&'static str),
}

impl Cause {
    /// What it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::Refused(_) => "refused",
            Cause::Closed(Ending::Violation(_)) => "violation",
            Cause::Closed(_) => "closed",
            Cause::Stalled => "stalled",
            Cause::Memory => "memory",
            Cause::Tls(_) => "tls",
            Cause::Preface(_) => "preface",
        }
    }

    /// The status or the code that the peer was told, if any.
    pub fn code(&self) -> Option<u16> {
        match self {
            Cause::Refused(refusal) => Some(refusal.status()),
            Cause::Closed(ending) => Some(ending.code().to_wire()),
            Cause::Stalled | Cause::Memory | Cause::Tls(_) | Cause::Preface(_) => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Refused(refusal) => {
                let (status, reason) = (refusal.status(), refusal.reason());
                write!(formatter, "refused with {status}: {reason}")
            }
            Cause::Closed(ending) => {
                write!(
                    formatter,
                    "closed with {}: {}",
                    ending.code(),
                    ending.reason()
                )
            }
            Cause::Stalled => write!(formatter, "reset: acknowledges nothing of what it is owed"),
            Cause::Memory => {
                write!(
                    formatter,
                    "reset: reads too little, and --buffer-memory is spent"
                )
            }
            Cause::Tls(why) => write!(formatter, "TLS: {why}"),
            Cause::Preface(why) => write!(formatter, "PROXY protocol: {why}"),
        }
    }
}

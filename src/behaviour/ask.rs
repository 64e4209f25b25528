//! What is asked for.

mod read;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::protocol::CloseCode;

/// What a path and its query ask for, every value within its bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// How the upgrade is answered: `status`, `redirect`, or as usual.
    pub answer: Answer,
    /// `slow-handshake`: how long the answer to the upgrade takes.
    pub slow_handshake: Duration,
    /// `subprotocol`: agreed to, whether the client offers it or not.
    pub subprotocol: Option<String>,
    /// `auth`: who does not show these gets a 401.
    pub credentials: Option<Credentials>,
    /// `greet`: a text message to begin with.
    pub greeting: Option<Greeting>,
    /// What messages are sent.
    pub source: Source,
    /// `upper`: a to z become A to Z.
    pub upper: bool,
    /// `time`: the server's clock is put in front of each message, in microseconds since 1970: in digits and a space
    /// before text, in eight bytes (big endian) before binary.
    pub time: bool,
    /// `fragment`: the payload of a frame has at most so many bytes.
    pub fragment: Option<usize>,
    /// `coalesce`: answers are kept until there are so many, or for a moment, and leave in one write.
    pub coalesce: Option<u32>,
    /// `delay`: how long each answer is kept back.
    pub delay: Duration,
    /// `jitter`: at most so much more, at random; the order stays.
    pub jitter: Duration,
    /// `drip`: what is sent leaves in small pieces.
    pub drip: Option<Drip>,
    /// `ping`: a Ping with this payload (at most 125 bytes) comes again and again, so long after the one before.
    pub ping: Option<(Duration, String)>,
    /// `no-pong`: a Ping is not answered.
    pub no_pong: bool,
    /// How it ends, and when.
    pub end: Option<(End, After)>,
}

/// How an upgrade is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// With a 101.
    #[default]
    Switch,
    /// `status`: with this status code, 200 to 599.
    Status(u16),
    /// `redirect`: with a 302 to this path or `ws:` or `wss:` address.
    Redirect(String),
}

/// What a client has to show in `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Any user with the password `password` (RFC 7617).
    Basic,
    /// This token (RFC 6750).
    Bearer(String),
}

/// A text message to begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The text.
    pub text: String,
    /// Whether it leaves in one write with the 101.
    pub glued: bool,
}

/// What messages are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// What comes.
    #[default]
    Echo,
    /// Nothing at all, not even a Pong or a Close.
    Silent,
    /// `count`: 1, 2, 3 as text, then Close 1000. What comes is echoed in between.
    Count {
        /// The last number.
        n: u32,
        /// The time from one to the next.
        every: Duration,
    },
    /// `huge`: one binary message of so many bytes, made as it is sent, then echoes.
    Huge {
        /// Its payload.
        bytes: u64,
    },
    /// `whoami`: a text message with what the server knows of the client, as JSON, then echoes.
    Whoami,
    /// `frames`: what comes, and before it a text message with its frames as they came, as JSON.
    Frames,
    /// `broadcast`: what anybody in this room sends.
    Broadcast {
        /// The name of the room.
        room: String,
    },
}

/// Small pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drip {
    /// How many bytes leave at once.
    pub bytes: usize,
    /// The time from one piece to the next.
    pub every: Duration,
}

/// How a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// `close`: with a Close, with this code and reason.
    Close {
        /// The code; none: the Close has no payload.
        code: Option<CloseCode>,
        /// At most 123 bytes.
        reason: String,
    },
    /// `reset`: RST.
    Reset,
    /// `half-close`: FIN without a Close. What comes is still read.
    HalfClose,
    /// `bad`: with something that no server should send; what happens then is the client's affair.
    Bad(Bad),
}

/// When it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Once so many messages have been answered; 0: at once.
    Messages(u32),
    /// So long after the 101.
    Time(Duration),
}

/// What no server should send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// A wrong `Sec-WebSocket-Accept`.
    Accept,
    /// A frame with a reserved bit set that no extension gave a meaning.
    Rsv,
    /// A frame with opcode 3.
    Opcode,
    /// A text message that is no UTF-8.
    Utf8,
    /// A frame with a length of 64 bits whose highest is set.
    Length,
    /// A masked frame.
    Mask,
    /// A Ping without FIN.
    ControlFragment,
    /// A message whose last fragment never comes, and then another.
    Unfinished,
    /// A Close with the code 1005, which must not be sent.
    CloseCode,
    /// A Close whose reason is no UTF-8.
    CloseReason,
}

/// Why nothing can be done with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// 404 where there is no such behaviour, 400 where a value is not right.
    pub status: u16,
    /// What is wrong, and what would be right: a line that ends.
    pub text: String,
}

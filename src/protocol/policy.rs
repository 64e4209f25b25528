//! What the operator decided about every connection. Plain values; who reads flags is elsewhere.

use std::sync::Arc;
use std::time::Duration;

use super::guests::Guests;
use super::moment::WallClock;

/// When a greeting is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GreetingAfter {
    /// In the same send as the 101. Some clients lose a frame that comes with the 101.
    Handshake,
    /// In a send of its own, in the next turn of the event loop.
    Turn,
    /// This long after the 101, or before the first answer if a message comes sooner.
    Delay(Duration),
}

/// The longest greeting or prefix, in bytes: one slab must hold it beside its header.
pub const TEXT_BYTES_MAX: usize = 4096;

/// The name that stands for every subprotocol.
pub const ANY_SUBPROTOCOL: &str = "*";

/// A path, with everything below it, at which a WebSocket is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The path, without a slash at its end.
    pub path: String,
    /// Whether Engine.IO is spoken there, the layer under Socket.IO.
    pub speaks_engine_io: bool,
}

/// Which compressed messages are inflated, to be looked at: what is echoed is what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inflate {
    /// Text, since it has to be UTF-8.
    Text,
    /// None.
    Never,
}

/// The limits and manners of every session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The largest message accepted, over all its fragments, in bytes; none: no limit. A compressed text that is
    /// inflated is measured as it is then, any other message as it comes.
    pub message_bytes_max: Option<u64>,
    /// From accept to the end of the request head; no byte resets it.
    pub handshake_timeout: Duration,
    /// Silence before the connection is given up; a ping is sent at half of it. None: forever.
    pub idle_timeout: Option<Duration>,
    /// How long a closing connection may take to finish.
    pub linger_timeout: Duration,
    /// How long a peer that is owed something may go without acknowledging a byte before it is given up.
    pub stall_timeout: Duration,
    /// Whether a Close of the server's own says in words why.
    pub close_reasons: bool,
    /// The text message sent on connect.
    pub greeting: Option<String>,
    /// When it is sent.
    pub greeting_after: GreetingAfter,
    /// The text put in front of every message, which is then answered as text.
    pub prefix: Option<Arc<str>>,
    /// What is done with compressed messages (permessage-deflate, RFC 7692). None: they are not agreed to, and
    /// neither are they where there is a prefix.
    pub deflate: Option<Inflate>,
    /// Subprotocols accepted: the first that the client offers and this names. [`ANY_SUBPROTOCOL`]
    /// names all of them, an empty list none.
    pub subprotocols: Vec<String>,
    /// Whether somebody is there who answers ordinary HTTP: such a request is handed over rather than refused.
    pub http: bool,
    /// Where he answers WebSockets, too. Asked only where there is such a somebody.
    pub elsewhere: Vec<Elsewhere>,
    /// Who may come, and how much each may send. None: everyone may, and as much as it likes.
    pub guests: Option<Arc<Guests>>,
    /// Asked only to date a refusal. None: a server without a clock, which sends no `Date` (RFC 9110,
    /// section 6.6.1).
    pub wall_clock: Option<WallClock>,
}

impl Policy {
    /// Whether Engine.IO is spoken at some path.
    pub fn speaks_engine_io(&self) -> bool {
        self.http && self.elsewhere.iter().any(|place| place.speaks_engine_io)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            message_bytes_max: None,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_secs(60)),
            linger_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            close_reasons: true,
            greeting: None,
            greeting_after: GreetingAfter::Delay(Duration::from_millis(20)),
            prefix: None,
            deflate: Some(Inflate::Text),
            subprotocols: vec![ANY_SUBPROTOCOL.to_owned()],
            http: false,
            elsewhere: Vec::new(),
            guests: None,
            wall_clock: None,
        }
    }
}

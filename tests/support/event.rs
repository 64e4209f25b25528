//! What a peer sees, in the words of RFC 6455: the common tongue of the oracle and the reply reader.

use std::fmt;

/// A status code, or the lack of one, in a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseSeen {
    /// A Close without a payload.
    Empty,
    /// A Close with this code.
    Code(u16),
}

/// A message, or part of one.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Whether its first frame says text.
    pub(crate) text: bool,
    /// Whether its first frame says that it is compressed.
    pub(crate) compressed: bool,
    /// Its bytes, as they come.
    pub(crate) bytes: Vec<u8>,
    /// Where its frames end, as offsets into `bytes`. The last is the length of a whole message.
    pub(crate) frame_ends: Vec<usize>,
}

/// A thing that happened whole.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message was completed.
    Message(Message),
    /// A Pong, and how many bytes of the message around it came before it.
    Pong {
        payload: Vec<u8>,
        inside: Option<usize>,
    },
    /// A Ping of the server's own.
    Ping(Vec<u8>),
}

/// Everything that happened on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// In the order of the wire.
    pub(crate) events: Vec<Event>,
    /// A message that was begun and not ended.
    pub(crate) partial: Option<Message>,
    /// The Close that ended it; none: it is open.
    pub(crate) close: Option<CloseSeen>,
    /// Its reason. Of what must be seen: each that is right, where several faults come at once.
    pub(crate) reasons: Vec<String>,
}

impl Outcome {
    /// The whole messages.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.events.iter().filter_map(|event| match event {
            Event::Message(message) => Some(message),
            Event::Pong { .. } | Event::Ping(_) => None,
        })
    }
}

/// Enough of `bytes` to recognise them by.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(24)];
    format!("{} B {:?}", bytes.len(), String::from_utf8_lossy(shown))
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.text { "text" } else { "binary" };
        let ends = &self.frame_ends[..self.frame_ends.len().min(8)];
        let compressed = if self.compressed { "compressed " } else { "" };
        write!(
            formatter,
            "{compressed}{kind} {} ends {ends:?}",
            excerpt(&self.bytes)
        )
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Message(message) => message.fmt(formatter),
            Event::Pong { payload, inside } => {
                write!(formatter, "pong {} inside {inside:?}", excerpt(payload))
            }
            Event::Ping(payload) => write!(formatter, "ping {}", excerpt(payload)),
        }
    }
}

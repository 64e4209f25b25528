//! The same bytes to this server and to libraries that others wrote: the same messages come of them, and the same end,
//! but for differences that are known.

mod fastwebsockets;
mod tungstenite;

use std::fmt;

use ringback::protocol::Policy;

use crate::support::event::CloseSeen;
use crate::support::pretend::Pretend;
use crate::support::{replies, request};

/// No message here is larger, in bytes, and none may be: libraries make room for a message before it has come.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A message: whether it is text, and its bytes.
type Message = (bool, Vec<u8>);

/// What came of a stream.
#[derive(Debug, Default)]
struct Heard {
    messages: Vec<Message>,
    /// The Close that is sent; none as long as there is nothing to send one for.
    close: Option<CloseSeen>,
    /// Why, where it is this server's.
    reason: String,
}

impl Heard {
    fn refuses(&self) -> bool {
        !self.reason.is_empty()
    }

    fn closes_with(&self, code: u16) -> bool {
        self.close == Some(CloseSeen::Code(code))
    }
}

/// A library that does otherwise, and is known to.
pub(crate) struct Difference {
    library: &'static str,
    /// What it does, in words.
    what: &'static str,
    /// Whether this is it: what this server heard, and what the library did.
    is_it: fn(&Heard, &Heard) -> bool,
}

impl fmt::Display for Difference {
    /// As a row of the document's table.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { library, what, .. } = self;
        write!(formatter, "| {library} | {what} |")
    }
}

pub(crate) fn differences() -> impl Iterator<Item = &'static Difference> {
    tungstenite::DIFFERENCES
        .iter()
        .chain(fastwebsockets::DIFFERENCES)
}

pub fn check_tungstenite(bytes: &[u8]) {
    compare(bytes, &tungstenite::hear(bytes), tungstenite::DIFFERENCES);
}

pub fn check_fastwebsockets(bytes: &[u8]) {
    compare(
        bytes,
        &fastwebsockets::hear(bytes),
        fastwebsockets::DIFFERENCES,
    );
}

/// What this server hears.
fn hear(stream: &[u8]) -> Heard {
    let policy = Policy {
        message_bytes_max: Some(MESSAGE_BYTES_MAX as u64),
        ..Policy::default()
    };
    let mut pretend = Pretend::open(&policy);
    pretend.feed(&request::upgrade());
    pretend.sent.clear();
    pretend.feed(stream);
    let outcome = replies::read(&pretend.release())
        .expect("strict frames")
        .outcome;
    Heard {
        messages: outcome
            .messages()
            .map(|message| (message.text, message.bytes.clone()))
            .collect(),
        close: outcome.close,
        reason: outcome.reasons.concat(),
    }
}

fn compare(stream: &[u8], theirs: &Heard, known: &[Difference]) {
    let ours = hear(stream);
    let is_same = ours.messages == theirs.messages && ours.close == theirs.close;
    // Where this server refuses a frame at its first wrong byte, a library has not seen enough that looks at whole ones.
    let is_later = ours.messages == theirs.messages
        && ours.refuses()
        && theirs.close.is_none()
        && ends_in_a_frame(stream);
    let is_known = || known.iter().any(|it| (it.is_it)(&ours, theirs));
    assert!(
        is_same || is_later || is_known(),
        "{ours:?}\nand they\n{theirs:?}"
    );
}

/// Whether the last frame of `stream` is not whole, as far as lengths can be trusted.
fn ends_in_a_frame(mut stream: &[u8]) -> bool {
    while let [_, second, rest @ ..] = stream {
        let key = if second & 0x80 == 0 { 0 } else { 4 };
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(field) = rest.get(..extended) else {
            return true;
        };
        let long = field
            .iter()
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        let length = if extended == 0 {
            u64::from(second & 0x7f)
        } else {
            long
        };
        let frame = usize::try_from(length)
            .ok()
            .and_then(|it| it.checked_add(extended + key));
        match frame.and_then(|frame| rest.get(frame..)) {
            Some(rest) => stream = rest,
            None => return true,
        }
    }
    !stream.is_empty()
}

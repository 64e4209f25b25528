//! How a session ended.

use std::fmt;
use std::io::ErrorKind;

use crate::wire::failure::Failure;

/// The end of a session in which all was said and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The Close was answered by a Close, and then the server ended the stream; over bare TCP, the server
    /// ended the stream after the client had.
    Orderly,
    /// The same, but the server reset the connection instead of ending the stream.
    Reset,
}

/// What a session that failed saw last of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A reset.
    Reset,
    /// The end of the stream, without a Close before it.
    EndOfStream,
    /// Something else: a refusal, a wrong reply, silence.
    Other,
}

/// The end of a session that failed.
#[derive(Debug)]
pub(crate) struct Ending {
    /// What was seen of the connection.
    pub(crate) cut: Cut,
    /// What went wrong.
    pub(crate) failure: Failure,
}

#[cfg(test)]
impl Ending {
    /// Something took too long.
    pub(crate) fn timed_out(sentence: String) -> Ending {
        Failure::Late(sentence).into()
    }
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Ending {
        let cut = match &failure {
            Failure::Io(_, error) if error.kind() == ErrorKind::ConnectionReset => Cut::Reset,
            _ => Cut::Other,
        };
        Ending { cut, failure }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

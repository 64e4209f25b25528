//! How a visit ended.

use std::fmt;
use std::io;

use crate::dial::address;
use crate::wire::failure::Failure;

/// The end of a visit in which all was said and answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The Close was answered by a Close, and then the server ended the stream; over bare TCP, the server
    /// ended the stream after the client had.
    Orderly,
    /// The same, but the server reset the connection instead of ending the stream.
    Reset,
}

/// What a visit that failed saw last of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A reset.
    Reset,
    /// The end of the stream, without a Close before it.
    EndOfStream,
    /// Something else: a refusal, a wrong reply, silence.
    Other,
}

/// The end of a visit that failed.
#[derive(Debug)]
pub(crate) struct Ending {
    /// What was seen of the connection.
    pub(crate) cut: Cut,
    /// What went wrong.
    pub(crate) failure: Failure,
}

impl Ending {
    /// The connection could not be made.
    pub(crate) fn connecting(error: io::Error) -> Ending {
        let is_reset = error.kind() == io::ErrorKind::ConnectionReset;
        Ending {
            cut: if is_reset { Cut::Reset } else { Cut::Other },
            failure: address::connecting(error),
        }
    }

    /// The server reset the connection.
    pub(crate) fn reset(failure: Failure) -> Ending {
        let cut = Cut::Reset;
        Ending { cut, failure }
    }

    /// The server ended the stream too early.
    pub(crate) fn end_of_stream(failure: Failure) -> Ending {
        let cut = Cut::EndOfStream;
        Ending { cut, failure }
    }

    /// Something took too long.
    pub(crate) fn timed_out(sentence: String) -> Ending {
        Failure::Late(sentence).into()
    }
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Ending {
        let cut = Cut::Other;
        Ending { cut, failure }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

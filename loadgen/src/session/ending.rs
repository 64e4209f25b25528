//! How a visit ended.

use std::io;

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
    /// What went wrong, as one sentence.
    pub(crate) sentence: String,
}

impl Ending {
    /// The connection could not be made.
    pub(crate) fn connecting(error: io::Error) -> Ending {
        let doing = match error.kind() {
            io::ErrorKind::AddrNotAvailable => {
                "connecting (no source port is free: closed connections hold theirs for a minute)"
            }
            _ => "connecting",
        };
        let cut = match error.kind() {
            io::ErrorKind::ConnectionReset => Cut::Reset,
            _ => Cut::Other,
        };
        Ending {
            cut,
            sentence: Failure::Io(doing, error).to_string(),
        }
    }

    /// The server reset the connection.
    pub(crate) fn reset(failure: &Failure) -> Ending {
        Ending {
            cut: Cut::Reset,
            sentence: failure.to_string(),
        }
    }

    /// The server ended the stream too early.
    pub(crate) fn end_of_stream(failure: &Failure) -> Ending {
        Ending {
            cut: Cut::EndOfStream,
            sentence: failure.to_string(),
        }
    }

    /// Something took too long.
    pub(crate) fn timed_out(sentence: String) -> Ending {
        Ending {
            cut: Cut::Other,
            sentence,
        }
    }
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Ending {
        Ending {
            cut: Cut::Other,
            sentence: failure.to_string(),
        }
    }
}

//! The line between the two processes: frames with descriptors, on a pair of Unix sockets.
//!
//! ```text
//! kind 1 | length of the rest 4 | rest
//! ```
//!
//! A word is JSON, so that the first of them can be read by whatever version there will be; connections are bytes.
//! Descriptors go with the first byte of a frame.

use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::sys::pass;

/// The kinds of frames.
const WORD: u8 = b'w';
const CONNECTIONS: u8 = b'c';

/// A frame's head, in bytes.
const HEAD_BYTES: usize = 5;

/// No word is longer, in bytes.
const WORD_BYTES_MAX: usize = 1 << 20;

/// What the two processes say to each other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// The successor is there.
    Hello(Hello),
    /// What is listened on. The descriptors come in the same order, with this and with as many `Sockets` as it takes.
    Listeners(Vec<Listening>),
    /// More of those descriptors.
    Sockets,
    /// The successor's workers wait to be told to accept.
    Ready {
        /// How many connections it has descriptors for; none: any number.
        room: Option<usize>,
        /// By number, which of those addresses it does not listen on.
        unused: Vec<usize>,
    },
    /// From here on the successor accepts, and the other does not.
    Begin {
        /// How many places among all connections are taken by those to come.
        places: usize,
    },
    /// The connections that came last are the successor's, but those of these numbers, which the other keeps.
    Taken { without: Vec<usize> },
    /// All connections have come that can; a few may follow, from those who were elsewhere.
    Done {
        /// How many stay.
        staying: usize,
    },
}

/// Who the successor is. Whatever else changes, this is read by every version.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Of what is said here.
    pub(super) protocol: u16,
    /// Of what is carried of a connection.
    pub(super) encoding: u16,
    /// Of the program, for people.
    pub(super) version: String,
}

/// What is listened on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listening {
    /// By what it is known.
    pub(super) label: crate::serve::listeners::Label,
    /// Whether TLS is spoken there.
    pub(super) tls: bool,
    /// How many sockets there are.
    pub(super) sockets: usize,
}

/// What has come.
#[derive(Debug)]
pub(super) enum Frame {
    Word(Word),
    Connections(Vec<u8>),
}

/// One end of the line.
#[derive(Debug)]
pub(super) struct Line(UnixStream);

impl Line {
    pub(super) fn new(socket: UnixStream) -> Self {
        Line(socket)
    }

    /// The other end of a new line, and this one.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Line(ours), theirs.into()))
    }

    /// Has both ends hear and say nothing more, whoever waits: what has come can still be read.
    pub(super) fn cut(&self) {
        // It may have been cut by the other end.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Line)
    }

    /// Says a word.
    pub(super) fn say(&self, word: &Word) -> Result<(), Failure> {
        self.say_with(word, &[])
    }

    /// Says a word, with descriptors.
    pub(super) fn say_with(&self, word: &Word, with: &[BorrowedFd<'_>]) -> Result<(), Failure> {
        let word = serde_json::to_vec(word).map_err(io::Error::from)?;
        self.send(WORD, &word, with)
    }

    /// Sends connections.
    pub(super) fn send_connections(
        &self,
        bytes: &[u8],
        sockets: &[BorrowedFd<'_>],
    ) -> Result<(), Failure> {
        self.send(CONNECTIONS, bytes, sockets)
    }

    fn send(&self, kind: u8, rest: &[u8], with: &[BorrowedFd<'_>]) -> Result<(), Failure> {
        let length = u32::try_from(rest.len()).map_err(|_| Failure::Foreign("too long a frame"))?;
        let mut head = [0; HEAD_BYTES];
        head[0] = kind;
        head[1..].copy_from_slice(&length.to_be_bytes());
        let sent = pass::send(&self.0, &head, with)?;
        (&self.0).write_all(&head[sent..])?;
        (&self.0).write_all(rest)?;
        Ok(())
    }

    /// Waits for what comes next, for at most `patience`; none: as long as the other end lives.
    pub(super) fn hear(
        &self,
        patience: Option<Duration>,
    ) -> Result<(Frame, Vec<OwnedFd>), Failure> {
        self.0.set_read_timeout(patience)?;
        self.0.set_write_timeout(patience)?;
        let mut head = [0; HEAD_BYTES];
        let mut descriptors = Vec::new();
        let mut read = 0;
        while read < HEAD_BYTES {
            let received = pass::receive(&self.0, &mut head[read..])?;
            if received.bytes == 0 {
                return Err(Failure::Gone);
            }
            read += received.bytes;
            descriptors.extend(received.descriptors);
        }
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length) as usize;
        let is_known = match kind {
            WORD => length <= WORD_BYTES_MAX,
            kind => kind == CONNECTIONS,
        };
        if !is_known {
            return Err(Failure::Foreign("a frame that there is none of"));
        }
        let mut rest = Vec::new();
        (&self.0).take(length as u64).read_to_end(&mut rest)?;
        if rest.len() < length {
            return Err(Failure::Gone);
        }
        let frame = if kind == CONNECTIONS {
            Frame::Connections(rest)
        } else {
            let word = serde_json::from_slice(&rest);
            Frame::Word(word.map_err(|_| Failure::Foreign("a word that there is none of"))?)
        };
        Ok((frame, descriptors))
    }

    /// Waits for a word.
    pub(super) fn hear_word(&self, patience: Duration) -> Result<(Word, Vec<OwnedFd>), Failure> {
        match self.hear(Some(patience))? {
            (Frame::Word(word), descriptors) => Ok((word, descriptors)),
            (Frame::Connections(_), _) => Err(Failure::Foreign("connections")),
        }
    }
}

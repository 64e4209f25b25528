//! What tungstenite hears.

use std::io::{self, Read, Write};

use tokio_tungstenite::tungstenite::WebSocket;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::{Difference, Heard, MESSAGE_BYTES_MAX};
use crate::support::event::CloseSeen;

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        library: "tungstenite",
        what: "answers Close 1014 (bad gateway) with 1002, as if there were no such code",
        is_it: |ours, theirs| ours.closes_with(1014) && theirs.closes_with(1002),
    },
    Difference {
        library: "tungstenite",
        what: "takes lengths that are not in their shortest form, those of control frames too",
        is_it: |ours, _| {
            let written_long = [
                "length not in its shortest form",
                "control frame over 125 bytes",
            ];
            written_long.contains(&&*ours.reason)
        },
    },
    Difference {
        library: "tungstenite",
        what: "looks at the length first: a frame that is wrong and claims too much gets 1009, not 1002",
        is_it: |ours, theirs| ours.closes_with(1002) && ours.refuses() && theirs.closes_with(1009),
    },
    Difference {
        library: "tungstenite",
        what: "of a Close with a code and a reason that are both wrong it says 1007, not 1002",
        is_it: |ours, theirs| ours.reason == "invalid close code" && theirs.closes_with(1007),
    },
];

/// What a peer has sent so far; more may come. What is sent to it is nobody's.
struct Stream<'a>(&'a [u8]);

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn hear(stream: &[u8]) -> Heard {
    let config = WebSocketConfig::default()
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_message_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocket::from_raw_socket(Stream(stream), Role::Server, Some(config));
    let mut heard = Heard::default();
    let close = loop {
        match socket.read() {
            Ok(Message::Text(text)) => heard.messages.push((true, text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => heard.messages.push((false, bytes.to_vec())),
            Ok(Message::Close(None)) => break Some(CloseSeen::Empty),
            Ok(Message::Close(Some(frame))) => break Some(CloseSeen::Code(frame.code.into())),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break None,
            Err(Error::Utf8(_)) => break Some(CloseSeen::Code(1007)),
            Err(Error::Capacity(_)) => break Some(CloseSeen::Code(1009)),
            Err(_) => break Some(CloseSeen::Code(1002)),
        }
    };
    Heard { close, ..heard }
}

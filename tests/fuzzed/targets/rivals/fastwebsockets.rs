//! What fastwebsockets hears.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError};
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Difference, Heard, MESSAGE_BYTES_MAX};
use crate::support::event::CloseSeen;

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        library: "fastwebsockets",
        what: "answers Close 1014 (bad gateway) with 1002, as if there were no such code",
        is_it: |ours, theirs| ours.closes_with(1014) && theirs.closes_with(1002),
    },
    Difference {
        library: "fastwebsockets",
        what: "takes lengths that are not in their shortest form",
        is_it: |ours, _| ours.reason == "length not in its shortest form",
    },
    Difference {
        library: "fastwebsockets",
        what: "looks at the length first: a frame that is wrong and claims too much gets 1009, not 1002",
        is_it: |ours, theirs| ours.closes_with(1002) && ours.refuses() && theirs.closes_with(1009),
    },
    Difference {
        library: "fastwebsockets",
        what: "takes frames that are not masked",
        is_it: |ours, _| ours.reason == "unmasked frame",
    },
    Difference {
        library: "fastwebsockets",
        what: "takes a Close or a Pong of more than 125 bytes",
        is_it: |ours, _| ours.reason == "control frame over 125 bytes",
    },
    Difference {
        library: "fastwebsockets",
        what: "of a Close with a code and a reason that are both wrong it says 1007, not 1002",
        is_it: |ours, theirs| ours.reason == "invalid close code" && theirs.closes_with(1007),
    },
    Difference {
        library: "fastwebsockets",
        what: "takes an unfinished message amid another, which is then lost",
        is_it: |ours, _| ours.reason == "new message inside a message",
    },
    Difference {
        library: "fastwebsockets",
        what: "takes a fragmented text that ends within a character, without the bytes of that",
        is_it: |ours, theirs| {
            ours.reason == "text is not UTF-8" && theirs.messages.len() > ours.messages.len()
        },
    },
];

/// What a peer has sent so far; more may come. What is sent to it is nobody's.
struct Stream<'a>(&'a [u8]);

impl AsyncRead for Stream<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(into.remaining()));
        if now.is_empty() {
            return Poll::Pending;
        }
        into.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

pub(super) fn hear(stream: &[u8]) -> Heard {
    let mut socket = WebSocket::after_handshake(Stream(stream), Role::Server);
    // What it says is too large is one byte less.
    socket.set_max_message_size(MESSAGE_BYTES_MAX + 1);
    let mut socket = FragmentCollector::new(socket);
    let mut heard = Heard::default();
    let close = loop {
        // It waits for nothing but bytes.
        match socket.read_frame().now_or_never() {
            None => break None,
            Some(Ok(frame)) => match frame.opcode {
                OpCode::Text => heard.messages.push((true, frame.payload.to_vec())),
                OpCode::Binary => heard.messages.push((false, frame.payload.to_vec())),
                OpCode::Close => break Some(close_seen(&frame.payload)),
                OpCode::Continuation | OpCode::Ping | OpCode::Pong => {}
            },
            Some(Err(WebSocketError::InvalidUTF8)) => break Some(CloseSeen::Code(1007)),
            Some(Err(WebSocketError::FrameTooLarge)) => break Some(CloseSeen::Code(1009)),
            Some(Err(_)) => break Some(CloseSeen::Code(1002)),
        }
    };
    Heard { close, ..heard }
}

fn close_seen(payload: &[u8]) -> CloseSeen {
    match payload {
        [high, low, ..] => CloseSeen::Code(u16::from_be_bytes([*high, *low])),
        _ => CloseSeen::Empty,
    }
}

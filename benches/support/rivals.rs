//! Echo servers of other libraries, each as its own documentation has it at its fastest.
//!
//! A rival is told how many frames a batch has, so it never asks for more than there is, and flushes
//! once, where it has a buffer to flush.

use fastwebsockets::{Frame, Role, WebSocket};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite;
use tokio_websockets::{ServerBuilder, WebSocketStream};

use super::memory::{Memory, ready};
use super::streams::Stream;

/// An upgraded connection on which the same stream comes again and again.
pub(crate) trait Echo: Sized {
    /// How it is called in a report.
    const NAME: &'static str;

    /// `keeping`: the replies are to be looked at, not timed.
    fn new(stream: &'static Stream, keeping: bool) -> Self;

    /// Takes the stream in once, and answers it.
    fn echo(&mut self);

    /// All replies, one after another.
    fn into_replies(self) -> Vec<u8>;
}

/// Makes sure that `E` answers as it must, at first and when its buffers are warm.
///
/// # Panics
/// If it does not.
pub(crate) fn verify<E: Echo>(stream: &'static Stream) {
    let mut echo = E::new(stream, true);
    echo.echo();
    echo.echo();
    let replies = echo.into_replies();
    let right = replies == stream.replies.repeat(2);
    assert!(right, "{} answers {:?} wrongly", E::NAME, stream.name);
}

fn peer(stream: &'static Stream, keeping: bool) -> Memory {
    let peer = Memory::endless(&stream.bytes);
    if keeping { peer.keeping() } else { peer }
}

/// Frame by frame, without its collector of fragments, which only adds to it. A frame as read still has
/// its masking key, and would be sent with it: the answer is a new frame around the same payload.
/// Vectored writes above 1 KiB, as is its default; it has no write buffer, and its read buffer is not
/// ours to choose.
pub(crate) struct Fastwebsockets {
    socket: WebSocket<Memory>,
    frames: usize,
}

impl Echo for Fastwebsockets {
    const NAME: &'static str = "fastwebsockets";

    fn new(stream: &'static Stream, keeping: bool) -> Self {
        Fastwebsockets {
            socket: WebSocket::after_handshake(peer(stream, keeping), Role::Server),
            frames: stream.frames,
        }
    }

    fn echo(&mut self) {
        ready(async {
            for _ in 0..self.frames {
                let frame = self.socket.read_frame().await.expect("a frame");
                let answer = Frame::new(frame.fin, frame.opcode, None, frame.payload);
                self.socket.write_frame(answer).await.expect("memory");
            }
        });
    }

    fn into_replies(self) -> Vec<u8> {
        self.socket.into_inner().into_replies()
    }
}

/// With the smaller of the two read buffers that its documentation names (4 and 128 KiB): it is zeroed
/// before each read, and a read from memory costs nothing else, so here the smaller one is the faster
/// at every length.
pub(crate) struct Tungstenite {
    socket: tungstenite::WebSocket<Memory>,
    frames: usize,
}

impl Echo for Tungstenite {
    const NAME: &'static str = "tungstenite";

    fn new(stream: &'static Stream, keeping: bool) -> Self {
        let config = tungstenite::protocol::WebSocketConfig::default().read_buffer_size(4 << 10);
        let peer = peer(stream, keeping);
        let role = tungstenite::protocol::Role::Server;
        Tungstenite {
            socket: tungstenite::WebSocket::from_raw_socket(peer, role, Some(config)),
            frames: stream.frames,
        }
    }

    fn echo(&mut self) {
        for _ in 0..self.frames {
            let message = self.socket.read().expect("a message");
            self.socket.write(message).expect("memory");
        }
        self.socket.flush().expect("memory");
    }

    fn into_replies(self) -> Vec<u8> {
        self.socket.into_inner().into_replies()
    }
}

/// Flushes at 8 KiB, as is its default; its read buffer is not ours to choose.
pub(crate) struct TokioWebsockets {
    socket: WebSocketStream<Memory>,
    frames: usize,
}

impl Echo for TokioWebsockets {
    const NAME: &'static str = "tokio-websockets";

    fn new(stream: &'static Stream, keeping: bool) -> Self {
        TokioWebsockets {
            socket: ServerBuilder::new().serve(peer(stream, keeping)),
            frames: stream.frames,
        }
    }

    fn echo(&mut self) {
        ready(async {
            for _ in 0..self.frames {
                let message = self.socket.next().await.expect("open").expect("a message");
                self.socket.feed(message).await.expect("memory");
            }
            self.socket.flush().await.expect("memory");
        });
    }

    fn into_replies(self) -> Vec<u8> {
        self.socket.into_inner().into_replies()
    }
}

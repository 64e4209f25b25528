//! Messages out, echoes in, and the Close.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use futures_util::{FutureExt, SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::fault::{Fault, Step, explain, words};

/// What may come beside the echo's own bytes: a prefix.
const PREFIX_BYTES_MAX: usize = 64 * 1024;

/// Messages whose echo may still come, and which may wait to be sent.
const AWAITED_MAX: usize = 16;

/// An echo: of message `seq`, with a prefix perhaps, and after so long.
pub(super) struct Echo {
    pub(super) seq: u64,
    pub(super) bytes: usize,
    pub(super) seconds: f64,
}

/// A Close, as the peer sent it.
pub(super) struct Goodbye {
    pub(super) code: Option<u16>,
    pub(super) reason: String,
}

impl fmt::Display for Goodbye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) if self.reason.is_empty() => write!(f, "{code}"),
            Some(code) => write!(f, "{code}, {}", self.reason),
            None => write!(f, "no code"),
        }
    }
}

/// An open WebSocket.
pub(super) struct Talk {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    size: usize,
    random: RandomState,
    /// The number of each, what it says, and when it was sent; the newest first.
    awaited: VecDeque<(u64, String, Instant)>,
    /// The last message that was no echo, since the last that was sent.
    other: Option<Bytes>,
}

impl Talk {
    pub(super) async fn new(socket: TokioIo<Upgraded>, size: usize) -> Self {
        let most = size + PREFIX_BYTES_MAX;
        let config = WebSocketConfig::default()
            .max_message_size(Some(most))
            .max_frame_size(Some(most))
            .max_write_buffer_size(AWAITED_MAX * most);
        Talk {
            socket: WebSocketStream::from_raw_socket(socket, Role::Client, Some(config)).await,
            size,
            random: RandomState::new(),
            awaited: VecDeque::new(),
            other: None,
        }
    }

    /// Has message `seq` sent, which hearing does.
    pub(super) fn send(&mut self, seq: u64) {
        // No other message ends alike, nor anything a server would say by itself.
        let unique = format!("{:016x}", self.random.hash_one(seq));
        let text: String = unique.chars().cycle().take(self.size).collect();
        self.other = None;
        self.awaited.truncate(AWAITED_MAX - 1);
        self.awaited.push_front((seq, text.clone(), Instant::now()));
        // Whatever fails here, hearing fails as well.
        let _ = self.socket.start_send_unpin(Message::text(text));
    }

    /// The next echo. Nothing is lost when it is not waited for to the end.
    pub(super) async fn hear(&mut self) -> Result<Echo, Fault> {
        loop {
            let message = match self.next(Step::Echo).await? {
                Ok(message) => message,
                Err(end) => return Err(Step::Echo.fault(format!("the server closed: {end}"))),
            };
            let mut awaited = self.awaited.iter();
            let index = awaited.position(|(_, text, _)| message.ends_with(text.as_bytes()));
            if let Some((seq, _, sent)) = index.and_then(|index| self.awaited.remove(index)) {
                let (bytes, seconds) = (message.len(), sent.elapsed().as_secs_f64());
                return Ok(Echo {
                    seq,
                    bytes,
                    seconds,
                });
            }
            self.other = Some(message);
        }
    }

    /// What came instead of an echo since the last message was sent.
    pub(super) fn instead(&self) -> Option<String> {
        self.other.as_deref().map(words)
    }

    /// Says goodbye, and hears the peer's.
    pub(super) async fn close(&mut self) -> Result<Goodbye, Fault> {
        let (code, reason) = (CloseCode::Normal, Utf8Bytes::default());
        let goodbye = Message::Close(Some(CloseFrame { code, reason }));
        let _ = self.socket.start_send_unpin(goodbye);
        loop {
            if let Err(goodbye) = self.next(Step::Close).await? {
                return Ok(goodbye);
            }
        }
    }

    /// The next message, or the Close.
    async fn next(&mut self, step: Step) -> Result<Result<Bytes, Goodbye>, Fault> {
        loop {
            let next = poll_fn(|context| {
                // What was not taken at once goes out while the answer comes in.
                let _ = self.socket.poll_flush_unpin(context);
                self.socket.poll_next_unpin(context)
            });
            let why = match next.await {
                Some(Ok(Message::Close(frame))) => {
                    // The answer to it.
                    let _ = self.socket.flush().now_or_never();
                    let code = frame.as_ref().map(|it| it.code.into());
                    let reason = frame.map_or_else(String::new, |it| words(it.reason.as_bytes()));
                    return Ok(Err(Goodbye { code, reason }));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(message)) => return Ok(Ok(message.into_data())),
                Some(Err(error)) => broken(&error),
                None => "the connection is gone".to_owned(),
            };
            return Err(step.fault(why));
        }
    }
}

fn broken(error: &Error) -> String {
    use ProtocolError::{MaskedFrameFromServer, ResetWithoutClosingHandshake};
    let violation = match error {
        Error::Protocol(ResetWithoutClosingHandshake) => {
            return "the connection ended without a Close".to_owned();
        }
        Error::Io(error) => return format!("the connection broke: {}", explain(error)),
        Error::Capacity(_) => return "not an echo: more came than was sent".to_owned(),
        Error::Protocol(MaskedFrameFromServer) => {
            "it masks its frames, which only clients may (RFC 6455, section 5.1)".to_owned()
        }
        Error::Protocol(violation) => violation.to_string(),
        other => other.to_string(),
    };
    format!("the server breaks the protocol: {violation}")
}

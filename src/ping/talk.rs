//! Messages out, echoes in, and the Close.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocketError, WebSocketRead,
    WebSocketWrite, after_handshake_split,
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::fault::{Fault, Step, words};

type Socket = TokioIo<Upgraded>;

/// What may come beside the echo's own bytes: a prefix.
const PREFIX_BYTES_MAX: usize = 64 * 1024;

/// Frames that wait, in each direction.
const FRAMES_MAX: usize = 4;

/// Messages whose echo may still come.
const AWAITED_MAX: usize = 16;

/// An answer.
pub(super) struct Echo {
    pub(super) number: u64,
    /// Of the answer, which may be longer than what was sent.
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

/// A Close, as the peer sent it.
pub(super) struct Goodbye {
    pub(super) code: Option<u16>,
    pub(super) reason: String,
    /// From ours to it.
    pub(super) time: Duration,
}

enum Event {
    Message(Vec<u8>, Instant),
    Close(Option<u16>, String),
    Broken(String),
}

struct Awaited {
    number: u64,
    payload: Vec<u8>,
    sent: Instant,
}

/// An open WebSocket. Two tasks read and write, so that neither waits for the other.
pub(super) struct Talk {
    outgoing: Sender<Frame<'static>>,
    events: Receiver<Event>,
    size: usize,
    random: RandomState,
    /// The newest first.
    awaited: VecDeque<Awaited>,
    /// The last message that was no echo.
    other: Option<Vec<u8>>,
}

impl Talk {
    pub(super) fn new(socket: Socket, size: usize) -> Self {
        let (read, write) = tokio::io::split(socket);
        let (mut read, write) = after_handshake_split(read, write, Role::Client);
        read.set_max_message_size(size + PREFIX_BYTES_MAX);
        let (outgoing, frames) = channel(FRAMES_MAX);
        let (news, events) = channel(FRAMES_MAX);
        tokio::spawn(write_all(write, frames));
        tokio::spawn(read_all(read, outgoing.clone(), news));
        Talk {
            outgoing,
            events,
            size,
            random: RandomState::new(),
            awaited: VecDeque::new(),
            other: None,
        }
    }

    /// Sends message `number`.
    pub(super) async fn send(&mut self, number: u64) {
        // No other message ends alike, nor anything a server would say by itself.
        let unique = format!("{:016x}", self.random.hash_one(number));
        let payload: Vec<u8> = unique.bytes().cycle().take(self.size).collect();
        self.awaited.truncate(AWAITED_MAX - 1);
        self.awaited.push_front(Awaited {
            number,
            payload: payload.clone(),
            sent: Instant::now(),
        });
        self.other = None;
        // Where nobody takes it, the reader knows why.
        let frame = Frame::text(Payload::Owned(payload));
        let _ = self.outgoing.send(frame).await;
    }

    /// The next echo. Nothing is lost when it is not waited for to the end.
    pub(super) async fn hear(&mut self) -> Result<Echo, Fault> {
        loop {
            let (message, at) = match self.events.recv().await {
                Some(Event::Message(message, at)) => (message, at),
                Some(Event::Close(code, reason)) => {
                    let why = format!("the server closed: {}", closed(code, &reason));
                    return Err(Fault::new(Step::Echo, why));
                }
                Some(Event::Broken(why)) => return Err(Fault::new(Step::Echo, why)),
                None => return Err(Fault::new(Step::Echo, "the connection is gone")),
            };
            let mut awaited = self.awaited.iter();
            let index = awaited.position(|it| message.ends_with(&it.payload));
            let Some(found) = index.and_then(|index| self.awaited.remove(index)) else {
                self.other = Some(message);
                continue;
            };
            return Ok(Echo {
                number: found.number,
                bytes: message.len(),
                time: at - found.sent,
            });
        }
    }

    /// What came instead of an echo since the last message was sent.
    pub(super) fn instead(&self) -> Option<String> {
        self.other.as_deref().map(words)
    }

    /// Says goodbye, and hears the peer's.
    pub(super) async fn close(&mut self) -> Result<Goodbye, Fault> {
        let begun = Instant::now();
        let _ = self.outgoing.send(Frame::close(1000, b"")).await;
        loop {
            match self.events.recv().await {
                Some(Event::Message(..)) => {}
                Some(Event::Close(code, reason)) => {
                    let time = begun.elapsed();
                    return Ok(Goodbye { code, reason, time });
                }
                Some(Event::Broken(why)) => return Err(Fault::new(Step::Close, why)),
                None => return Err(Fault::new(Step::Close, "the connection is gone")),
            }
        }
    }
}

/// A Close in words.
pub(super) fn closed(code: Option<u16>, reason: &str) -> String {
    let code = code.map_or_else(|| "no code".to_owned(), |code| code.to_string());
    if reason.is_empty() {
        code
    } else {
        format!("{code}, {reason}")
    }
}

async fn write_all(
    mut write: WebSocketWrite<WriteHalf<Socket>>,
    mut frames: Receiver<Frame<'static>>,
) {
    while let Some(frame) = frames.recv().await {
        // Behind a Close comes nothing. Whatever fails here, reading fails as well.
        if write.is_closed()
            || write.write_frame(frame).await.is_err()
            || write.flush().await.is_err()
        {
            return;
        }
    }
}

async fn read_all(
    read: WebSocketRead<ReadHalf<Socket>>,
    outgoing: Sender<Frame<'static>>,
    news: Sender<Event>,
) {
    let mut read = FragmentCollectorRead::new(read);
    // Pongs, and the answer to a Close.
    let mut answer = |frame: Frame<'static>| {
        let outgoing = outgoing.clone();
        async move {
            let _ = outgoing.send(frame).await;
            Ok::<_, Infallible>(())
        }
    };
    loop {
        let event = match read.read_frame(&mut answer).await {
            Ok(frame) if matches!(frame.opcode, OpCode::Text | OpCode::Binary) => {
                Event::Message(frame.payload.to_vec(), Instant::now())
            }
            Ok(frame) if frame.opcode == OpCode::Close => {
                let code = frame.payload.first_chunk();
                let reason = frame.payload.get(2..).unwrap_or_default();
                Event::Close(code.map(|code| u16::from_be_bytes(*code)), words(reason))
            }
            Ok(_) => continue,
            Err(error) => Event::Broken(broken(&error)),
        };
        let is_last = !matches!(event, Event::Message(..));
        if news.send(event).await.is_err() || is_last {
            return;
        }
    }
}

fn broken(error: &WebSocketError) -> String {
    match error {
        WebSocketError::UnexpectedEOF => "the connection ended without a Close".to_owned(),
        WebSocketError::IoError(error) => format!("the connection broke: {error}"),
        WebSocketError::FrameTooLarge => "not an echo: more came than was sent".to_owned(),
        error => format!("the server breaks the protocol: {error}"),
    }
}

//! A WebSocket's connection as the library has it: read from no faster than its session may send, and ended where the
//! session is, or where its peer takes nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use crate::http::turns::Turns;
use crate::http::wire::Wire;
use crate::protocol::frame::{self, BINARY, CLIENT_HEADER_BYTES_MAX, CONTINUATION, FIN, TEXT};

use super::sessions::{Leg, Session};

/// A frame with the packet by which a client ends its session: the library then takes leave.
const END: [u8; 7] = [FIN | TEXT, 0x81, 0, 0, 0, 0, b'1'];

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The connection.
pub(super) struct Paced {
    /// There until it is dropped.
    wire: Option<Wire>,
    /// Where it is given back then.
    back: Option<oneshot::Sender<Wire>>,
    session: Arc<Session>,
    frames: Frames,
    /// Something was read, and others are to have their turn.
    is_to_yield: bool,
    turns: Turns,
    /// For its turn to read, and to have answered what it read.
    turn: Option<Wait>,
    /// For what stands in the way of reading.
    obstacle: Option<Wait>,
    /// For the end of the session, which the library is told then.
    end: Wait,
    is_told: bool,
    /// For a peer that takes nothing; there as long as something cannot be written.
    stall: Option<Pin<Box<Sleep>>>,
    stall_timeout: Duration,
}

impl Paced {
    /// With it comes where the connection is given back once the library has dropped it.
    pub(super) fn new(
        wire: Wire,
        session: Arc<Session>,
        turns: Turns,
        stall_timeout: Duration,
    ) -> (Paced, oneshot::Receiver<Wire>) {
        let (back, returned) = oneshot::channel();
        let paced = Paced {
            wire: Some(wire),
            back: Some(back),
            end: Box::pin(session.clone().ended()),
            is_told: false,
            session,
            frames: Frames::default(),
            is_to_yield: false,
            turns,
            turn: None,
            obstacle: None,
            stall: None,
            stall_timeout,
        };
        (paced, returned)
    }

    fn wire(&mut self) -> io::Result<Pin<&mut Wire>> {
        let wire = self.wire.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(wire))
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        if let (Some(wire), Some(back)) = (self.wire.take(), self.back.take()) {
            // Nobody waits for it once the thread ends.
            let _ = back.send(wire);
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.session.is_ended() || this.end.as_mut().poll(context).is_ready() {
            // Otherwise it reads the end of the stream, and has no words.
            if !this.is_told && this.frames.are_whole() && buffer.remaining() >= END.len() {
                buffer.put_slice(&END);
            }
            this.is_told = true;
            return Poll::Ready(Ok(()));
        }
        if std::mem::take(&mut this.is_to_yield) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if this.stall.is_none() {
            // Whoever writes had its turn, and waits for nothing: all of it is written.
            this.session.pay(usize::MAX);
        }
        if this.obstacle.is_none() && this.session.obstacle().is_some() {
            this.obstacle = Some(Box::pin(this.session.clone().passes(Leg::WebSocket)));
        }
        if let Some(obstacle) = &mut this.obstacle {
            ready!(obstacle.as_mut().poll(context));
            this.obstacle = None;
        }
        let turns = &this.turns;
        let turn = this
            .turn
            .get_or_insert_with(|| Box::pin(turns.clone().take()));
        ready!(turn.as_mut().poll(context));
        this.turn = None;
        let most = this.session.charge(|account| account.bytes_at_once());
        let most = most.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(this.wire()?.poll_read(context, &mut part))?;
        let count = part.filled().len();
        buffer.advance(count);
        this.is_to_yield = true;
        let start = buffer.filled().len() - count;
        if this.frames.take(&buffer.filled()[start..], &this.session) {
            Poll::Ready(Ok(()))
        } else {
            this.session.end();
            Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
        }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(written) = this.wire()?.poll_write(context, bytes) {
            this.stall = None;
            return Poll::Ready(written);
        }
        let stall_timeout = this.stall_timeout;
        let stall = this
            .stall
            .get_or_insert_with(|| Box::pin(sleep(stall_timeout)));
        ready!(stall.as_mut().poll(context));
        this.session.end();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// The library flushes once it has written all that waited.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.wire()?.poll_flush(context))?;
        this.session.pay(usize::MAX);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().wire()?.poll_shutdown(context)
    }
}

/// Follows the frames of a client, for what they cost.
#[derive(Debug, Default)]
struct Frames {
    /// A header that has not come whole.
    header: Vec<u8>,
    /// What is still to come of a frame's payload.
    payload_left: u64,
    is_control: bool,
    is_final: bool,
    /// Of the message that is under way, if one is.
    opcode: Option<u8>,
}

impl Frames {
    /// Whether no frame and no message is under way.
    fn are_whole(&self) -> bool {
        self.header.is_empty() && self.payload_left == 0 && self.opcode.is_none()
    }

    /// Charges `session` for the frames in `bytes`. Whether they are frames, and it may keep them.
    fn take(&mut self, mut bytes: &[u8], session: &Session) -> bool {
        session.charge(|account| {
            account.arrive(bytes.len());
            while !bytes.is_empty() {
                if self.payload_left == 0 {
                    let kept = self.header.len();
                    let more = bytes.len().min(CLIENT_HEADER_BYTES_MAX - kept);
                    self.header.extend_from_slice(&bytes[..more]);
                    let Ok(header) = frame::parse(&self.header, self.opcode.is_some()) else {
                        return false;
                    };
                    let Some(header) = header else {
                        return true;
                    };
                    bytes = &bytes[header.size - kept..];
                    self.header.clear();
                    self.payload_left = header.length;
                    self.is_control = header.is_control();
                    self.is_final = header.fin;
                    if !self.is_control && header.opcode != CONTINUATION {
                        self.opcode = Some(header.opcode);
                    }
                    account.begin_packet();
                }
                let here = usize::try_from(self.payload_left).unwrap_or(usize::MAX);
                let (payload, rest) = bytes.split_at(here.min(bytes.len()));
                bytes = rest;
                self.payload_left -= payload.len() as u64;
                if !self.is_control {
                    account.take_part(payload.len());
                    if self.payload_left == 0 && self.is_final {
                        account.end_message(self.opcode.take() == Some(BINARY));
                    }
                }
            }
            account.is_covered()
        })
    }
}

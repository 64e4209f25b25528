//! One visit to the server: connect, handshake, one echo, closing handshake, end of stream.

use std::net::Shutdown;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::Socket;

use crate::echo::connection::{Connection, Turn};
use crate::echo::failure::Failure;
use crate::echo::handshake::{Handshake, Progress};
use crate::target::Protocol;

/// How far a visit has come.
enum Stage {
    /// The connect is under way.
    Connecting,
    /// The request is out.
    Handshaking(Handshake),
    /// The message is out, then the Close.
    Talking,
    /// All is said; the server is to end the stream.
    Leaving,
}

/// What a call led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Waiting.
    Pending,
    /// The connection is open: a 101, or for TCP a connect.
    Opened,
    /// The visit is over, in good order.
    Over,
}

/// State of one visit.
pub(super) struct Visit {
    socket: Socket,
    stage: Stage,
    connection: Connection,
    /// When the connect began, in nanoseconds on the run's clock.
    pub(super) began: u64,
}

impl Visit {
    /// A visit whose `socket` is connecting since `began`.
    pub(super) fn new(socket: Socket, began: u64) -> Visit {
        Visit {
            socket,
            stage: Stage::Connecting,
            connection: Connection::new(),
            began,
        }
    }

    /// The socket, to wait on: writable while connecting, readable from then on.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the connect is still under way.
    pub(super) fn is_connecting(&self) -> bool {
        matches!(self.stage, Stage::Connecting)
    }

    /// The socket is writable or has failed: sends the request of `handshake`, or, where there
    /// is none to do, the message.
    pub(super) fn connected(
        &mut self,
        turn: &mut Turn<'_>,
        handshake: Option<(Vec<u8>, Handshake)>,
    ) -> Result<Step, Failure> {
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Err(Failure::Io("connecting", error)),
        }
        let step = match handshake {
            None => {
                self.talk(turn);
                Step::Opened
            }
            Some((request, handshake)) => {
                self.connection
                    .outbox()
                    .writer()
                    .extend_from_slice(&request);
                self.stage = Stage::Handshaking(handshake);
                Step::Pending
            }
        };
        self.flush()?;
        Ok(step)
    }

    /// The socket is readable.
    pub(super) fn readable(
        &mut self,
        buffer: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> Result<Step, Failure> {
        let bytes = match recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return self.end_of_stream(),
            Ok((bytes, _)) => &buffer[..bytes],
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Step::Pending),
            Err(error) => return Err(Failure::Io("receiving", error.into())),
        };
        let mut step = Step::Pending;
        match &mut self.stage {
            Stage::Connecting => {}
            Stage::Handshaking(handshake) => {
                if let Progress::Open(early) = handshake.receive(bytes)? {
                    self.talk(turn);
                    self.connection.receive(&early, turn)?;
                    step = Step::Opened;
                }
            }
            Stage::Talking => self.connection.receive(bytes, turn)?,
            Stage::Leaving => {
                return Err(Failure::Protocol(
                    "bytes after the closing handshake".to_owned(),
                ));
            }
        }
        self.flush()?;
        if matches!(self.stage, Stage::Talking) && self.connection.is_closed() {
            self.stage = Stage::Leaving;
            if turn.workload.protocol == Protocol::Tcp {
                // A WebSocket server ends the stream by itself (RFC 6455 section 7.1.1).
                let shutdown = self.socket.shutdown(Shutdown::Write);
                shutdown.map_err(|error| Failure::Io("closing", error))?;
            }
        }
        Ok(step)
    }

    /// Queues one message and, behind its reply, the Close.
    fn talk(&mut self, turn: &mut Turn<'_>) {
        self.connection.fill(turn);
        self.connection.drain(turn);
        self.stage = Stage::Talking;
    }

    fn end_of_stream(&mut self) -> Result<Step, Failure> {
        match &mut self.stage {
            Stage::Handshaking(handshake) => Err(handshake.end_of_stream()),
            Stage::Connecting | Stage::Talking if !self.connection.is_closed() => {
                Err(Failure::Disconnected {
                    in_flight: self.connection.unanswered(),
                })
            }
            _ => Ok(Step::Over),
        }
    }

    /// Sends what is due: a few hundred bytes into an empty socket buffer, which takes them.
    fn flush(&mut self) -> Result<(), Failure> {
        while let Some(bytes) = self.connection.outbox().begin() {
            let sent = send(
                &self.socket,
                bytes,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            );
            let sent = sent.map_err(|error| Failure::Io("sending", error.into()))?;
            self.connection.outbox().sent(sent);
        }
        Ok(())
    }
}

//! One connection from its connect to its end, moved on by readiness and without ever blocking: what every
//! command opens, what `churn` makes by the thousand a second and `idle` holds by the thousand.
//!
//! In here: the steps of a connection, how it may end (`ending.rs`), many of them over one epoll instance
//! (`crowd.rs`), those that are handed over as soon as they stand (`opener.rs`), and the first one of all
//! (`scout.rs`). Nothing here knows what is measured.

mod crew;
pub(crate) mod crowd;
pub(crate) mod ending;
pub(crate) mod opener;
pub(crate) mod scout;

use std::mem;
use std::net::Shutdown;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::Socket;

pub(crate) use self::crew::Crew;
use self::ending::{Cut, Ending, Farewell};
use crate::dial::address::connecting;
use crate::dial::standing::Wait;
use crate::dial::{Opened, Opening};
use crate::echo::connection::{Connection, Turn};
use crate::tunnel::Tunnel;
use crate::wire::failure::Failure;

/// How long a connection may take until it stands, in nanoseconds, at each address of its host.
pub(crate) const OPEN_TIMEOUT_NS: u64 = 5_000_000_000;

/// Longest wait for events while connections are being opened: deadlines are noticed this late at most.
const WAIT: Duration = Duration::from_millis(50);

/// What a session does once its connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Waits to be taken over by [`Session::into_standing`].
    HandOver,
    /// Rests until [`Session::leave`].
    Rest,
    /// Sends so many messages, one after the other, and closes it.
    Talk(u64),
}

/// How far a session has come.
enum Stage {
    /// The connect is under way.
    Connecting,
    /// Proxy, TLS and the upgrade are under way, as far as there are any.
    Opening(Box<Opening>),
    /// The connection stands, and is to be taken over.
    Standing(Box<Opened>),
    /// The connection stands, and nothing is to be said for now.
    Resting,
    /// Messages are out, then the Close.
    Talking,
    /// All is said; the server is to end the stream.
    Leaving,
}

/// When a session came how far, in nanoseconds on the run's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// When it should have begun.
    pub(crate) due: u64,
    /// When its connect began.
    pub(crate) began: u64,
    /// When the kernel said that the connection stands.
    pub(crate) connected: Option<u64>,
    /// When the opening handshake was over; over bare TCP, when it was connected.
    pub(crate) opened: Option<u64>,
    /// When its first message was given to the kernel.
    pub(crate) asked: Option<u64>,
    /// When the reply to that was there.
    pub(crate) answered: Option<u64>,
    /// Whether TLS went on with an earlier session.
    pub(crate) is_resumed: bool,
}

/// State of one session.
pub(crate) struct Session {
    socket: Socket,
    stage: Stage,
    connection: Connection,
    /// What lies between the two, and the bytes that are said before the connection stands.
    tunnel: Tunnel,
    /// Number of the connection within the run.
    pub(crate) ordinal: usize,
    /// Which of the host's addresses the socket goes to, and why the first of them failed.
    address: usize,
    refusal: Option<Ending>,
    task: Task,
    pub(crate) times: Times,
    /// When it must have come to the end of what it is about.
    pub(crate) deadline: u64,
    patience: u64,
    /// Whether a send found the connection reset.
    is_reset: bool,
    waits_to_write: bool,
}

impl Session {
    /// Starts to connect as number `ordinal` of the run.
    pub(crate) fn begin(
        crew: &Crew,
        ordinal: usize,
        task: Task,
        due: u64,
        patience: u64,
    ) -> Result<Session, Ending> {
        let began = crew.clock.now();
        let (address, socket) = crew.dialer.begin(ordinal, None)?;
        Ok(Session {
            socket,
            stage: Stage::Connecting,
            connection: Connection::new(),
            tunnel: Tunnel::default(),
            ordinal,
            address,
            refusal: None,
            task,
            times: Times {
                due: due.min(began),
                began,
                ..Times::default()
            },
            deadline: began.saturating_add(patience),
            patience,
            is_reset: false,
            waits_to_write: false,
        })
    }

    /// What to wait for.
    pub(crate) fn interest(&self) -> EventFlags {
        match self.stage {
            Stage::Connecting => EventFlags::OUT,
            _ if self.waits_to_write => EventFlags::IN | EventFlags::OUT,
            _ => EventFlags::IN,
        }
    }

    /// Whether the connection stands and nothing is to be said for now.
    pub(crate) fn is_resting(&self) -> bool {
        matches!(self.stage, Stage::Resting)
    }

    /// Whether the connection stands and can be taken over: nothing is left to be sent.
    pub(crate) fn stands(&self) -> bool {
        matches!(self.stage, Stage::Standing(_)) && !self.waits_to_write
    }

    /// Hands over a connection that stands: its socket, and what is to be known of it.
    pub(crate) fn into_standing(self) -> Option<(Socket, Opened)> {
        match self.stage {
            Stage::Standing(opened) => Some((self.socket, *opened)),
            _ => None,
        }
    }

    /// What a connection that is being opened waits for.
    pub(crate) fn awaits(&self) -> Wait {
        match &self.stage {
            Stage::Opening(opening) => opening.awaits(),
            _ => Wait::Connection,
        }
    }

    /// Whether the connection was never made, so that the server has not even begun with it.
    pub(crate) fn is_unconnected(&self) -> bool {
        self.times.connected.is_none()
    }

    /// Its deadline is over, after so many `seconds`: it goes on with the host's next address, or is given up.
    pub(crate) fn expire(&mut self, crew: &Crew, seconds: f64) -> Result<(), Ending> {
        let waited = match &mut self.stage {
            Stage::Connecting => {
                let late = format!("connecting took longer than {seconds} s");
                return self.try_next(Failure::Late(late).into(), crew);
            }
            // It knows most, and speaks of whole seconds only.
            Stage::Opening(opening) if seconds >= 1.0 => {
                return Err(opening.unfinished(Some(seconds as u64)).into());
            }
            Stage::Standing(_) | Stage::Opening(_) => {
                "the handshake failed: the server did not answer within"
            }
            Stage::Resting | Stage::Talking if self.connection.unanswered() > 0 => {
                "the server did not answer a message within"
            }
            Stage::Resting | Stage::Talking => "the server did not answer the Close within",
            Stage::Leaving => "the server did not end the stream, though all was said, within",
        };
        Err(Failure::Late(format!("{waited} {seconds} s")).into())
    }

    /// Connecting came to nothing: goes on with the host's next address, if there is one. What was wrong with the
    /// first tells most.
    fn try_next(&mut self, ending: Ending, crew: &Crew) -> Result<(), Ending> {
        let refusal = self.refusal.take().unwrap_or(ending);
        let Ok((address, socket)) = crew.dialer.begin(self.ordinal, Some(self.address)) else {
            return Err(refusal);
        };
        (self.address, self.socket) = (address, socket);
        self.refusal = Some(refusal);
        self.deadline = crew.clock.now().saturating_add(self.patience);
        Ok(())
    }

    /// It has failed: tells the server by a Close with this code, if it may be told and has not been.
    pub(crate) fn resign(&mut self, code: u16, crew: &mut Crew) {
        match &mut self.stage {
            Stage::Opening(opening) => opening.resign(code, self.tunnel.writer()),
            Stage::Resting | Stage::Talking => self.connection.resign(code, &mut crew.turn()),
            _ => return,
        }
        // Nobody is there any more who would need to know that it cannot be sent.
        let _ = self.flush(crew);
    }

    /// Sends one message more, if `echo`, and closes a connection that rests.
    pub(crate) fn leave(&mut self, echo: bool, crew: &mut Crew) -> Result<(), Ending> {
        self.task = Task::Talk(u64::from(echo));
        self.stage = Stage::Talking;
        self.speak(&mut crew.turn());
        self.flush(crew)
    }

    /// Whether the closing handshake is over; the server may still have to end the stream.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Leaving)
    }

    /// The socket is ready for what [`Session::interest`] said. Says how the session ended, if it did.
    pub(crate) fn advance(&mut self, crew: &mut Crew) -> Result<Option<Farewell>, Ending> {
        if matches!(self.stage, Stage::Connecting) {
            self.connected(crew)?;
            return Ok(None);
        }
        if self.waits_to_write {
            self.flush(crew)?;
        }
        let mut buffer = mem::take(&mut crew.buffer);
        let received = recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT);
        let result = match received {
            Ok((0, _)) if !self.is_reset => self.end_of_stream(),
            Ok((bytes @ 1.., _)) => self.receive(&buffer[..bytes], crew).map(|()| None),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Ok(_) | Err(Errno::CONNRESET) => self.reset(),
            Err(error) => Err(Failure::Io("receiving", error.into()).into()),
        };
        crew.buffer = buffer;
        result
    }

    /// The socket is writable for the first time, or has failed.
    fn connected(&mut self, crew: &mut Crew) -> Result<(), Ending> {
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return self.try_next(connecting(error).into(), crew),
        }
        crew.dialer.stands(self.ordinal, self.address);
        self.times.connected = Some(crew.clock.now());
        let mut opening = crew.dialer.opening(self.ordinal, &mut crew.random)?;
        match opening.begin(self.tunnel.writer())? {
            None => self.stage = Stage::Opening(Box::new(opening)),
            Some(opened) => self.open(opened, crew)?,
        }
        self.flush(crew)
    }

    /// The connection stands.
    fn open(&mut self, opened: Opened, crew: &mut Crew) -> Result<(), Ending> {
        if self.task == Task::HandOver {
            self.stage = Stage::Standing(Box::new(opened));
            return Ok(());
        }
        let link = &opened.link;
        self.times.is_resumed = link.is_resumed();
        crew.tls = crew.tls.take().or_else(|| link.describe());
        self.times.opened = match crew.is_websocket() || !link.is_plain() {
            true => Some(crew.clock.now()),
            false => self.times.connected,
        };
        self.connection = Connection::with(opened.accepted.deflate.as_ref());
        self.tunnel.lead_through(opened.link);
        self.stage = match self.task {
            Task::Talk(_) => Stage::Talking,
            _ => Stage::Resting,
        };
        self.speak(&mut crew.turn());
        self.hear(&opened.early, crew)
    }

    /// Takes bytes from the wire.
    fn receive(&mut self, bytes: &[u8], crew: &mut Crew) -> Result<(), Ending> {
        let result = self.take(bytes, crew);
        // After a failure too: it may have left something that tells the server why.
        let flushed = self.flush(crew);
        result.and(flushed)
    }

    fn take(&mut self, bytes: &[u8], crew: &mut Crew) -> Result<(), Ending> {
        match &mut self.stage {
            Stage::Opening(opening) => {
                return match opening.receive(bytes, self.tunnel.writer())? {
                    Some(opened) => self.open(opened, crew),
                    None => Ok(()),
                };
            }
            Stage::Standing(opened) => {
                return Ok(opened.link.receive(bytes, &mut opened.early)?);
            }
            _ => {}
        }
        let mut plain = mem::take(&mut crew.plain);
        plain.clear();
        let received = self.tunnel.receive(bytes, &mut plain);
        let heard = received.map_err(Ending::from);
        let heard = heard.and_then(|()| self.hear(&plain, crew));
        crew.plain = plain;
        heard?;
        if !self.tunnel.is_ended() {
            return Ok(());
        }
        // A server may say its Close and end the stream in one go: what was heard counts first.
        self.flush(crew)?;
        match self.is_closed() {
            // Not before the server has ended its side, which over WebSocket it does first: whoever
            // closes a socket with something unread resets the connection.
            true => self.tunnel.end(),
            false => drop(self.end_of_stream()?),
        }
        Ok(())
    }

    /// Takes what the server says on an open connection.
    fn hear(&mut self, bytes: &[u8], crew: &mut Crew) -> Result<(), Ending> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.is_closed() {
            let what = "bytes after the closing handshake".to_owned();
            return Err(Failure::Protocol(what).into());
        }
        let mut turn = crew.turn();
        self.connection.receive(bytes, &mut turn)?;
        if self.connection.answered() > 0 {
            self.times.answered.get_or_insert(turn.now);
        }
        self.speak(&mut turn);
        Ok(())
    }

    /// Queues the next message, if all before it are answered, and behind the last one the Close.
    fn speak(&mut self, turn: &mut Turn<'_>) {
        let Task::Talk(messages) = self.task else {
            return;
        };
        if self.connection.unanswered() == 0 && self.connection.answered() < messages {
            self.connection.queue(turn.now, turn);
        }
        if self.connection.answered() + self.connection.unanswered() as u64 >= messages {
            self.connection.drain(turn);
        }
    }

    fn end_of_stream(&mut self) -> Result<Option<Farewell>, Ending> {
        let failure = match &mut self.stage {
            Stage::Leaving => return Ok(Some(Farewell::Orderly)),
            Stage::Opening(opening) => opening.unfinished(None),
            _ => match self.connection.unanswered() {
                0 => Failure::Protocol("the stream ended without a Close".to_owned()),
                in_flight => Failure::Disconnected { in_flight },
            },
        };
        Err(Ending {
            cut: Cut::EndOfStream,
            failure,
        })
    }

    fn reset(&mut self) -> Result<Option<Farewell>, Ending> {
        let doing = match self.stage {
            // All was said before: rude, and harmless.
            Stage::Leaving => return Ok(Some(Farewell::Reset)),
            Stage::Connecting => "connecting",
            Stage::Opening(_) | Stage::Standing(_) => "during the handshake",
            Stage::Resting => "while it was idle",
            Stage::Talking if self.connection.unanswered() > 0 => "waiting for a reply",
            Stage::Talking => "waiting for the Close",
        };
        Err(Failure::Io(doing, Errno::CONNRESET.into()).into())
    }

    /// Sends what is due, as far as the socket takes it; takes leave when all is said.
    fn flush(&mut self, crew: &mut Crew) -> Result<(), Ending> {
        let now = crew.clock.now();
        if matches!(self.stage, Stage::Talking) {
            self.times.asked.get_or_insert(now);
            if self.connection.is_closed() {
                self.stage = Stage::Leaving;
            }
        }
        self.write(now)?;
        // A WebSocket server ends the stream by itself (RFC 6455 section 7.1.1).
        let is_ours_to_end = self.is_closed() && !crew.is_websocket();
        if is_ours_to_end && !self.waits_to_write {
            self.tunnel.end();
            self.write(now)?;
        }
        if is_ours_to_end && !self.waits_to_write {
            // A socket that is gone already says so at the next receive.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    fn write(&mut self, now: u64) -> Result<(), Ending> {
        self.waits_to_write = false;
        while let Some(bytes) = self.tunnel.outgoing(&mut self.connection, now) {
            let sent = send(
                &self.socket,
                bytes,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            );
            self.tunnel.sent(sent.unwrap_or(0));
            match sent {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.waits_to_write = true;
                    break;
                }
                // What the server said before it left, if anything, tells more: the socket is readable
                // now, and the receive will judge.
                Err(error @ (Errno::CONNRESET | Errno::PIPE)) => {
                    self.is_reset |= error == Errno::CONNRESET;
                    break;
                }
                Err(error) => return Err(Failure::Io("sending", error.into()).into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! Readiness: level-triggered epoll, one hot buffer per thread, replies sent at once from where they
//! were written. Only what a socket does not take is copied.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recv, send, shutdown};

use super::door::Door;
use super::{Feature, StopPhase, Worker};
use crate::config::UringTuning;
use crate::protocol::{CloseCode, Moment};
use crate::shard::readiness::{Immediate, Wire};
use crate::shard::{Sent, Shard, SlotId, Write};
use crate::sys::clock;

/// The receive buffer of a thread, in bytes: a 64 KiB message and its header fit, and it stays in L2.
const HOT_BUFFER_BYTES: usize = 128 * 1024;

/// Events taken from the kernel at a time.
const EVENTS_MAX: usize = 512;

/// The longest sleep: one that the oldest interface for it can express.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Connections accepted before others get their turn.
const ACCEPTS_MAX: usize = 64;

/// What this engine keeps per connection.
#[derive(Debug)]
struct Io {
    fd: OwnedFd,
    interest: EventFlags,
}

/// Sends without waiting.
struct Socket;

impl Wire<Io> for Socket {
    #[inline]
    fn send(&mut self, io: &mut Io, bytes: &[u8], more: bool) -> Sent {
        let mut flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if more {
            flags |= SendFlags::MORE;
        }
        match send(&io.fd, bytes, flags) {
            Ok(count) => Sent::Bytes(count),
            Err(Errno::AGAIN) => Sent::Blocked,
            Err(Errno::INTR) => Sent::Bytes(0),
            Err(_) => Sent::Failed,
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy)]
enum Token {
    Waker,
    Listener(usize),
    Connection(SlotId),
}

impl Token {
    /// Generations start at 1, so the low half of a connection's token is never 0.
    fn encode(self) -> EventData {
        EventData::new_u64(match self {
            Token::Waker => 0,
            Token::Listener(number) => (number as u64 + 1) << 32,
            Token::Connection(id) => u64::from(id.index) << 32 | u64::from(id.generation),
        })
    }

    fn decode(data: EventData) -> Token {
        let (high, low) = ((data.u64() >> 32) as u32, data.u64() as u32);
        match (high, low) {
            (0, 0) => Token::Waker,
            (number, 0) => Token::Listener(number as usize - 1),
            (index, generation) => Token::Connection(SlotId { index, generation }),
        }
    }
}

struct Epoll<'a> {
    worker: &'a Worker<'a>,
    epoll: OwnedFd,
    shard: Shard<Io>,
    hot: Vec<u8>,
    door: Door,
    drain_ends: Option<Moment>,
    now: Moment,
}

/// Serves on this thread until told to stop.
///
/// # Errors
/// What the kernel says where the epoll instance itself fails.
pub fn run(worker: &Worker<'_>, ready: &dyn Fn()) -> io::Result<()> {
    let mut engine = Epoll::new(worker)?;
    ready();
    let mut events = Vec::with_capacity(EVENTS_MAX);
    while !engine.is_done() {
        events.clear();
        let timeout = engine.timeout();
        match epoll::wait(&engine.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        engine.turn(&events)?;
    }
    Ok(())
}

/// Whether epoll is here. It always is.
///
/// # Errors
/// Where there are no descriptors left.
pub fn probe(_: &UringTuning) -> io::Result<Vec<Feature>> {
    epoll::create(CreateFlags::CLOEXEC)?;
    Ok(vec![Feature {
        name: "level-triggered epoll",
        since: "2.6",
        found: true,
    }])
}

impl<'a> Epoll<'a> {
    fn new(worker: &'a Worker<'a>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = worker.stop.waker(worker.number);
        epoll::add(&epoll, waker.as_fd(), Token::Waker.encode(), EventFlags::IN)?;
        for (number, listener) in worker.listeners.iter().enumerate() {
            epoll::add(
                &epoll,
                listener,
                Token::Listener(number).encode(),
                EventFlags::IN,
            )?;
        }
        Ok(Epoll {
            epoll,
            shard: Shard::new(worker.settings.clone(), worker.tally.clone()),
            worker,
            hot: vec![0; HOT_BUFFER_BYTES],
            door: Door::default(),
            drain_ends: None,
            now: clock::now(),
        })
    }

    /// One turn of the loop.
    fn turn(&mut self, events: &[Event]) -> io::Result<()> {
        self.now = clock::now();
        self.shard.set_now(self.now);
        for event in events {
            match Token::decode(event.data) {
                Token::Connection(id) => self.on_event(id, event.flags),
                Token::Listener(number) => self.accept(number)?,
                Token::Waker => self.worker.stop.waker(self.worker.number).clear(),
            }
        }
        while let Some(id) = self.shard.pop_due() {
            self.settle(id);
        }
        while let Some(id) = self.shard.pop_shed() {
            self.settle(id);
        }
        if self.worker.stop.phase() == StopPhase::Draining && self.drain_ends.is_none() {
            self.drain();
        }
        if self.door.reopen(self.now) {
            self.set_listening(true)?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.drain_ends
            .is_some_and(|ends| ends <= self.now || self.shard.is_empty())
    }

    /// How long nothing will be due; none: forever.
    fn timeout(&self) -> Option<Timespec> {
        let next = [self.shard.next_due(), self.door.reopens(), self.drain_ends];
        let span = next
            .into_iter()
            .flatten()
            .min()?
            .since(self.now)
            .min(SLEEP_MAX);
        Some(Timespec {
            tv_sec: span.as_secs() as i64,
            tv_nsec: i64::from(span.subsec_nanos()),
        })
    }

    fn accept(&mut self, number: usize) -> io::Result<()> {
        for _ in 0..ACCEPTS_MAX {
            if !self.shard.may_accept() {
                self.door.rest(self.now);
                return self.set_listening(false);
            }
            let listener: &TcpListener = &self.worker.listeners[number];
            match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(fd) => {
                    self.open(fd);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => {
                    self.door.failed(&error.into(), self.now);
                    if self.door.is_resting() {
                        return self.set_listening(false);
                    }
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, fd: OwnedFd) {
        let interest = EventFlags::IN;
        let id = self.shard.open(Io { fd, interest });
        if let Some(connection) = self.shard.get_mut(id)
            && epoll::add(
                &self.epoll,
                &connection.io.fd,
                Token::Connection(id).encode(),
                interest,
            )
            .is_err()
        {
            self.shard.fail(id);
        }
        self.settle(id);
    }

    fn set_listening(&self, on: bool) -> io::Result<()> {
        let flags = if on {
            EventFlags::IN
        } else {
            EventFlags::empty()
        };
        for (number, listener) in self.worker.listeners.iter().enumerate() {
            epoll::modify(
                &self.epoll,
                listener,
                Token::Listener(number).encode(),
                flags,
            )?;
        }
        Ok(())
    }

    fn on_event(&mut self, id: SlotId, flags: EventFlags) {
        let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        if flags.contains(EventFlags::IN) || broken {
            if self.shard.wants(id).read {
                self.read(id);
            } else if broken {
                self.shard.fail(id);
            }
        }
        self.settle(id);
    }

    /// One receive. Level-triggered: what is left is reported again.
    #[inline]
    fn read(&mut self, id: SlotId) {
        let Some(connection) = self.shard.get_mut(id) else {
            return;
        };
        match recv(
            &connection.io.fd,
            self.hot.as_mut_slice(),
            RecvFlags::DONTWAIT,
        ) {
            Ok((_, 0)) => self.shard.peer_finished(id),
            Ok((_, count)) => {
                self.shard
                    .receive(id, &mut self.hot[..count], &mut Immediate(Socket));
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.shard.fail(id),
        }
    }

    /// Does what the shard wants for a connection, as far as its socket lets it.
    #[inline]
    fn settle(&mut self, id: SlotId) {
        let mut flushed = false;
        let wants = loop {
            let wants = self.shard.wants(id);
            match wants.write {
                Write::Send if !flushed => {
                    flushed = true;
                    self.shard.flush(id, &mut Socket);
                }
                Write::HalfClose => {
                    if let Some(connection) = self.shard.get_mut(id) {
                        // A peer that is gone already shows in the next receive.
                        let _ = shutdown(&connection.io.fd, Shutdown::Write);
                    }
                    self.shard.half_closed(id);
                }
                Write::Close { reset } => return self.close(id, reset),
                Write::Send | Write::Rest => break wants,
            }
        };
        let mut interest = EventFlags::empty();
        interest.set(EventFlags::IN, wants.read);
        interest.set(EventFlags::OUT, wants.write == Write::Send);
        if let Some(connection) = self.shard.get_mut(id)
            && connection.io.interest != interest
        {
            connection.io.interest = interest;
            let token = Token::Connection(id).encode();
            if epoll::modify(&self.epoll, &connection.io.fd, token, interest).is_err() {
                self.shard.fail(id);
                self.close(id, true);
            }
        }
    }

    fn close(&mut self, id: SlotId, reset: bool) {
        let Some(io) = self.shard.release(id, |_| {}) else {
            return;
        };
        if reset {
            // Without lingering, close sends RST: the peer learns that bytes were lost.
            let linger = Some(Duration::ZERO);
            let _ = rustix::net::sockopt::set_socket_linger(&io.fd, linger);
        }
    }

    /// Takes in what has arrived already, then says goodbye to everyone.
    fn drain(&mut self) {
        self.drain_ends = Some(self.now + self.worker.stop.drain_timeout);
        for id in self.shard.ids() {
            if self.shard.wants(id).read {
                self.read(id);
            }
        }
        self.shard.drain(CloseCode::GOING_AWAY);
        for id in self.shard.ids() {
            self.settle(id);
        }
    }
}

//! The real kernel: an epoll instance and non-blocking sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recv, send, shutdown};

use super::kernel::{Event, Interest, Kernel, Received, Token};
use crate::engine::post::Mail;
use crate::engine::socket::{self, reset_on_close};
use crate::engine::{Post, Worker};
use crate::protocol::Moment;
use crate::shard::{Sent, SlotId, Standing};
use crate::sys::clock;
use crate::sys::wake::Waker;

/// Events taken from the kernel at a time.
const EVENTS_MAX: usize = 512;

/// What is due sooner is not waited for: before Linux 5.11 epoll counts in milliseconds, rounded up.
const SLEEP_MIN: Duration = Duration::from_micros(100);

/// The longest sleep: one that the oldest interface for it can express.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Generations start at 1, so the low half of a connection's token is never 0.
fn encode(token: Token) -> EventData {
    EventData::new_u64(match token {
        Token::Waker => 0,
        Token::Listener(number) => (u64::from(number) + 1) << 32,
        Token::Connection(id) => u64::from(id.index) << 32 | u64::from(id.generation),
    })
}

fn decode(data: EventData) -> Token {
    let (high, low) = ((data.u64() >> 32) as u32, data.u64() as u32);
    match (high, low) {
        (0, 0) => Token::Waker,
        (number, 0) => Token::Listener(number - 1),
        (index, generation) => Token::Connection(SlotId { index, generation }),
    }
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}

/// An epoll instance, and what it watches.
pub(super) struct Sockets<'a> {
    epoll: OwnedFd,
    listeners: &'a [TcpListener],
    waker: &'a Waker,
    mail: Mail,
    events: Vec<epoll::Event>,
    /// How many of the events have been acted on.
    seen: usize,
}

impl<'a> Sockets<'a> {
    /// Watches the waker, and the listeners for nothing yet.
    pub(super) fn new(worker: &'a Worker<'_>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = worker.stop.waker(worker.number);
        epoll::add(&epoll, waker.as_fd(), encode(Token::Waker), EventFlags::IN)?;
        for (number, listener) in (0..).zip(&worker.listeners) {
            let token = encode(Token::Listener(number));
            epoll::add(&epoll, listener, token, EventFlags::empty())?;
        }
        Ok(Sockets {
            epoll,
            listeners: &worker.listeners,
            waker,
            mail: Mail::new(worker.exchange.clone(), worker.number),
            events: Vec::with_capacity(EVENTS_MAX),
            seen: 0,
        })
    }
}

impl Kernel for Sockets<'_> {
    type Socket = OwnedFd;

    fn now(&mut self) -> Moment {
        clock::now()
    }

    fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        self.events.clear();
        self.seen = 0;
        let timeout = patience.map(|patience| {
            let patience = match patience < SLEEP_MIN {
                true => Duration::ZERO,
                false => patience.min(SLEEP_MAX),
            };
            Timespec {
                tv_sec: patience.as_secs() as i64,
                tv_nsec: i64::from(patience.subsec_nanos()),
            }
        });
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    #[inline]
    fn next_event(&mut self) -> Option<Event> {
        let epoll::Event { flags, data } = *self.events.get(self.seen)?;
        self.seen += 1;
        Some(Event {
            token: decode(data),
            readable: flags.contains(EventFlags::IN),
            broken: flags.intersects(EventFlags::ERR | EventFlags::HUP),
        })
    }

    fn clear_waker(&mut self) {
        self.waker.clear();
    }

    fn listen(&mut self, on: bool) -> io::Result<()> {
        let interest = Interest {
            read: on,
            write: false,
        };
        for (number, listener) in (0..).zip(self.listeners) {
            let token = encode(Token::Listener(number));
            epoll::modify(&self.epoll, listener, token, flags(interest))?;
        }
        Ok(())
    }

    fn accept(&mut self, listener: u32) -> io::Result<Option<OwnedFd>> {
        let listener = &self.listeners[listener as usize];
        match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => Ok(Some(socket)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn watch(&mut self, socket: &OwnedFd, id: SlotId, interest: Interest) -> io::Result<()> {
        let token = encode(Token::Connection(id));
        Ok(epoll::add(&self.epoll, socket, token, flags(interest))?)
    }

    fn rewatch(&mut self, socket: &OwnedFd, id: SlotId, interest: Interest) -> io::Result<()> {
        let token = encode(Token::Connection(id));
        Ok(epoll::modify(&self.epoll, socket, token, flags(interest))?)
    }

    fn unwatch(&mut self, socket: &OwnedFd) {
        // What it is given to may have it open for longer than it is watched here.
        let _ = epoll::delete(&self.epoll, socket);
    }

    fn post(&mut self) -> &mut impl Post<OwnedFd> {
        &mut self.mail
    }

    #[inline]
    fn receive(&mut self, socket: &OwnedFd, into: &mut [u8]) -> Received {
        match recv(socket, into, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => Received::Finished,
            Ok((_, count)) => Received::Bytes(count),
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            Err(_) => Received::Failed,
        }
    }

    #[inline]
    fn send(&mut self, socket: &OwnedFd, bytes: &[u8], more: bool) -> Sent {
        let mut flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if more {
            flags |= SendFlags::MORE;
        }
        match send(socket, bytes, flags) {
            Ok(count) => Sent::Bytes(count),
            Err(Errno::AGAIN) => Sent::Blocked,
            Err(Errno::INTR) => Sent::Bytes(0),
            Err(_) => Sent::Failed,
        }
    }

    fn standing(&self, socket: &OwnedFd) -> Standing {
        socket::standing(socket)
    }

    fn shut_down(&mut self, socket: &OwnedFd) {
        // A peer that is gone already shows in the next receive.
        let _ = shutdown(socket, Shutdown::Write);
    }

    fn peer(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        socket::peer(socket)
    }

    fn close(&mut self, socket: OwnedFd, reset: bool) {
        if reset {
            reset_on_close(&socket);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::engine::{Exchange, Stop};

    #[test]
    fn the_next_turn_is_no_millisecond_away() {
        let stop = Stop::new(1, Duration::ZERO).unwrap();
        let exchange = Arc::new(Exchange::new(&stop, false, None));
        let mut sockets = Sockets {
            epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(),
            listeners: &[],
            waker: stop.waker(0),
            mail: Mail::new(exchange, 0),
            events: Vec::with_capacity(1),
            seen: 0,
        };
        let waits = (0..100).map(|_| {
            let begun = Instant::now();
            sockets.wait(Some(Duration::from_nanos(1))).unwrap();
            begun.elapsed()
        });
        assert!(waits.min().unwrap() < Duration::from_millis(1));
    }
}

//! A simulated epoll: levels, reported in any order, sometimes for nothing, sometimes not yet.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ringback::engine::epoll::{Event, Interest, Kernel, Received, Token};
use ringback::engine::{Letter, Origin, Post};
use ringback::protocol::Moment;
use ringback::shard::{Carried, Destination, Sent, SlotId, Standing, Wants, Write};

use crate::sim::network::{Line, Read};
use crate::sim::world::{Shared, World};

/// A socket of the simulated network. It is closed by [`Kernel::close`]: dropped otherwise, it leaks, and
/// is found at the end.
#[derive(Debug)]
pub(crate) struct Socket(Line);

/// A socket that is watched.
#[derive(Clone, Copy, Debug)]
struct Watch {
    line: Line,
    id: SlotId,
    interest: Interest,
}

/// An epoll instance.
pub(crate) struct Sockets {
    world: Shared,
    /// Of which worker.
    pub(crate) worker: usize,
    watches: Vec<Watch>,
    listening: bool,
    events: VecDeque<Event>,
}

impl Sockets {
    pub(crate) fn new(world: Shared, worker: usize) -> Self {
        Sockets {
            world,
            worker,
            watches: Vec::new(),
            listening: false,
            events: VecDeque::new(),
        }
    }

    /// What there is to report now, some of it perhaps later.
    fn look(&mut self, world: &mut World) {
        let faults = world.scenario.faults;
        let mut events = Vec::new();
        if world.workers[self.worker].woken || world.strikes(faults.spurious) {
            events.push(event(Token::Waker, true, false));
        }
        for listener in 0..world.network.queues.len() {
            let waits = !world.network.queues[listener].is_empty();
            if self.listening && (waits || world.strikes(faults.spurious)) {
                events.push(event(Token::Listener(listener as u32), true, false));
            }
        }
        for watch in &self.watches {
            let network = &world.network;
            let broken = network.is_hung_up(watch.line);
            let readable = watch.interest.read && network.is_readable(watch.line);
            let writable = watch.interest.write && network.room(watch.line) > 0;
            let spurious = world.strikes(faults.spurious);
            if broken || readable || writable || spurious {
                let readable = readable || (spurious && watch.interest.read);
                events.push(event(Token::Connection(watch.id), readable, broken));
            }
        }
        if let Some(last) = self.watches.last()
            && world.strikes(faults.stale)
        {
            // The life of the same slot before this one, whichever it was.
            let generation = world.random.below(u64::from(last.id.generation)) as u32;
            let gone = SlotId {
                generation,
                ..last.id
            };
            events.push(event(Token::Connection(gone), true, true));
        }
        while !events.is_empty() {
            let number = world.random.within(0..events.len());
            let event = events.swap_remove(number);
            if !world.strikes(faults.late) {
                self.events.push_back(event);
            }
        }
    }

    /// Whether there would be something to report if nothing was held back.
    fn has_news(&self, world: &World) -> bool {
        let network = &world.network;
        let waits = |watch: &Watch| {
            network.is_hung_up(watch.line)
                || (watch.interest.read && network.is_readable(watch.line))
                || (watch.interest.write && network.room(watch.line) > 0)
        };
        world.workers[self.worker].woken
            || (self.listening && network.queues.iter().any(|queue| !queue.is_empty()))
            || self.watches.iter().any(waits)
    }

    /// Checks, while nothing can happen, that what a connection wants will be reported.
    pub(crate) fn check_wants(&self, id: SlotId, wants: Wants) -> Result<(), String> {
        let Some(watch) = self.watches.iter().find(|watch| watch.id == id) else {
            return Err(format!("{id:?} is not watched"));
        };
        let wanted = Interest {
            read: wants.read,
            write: wants.write == Write::Send,
        };
        let rests = matches!(wants.write, Write::Send | Write::Rest);
        match watch.interest == wanted && rests {
            true => Ok(()),
            false => Err(format!(
                "{id:?} wants {wants:?} and is watched for {:?}",
                watch.interest
            )),
        }
    }

    /// The connection of that name.
    pub(crate) fn line(&self, id: SlotId) -> Option<Line> {
        let watch = self.watches.iter().find(|watch| watch.id == id);
        watch.map(|watch| watch.line)
    }

    fn place(&mut self, socket: &Socket, id: SlotId) -> &mut Watch {
        let found = self.watches.iter().position(|watch| watch.line == socket.0);
        match found {
            Some(number) if self.watches[number].id == id => &mut self.watches[number],
            _ => self
                .world
                .borrow()
                .fail(Some(socket.0), &format!("it is not {id:?}")),
        }
    }
}

fn event(token: Token, readable: bool, broken: bool) -> Event {
    Event {
        token,
        readable,
        broken,
    }
}

impl Post<Socket> for Sockets {
    fn hand_over(&mut self, socket: Socket, carried: Carried, to: Destination) {
        let mut world = self.world.borrow_mut();
        if self.watches.iter().any(|watch| watch.line == socket.0) {
            world.fail(Some(socket.0), "handed over while it is watched");
        }
        world.hand_over(socket.0, carried, to);
    }

    fn hand_over_fresh(&mut self, _: Socket, _: u32, _: usize) -> Result<(), Socket> {
        self.world.borrow().fail(None, "there is no other worker")
    }

    fn next_letter(&mut self) -> Option<Letter<Socket>> {
        let (line, carried) = self.world.borrow_mut().next_carried(self.worker)?;
        let socket = Socket(line);
        Some(Letter::Connection(socket, Origin::PutDown(carried)))
    }
}

impl Kernel for Sockets {
    type Socket = Socket;

    fn unwatch(&mut self, socket: &Socket) {
        self.watches.retain(|watch| watch.line != socket.0);
    }

    fn post(&mut self) -> &mut impl Post<Socket> {
        self
    }

    fn now(&mut self) -> Moment {
        self.world.borrow_mut().tell(self.worker)
    }

    fn wait(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let world = self.world.clone();
        let mut world = world.borrow_mut();
        self.events.clear();
        let until = world.until(self.worker, patience);
        loop {
            let stirred = world.stir();
            self.events.clear();
            self.look(&mut world);
            let active = stirred || self.has_news(&world);
            if world.pass(self.worker, active, !self.events.is_empty(), until) {
                return Ok(());
            }
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn clear_waker(&mut self) {
        self.world.borrow_mut().workers[self.worker].woken = false;
    }

    fn listen(&mut self, on: bool) -> io::Result<()> {
        self.listening = on;
        Ok(())
    }

    fn accept(&mut self, listener: u32) -> io::Result<Option<Socket>> {
        let mut world = self.world.borrow_mut();
        let faults = world.scenario.faults;
        let fault = world.strikes(faults.accept);
        if world.network.abort(listener as usize) {
            return Err(io::Error::from_raw_os_error(libc::ECONNABORTED));
        }
        let full = world.network.open >= world.scenario.descriptors_max;
        if fault || (full && !world.network.queues[listener as usize].is_empty()) {
            let error = world.random.pick(&[libc::EMFILE, libc::ENFILE]);
            world.note(None, "accept fails", i64::from(error));
            return Err(io::Error::from_raw_os_error(error));
        }
        let line = world.network.accept(listener as usize);
        if line.is_some() {
            world.note(line, "is accepted", 0);
        }
        Ok(line.map(Socket))
    }

    fn watch(&mut self, socket: &Socket, id: SlotId, interest: Interest) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let faults = world.scenario.faults;
        if world.strikes(faults.watch) {
            world.peer_mut(socket.0).hurt = true;
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.watches.push(Watch {
            line: socket.0,
            id,
            interest,
        });
        Ok(())
    }

    fn rewatch(&mut self, socket: &Socket, id: SlotId, interest: Interest) -> io::Result<()> {
        self.place(socket, id).interest = interest;
        let mut world = self.world.borrow_mut();
        let faults = world.scenario.faults;
        if world.strikes(faults.watch) {
            world.peer_mut(socket.0).hurt = true;
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        Ok(())
    }

    fn receive(&mut self, socket: &Socket, into: &mut [u8]) -> Received {
        let mut world = self.world.borrow_mut();
        let unread = world.network.unread(socket.0);
        let max = match unread {
            0 => 1,
            _ if world.random.one_in(2) => unread,
            _ => world.random.within(1..unread + 1),
        };
        let max = max.min(into.len());
        let read = world.network.read(socket.0, &mut into[..max]);
        let count = if let Read::Bytes(count) = read {
            world.network.hear(socket.0);
            count as i64
        } else {
            0
        };
        world.note(Some(socket.0), "a receive takes", count);
        match read {
            Read::Bytes(count) => Received::Bytes(count),
            Read::Finished => Received::Finished,
            Read::Nothing => Received::Nothing,
            Read::Failed => Received::Failed,
        }
    }

    fn send(&mut self, socket: &Socket, bytes: &[u8], _more: bool) -> Sent {
        let mut world = self.world.borrow_mut();
        let faults = world.scenario.faults;
        world.network.connections[socket.0].answered = true;
        if world.strikes(faults.nothing) {
            return Sent::Bytes(0);
        }
        let full = world.network.room(socket.0) == 0 && !world.network.connections[socket.0].broken;
        if full || world.strikes(faults.again) {
            world.note(Some(socket.0), "a send finds no room", 0);
            return Sent::Blocked;
        }
        let short = world.strikes(faults.short) && !bytes.is_empty();
        let end = if short {
            world.random.within(0..bytes.len())
        } else {
            bytes.len()
        };
        let sent = world.network.write(socket.0, &bytes[..end]);
        world.note(
            Some(socket.0),
            "a send takes",
            sent.map_or(-1, |count| count as i64),
        );
        sent.map_or(Sent::Failed, Sent::Bytes)
    }

    fn standing(&self, socket: &Socket) -> Standing {
        self.world.borrow().network.standing(socket.0)
    }

    fn peer(&self, _: &Socket) -> Option<SocketAddr> {
        None
    }

    fn shut_down(&mut self, socket: &Socket) {
        let mut world = self.world.borrow_mut();
        world.note(Some(socket.0), "the server sends FIN", 0);
        world.network.finish(socket.0);
    }

    fn close(&mut self, socket: Socket, reset: bool) {
        let mut world = self.world.borrow_mut();
        world.note(Some(socket.0), "the server closes, reset", i64::from(reset));
        world.network.close(socket.0, reset);
        self.watches.retain(|watch| watch.line != socket.0);
    }
}

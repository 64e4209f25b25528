//! Many sessions over one epoll instance, by slot.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use slab::Slab;

use super::ending::{Ending, Farewell};
use super::{Crew, Session, Task};
use crate::dial::address::connecting;

/// Events taken per wait.
const EVENTS_MAX: usize = 256;

/// Event data from here on belong to descriptors that are no sessions; those have their slot.
const SIGNS: u64 = u64::MAX - 0xff;

/// How often deadlines are looked at.
const LOOK_NS: u64 = 50_000_000;

/// What a wait found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The session in this slot can go on.
    Session(usize),
    /// The descriptor watched under this sign is readable.
    Sign(u8),
}

/// A session that is over.
pub(crate) struct Ended {
    /// What it was; `None` if it could not even begin.
    pub(crate) session: Option<Session>,
    /// How it ended.
    pub(crate) how: Result<Farewell, Ending>,
}

/// Visits under way.
pub(crate) struct Crowd {
    epoll: OwnedFd,
    sessions: Slab<Session>,
    most: usize,
    next_look: u64,
}

impl Crowd {
    /// Room for so many at a time.
    pub(crate) fn new(slots: usize) -> io::Result<Crowd> {
        Ok(Crowd {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            sessions: Slab::with_capacity(slots),
            most: slots,
            next_look: 0,
        })
    }

    /// Watches a descriptor that is no session.
    pub(crate) fn watch(&self, descriptor: impl AsFd, sign: u8) -> io::Result<()> {
        let data = EventData::new_u64(SIGNS + u64::from(sign));
        Ok(epoll::add(&self.epoll, descriptor, data, EventFlags::IN)?)
    }

    /// How many sessions more there is room for.
    pub(crate) fn room(&self) -> usize {
        self.most - self.sessions.len()
    }

    /// Visits under way.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Those that are there, by slot.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (usize, &Session)> {
        self.sessions.iter()
    }

    /// Begins a session, for which there must be room, as [`Session::begin`] does; it may be over at once.
    pub(crate) fn begin(
        &mut self,
        crew: &Crew,
        ordinal: usize,
        task: Task,
        due: u64,
        patience: u64,
    ) -> Option<Ended> {
        let (session, failed) = match Session::begin(crew, ordinal, task, due, patience) {
            Err(ending) => (None, ending),
            Ok(session) => {
                let entry = self.sessions.vacant_entry();
                let data = EventData::new_u64(entry.key() as u64);
                match epoll::add(&self.epoll, &session.socket, data, session.interest()) {
                    Ok(()) => {
                        entry.insert(session);
                        return None;
                    }
                    Err(error) => (Some(session), connecting(error.into()).into()),
                }
            }
        };
        let how = Err(failed);
        Some(Ended { session, how })
    }

    /// Waits for `timeout` at most and adds what is ready to `ready`.
    pub(crate) fn wait(&self, timeout: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        let timeout = Timespec::try_from(timeout).ok();
        let found = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((found, _)) => found,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        ready.extend(found.iter().map(|event| match event.data.u64() {
            slot if slot < SIGNS => Ready::Session(slot as usize),
            sign => Ready::Sign((sign - SIGNS) as u8),
        }));
        Ok(())
    }

    /// Lets the session in `slot` go on; hands it out if that was its end.
    pub(crate) fn advance(&mut self, slot: usize, crew: &mut Crew) -> Option<Ended> {
        self.with(slot, crew, Session::advance)
    }

    /// Lets the session in `slot`, which rests, take leave.
    pub(crate) fn leave(&mut self, slot: usize, echo: bool, crew: &mut Crew) -> Option<Ended> {
        self.with(slot, crew, |session, crew| {
            session.leave(echo, crew).map(|()| None)
        })
    }

    /// What the session in `slot` is, if there is one.
    pub(crate) fn session(&mut self, slot: usize) -> Option<&mut Session> {
        self.sessions.get_mut(slot)
    }

    fn with(
        &mut self,
        slot: usize,
        crew: &mut Crew,
        act: impl FnOnce(&mut Session, &mut Crew) -> Result<Option<Farewell>, Ending>,
    ) -> Option<Ended> {
        let session = self.sessions.get_mut(slot)?;
        let (address, before) = (session.address, session.interest());
        let how = match act(session, crew) {
            Ok(None) => {
                let data = EventData::new_u64(slot as u64);
                let interest = session.interest();
                let watched = if session.address != address {
                    // Another socket: the one before has left the set by being closed.
                    epoll::add(&self.epoll, &session.socket, data, interest)
                } else if interest != before {
                    epoll::modify(&self.epoll, &session.socket, data, interest)
                } else {
                    Ok(())
                };
                Err(connecting(watched.err()?.into()).into())
            }
            Ok(Some(farewell)) => Ok(farewell),
            Err(ending) => Err(ending),
        };
        let mut session = self.remove(slot);
        if let (Some(session), Err(ending)) = (&mut session, &how) {
            session.resign(ending.failure.close_code(), crew);
        }
        Some(Ended { session, how })
    }

    /// Takes the session out of `slot`. Dropping it closes its socket, which leaves the epoll set by that.
    pub(crate) fn remove(&mut self, slot: usize) -> Option<Session> {
        self.sessions.try_remove(slot)
    }

    /// Closes the sockets of all.
    pub(crate) fn clear(&mut self) {
        self.sessions.clear();
    }

    /// Takes out the sessions whose deadline is over; looks every 50 ms only. `seconds` is how long they
    /// had.
    pub(crate) fn expire(&mut self, crew: &mut Crew, seconds: f64) -> Vec<Ended> {
        let now = crew.clock.now();
        if now < self.next_look {
            return Vec::new();
        }
        self.next_look = now + LOOK_NS;
        let late = self
            .sessions()
            .filter(|(_, session)| session.deadline <= now);
        let late: Vec<usize> = late.map(|(slot, _)| slot).collect();
        let expire =
            |session: &mut Session, crew: &mut Crew| session.expire(crew, seconds).map(|()| None);
        let ended = late
            .into_iter()
            .filter_map(|slot| self.with(slot, crew, expire));
        ended.collect()
    }
}

impl AsFd for Crowd {
    /// Readable when a session can go on.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

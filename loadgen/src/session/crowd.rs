//! Many visits over one epoll instance, by slot.

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
use super::{Crew, Task, Visit};
use crate::dial::address::connecting;

/// Events taken per wait.
const EVENTS_MAX: usize = 256;

/// Event data from here on belong to descriptors that are no visits; those have their slot.
const SIGNS: u64 = u64::MAX - 0xff;

/// How often deadlines are looked at.
const LOOK_NS: u64 = 50_000_000;

/// What a wait found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// The visit in this slot can go on.
    Visit(usize),
    /// The descriptor watched under this sign is readable.
    Sign(u8),
}

/// A visit that is over.
pub(crate) struct Ended {
    /// What it was; `None` if it could not even begin.
    pub(crate) visit: Option<Visit>,
    /// How it ended.
    pub(crate) how: Result<Farewell, Ending>,
}

/// Visits under way.
pub(crate) struct Crowd {
    epoll: OwnedFd,
    visits: Slab<Visit>,
    most: usize,
    next_look: u64,
}

impl Crowd {
    /// Room for so many at a time.
    pub(crate) fn new(slots: usize) -> io::Result<Crowd> {
        Ok(Crowd {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            visits: Slab::with_capacity(slots),
            most: slots,
            next_look: 0,
        })
    }

    /// Watches a descriptor that is no visit.
    pub(crate) fn watch(&self, descriptor: impl AsFd, sign: u8) -> io::Result<()> {
        let data = EventData::new_u64(SIGNS + u64::from(sign));
        Ok(epoll::add(&self.epoll, descriptor, data, EventFlags::IN)?)
    }

    /// How many visits more there is room for.
    pub(crate) fn room(&self) -> usize {
        self.most - self.visits.len()
    }

    /// Visits under way.
    pub(crate) fn len(&self) -> usize {
        self.visits.len()
    }

    /// Those that are there, by slot.
    pub(crate) fn visits(&self) -> impl Iterator<Item = (usize, &Visit)> {
        self.visits.iter()
    }

    /// Begins a visit, for which there must be room, as [`Visit::begin`] does; it may be over at once.
    pub(crate) fn begin(
        &mut self,
        crew: &Crew,
        ordinal: usize,
        task: Task,
        due: u64,
        patience: u64,
    ) -> Option<Ended> {
        let (visit, failed) = match Visit::begin(crew, ordinal, task, due, patience) {
            Err(ending) => (None, ending),
            Ok(visit) => {
                let entry = self.visits.vacant_entry();
                let data = EventData::new_u64(entry.key() as u64);
                match epoll::add(&self.epoll, &visit.socket, data, visit.interest()) {
                    Ok(()) => {
                        entry.insert(visit);
                        return None;
                    }
                    Err(error) => (Some(visit), connecting(error.into()).into()),
                }
            }
        };
        let how = Err(failed);
        Some(Ended { visit, how })
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
            slot if slot < SIGNS => Ready::Visit(slot as usize),
            sign => Ready::Sign((sign - SIGNS) as u8),
        }));
        Ok(())
    }

    /// Lets the visit in `slot` go on; hands it out if that was its end.
    pub(crate) fn advance(&mut self, slot: usize, crew: &mut Crew) -> Option<Ended> {
        self.with(slot, crew, Visit::advance)
    }

    /// Lets the visit in `slot`, which rests, take leave.
    pub(crate) fn leave(&mut self, slot: usize, echo: bool, crew: &mut Crew) -> Option<Ended> {
        self.with(slot, crew, |visit, crew| {
            visit.leave(echo, crew).map(|()| None)
        })
    }

    /// What the visit in `slot` is, if there is one.
    pub(crate) fn visit(&mut self, slot: usize) -> Option<&mut Visit> {
        self.visits.get_mut(slot)
    }

    fn with(
        &mut self,
        slot: usize,
        crew: &mut Crew,
        act: impl FnOnce(&mut Visit, &mut Crew) -> Result<Option<Farewell>, Ending>,
    ) -> Option<Ended> {
        let visit = self.visits.get_mut(slot)?;
        let (address, before) = (visit.address, visit.interest());
        let how = match act(visit, crew) {
            Ok(None) => {
                let data = EventData::new_u64(slot as u64);
                let interest = visit.interest();
                let watched = if visit.address != address {
                    // Another socket: the one before has left the set by being closed.
                    epoll::add(&self.epoll, &visit.socket, data, interest)
                } else if interest != before {
                    epoll::modify(&self.epoll, &visit.socket, data, interest)
                } else {
                    Ok(())
                };
                Err(connecting(watched.err()?.into()).into())
            }
            Ok(Some(farewell)) => Ok(farewell),
            Err(ending) => Err(ending),
        };
        let mut visit = self.remove(slot);
        if let (Some(visit), Err(ending)) = (&mut visit, &how) {
            visit.resign(ending.failure.close_code(), crew);
        }
        Some(Ended { visit, how })
    }

    /// Takes the visit out of `slot`. Dropping it closes its socket, which leaves the epoll set by that.
    pub(crate) fn remove(&mut self, slot: usize) -> Option<Visit> {
        self.visits.try_remove(slot)
    }

    /// Closes the sockets of all.
    pub(crate) fn clear(&mut self) {
        self.visits.clear();
    }

    /// Takes out the visits whose deadline is over; looks every 50 ms only. `seconds` is how long they
    /// had.
    pub(crate) fn expire(&mut self, crew: &mut Crew, seconds: f64) -> Vec<Ended> {
        let now = crew.clock.now();
        if now < self.next_look {
            return Vec::new();
        }
        self.next_look = now + LOOK_NS;
        let late = self.visits().filter(|(_, visit)| visit.deadline <= now);
        let late: Vec<usize> = late.map(|(slot, _)| slot).collect();
        let expire =
            |visit: &mut Visit, crew: &mut Crew| visit.expire(crew, seconds).map(|()| None);
        let ended = late
            .into_iter()
            .filter_map(|slot| self.with(slot, crew, expire));
        ended.collect()
    }
}

impl AsFd for Crowd {
    /// Readable when a visit can go on.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

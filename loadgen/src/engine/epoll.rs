//! Level-triggered readiness, one hot receive buffer, send at once: the fallback, and what serves every
//! connection until the load begins.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::sockets::Sockets;
use crate::alarm::Alarm;
use crate::control::Bell;
use crate::fault::Fault;
use crate::pacer::Patience;
use crate::session::opener::Opener;
use crate::worker::{Order, Worker};

/// Receive buffer of the thread.
const RECEIVE_BYTES: usize = 256 * 1024;

/// Events taken per wait.
const EVENTS_MAX: usize = 256;

/// Event data of the wake-up bell, of the alarm, and of connections that are being opened; sockets have their
/// index.
const WAKE: u64 = u64::MAX;
const ALARM: u64 = u64::MAX - 1;
const OPENING: u64 = u64::MAX - 2;

fn setup_fault(error: Errno) -> Fault {
    Fault::engine("setting up epoll", error.into())
}

/// A worker's connections and what waits for them.
pub(crate) struct Driver<'a> {
    worker: &'a mut Worker,
    /// Rings when the phase has changed.
    wake: &'a Bell,
    sockets: Sockets<'a>,
    epoll: OwnedFd,
    /// Goes off when something is due.
    alarm: Alarm,
    /// Connections that have something new to send.
    touched: Vec<usize>,
    waits_to_write: Vec<bool>,
    buffer: Box<[u8]>,
}

impl<'a> Driver<'a> {
    /// Without connections yet; `opener` is to open them.
    pub(crate) fn new(
        worker: &'a mut Worker,
        wake: &'a Bell,
        opener: Opener<'a>,
    ) -> Result<Driver<'a>, Fault> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(setup_fault)?;
        let alarm = Alarm::new().map_err(|error| Fault::engine("setting up a timer", error))?;
        let watch = |fd, data| epoll::add(&epoll, fd, EventData::new_u64(data), EventFlags::IN);
        watch(wake.as_fd(), WAKE).map_err(setup_fault)?;
        watch(alarm.as_fd(), ALARM).map_err(setup_fault)?;
        watch(opener.as_fd(), OPENING).map_err(setup_fault)?;
        let connections = worker.connections();
        Ok(Driver {
            worker,
            wake,
            sockets: Sockets::new(opener, connections),
            epoll,
            alarm,
            touched: Vec::new(),
            waits_to_write: vec![false; connections],
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        })
    }

    /// Has the connections opened and answers what their servers ask meanwhile, until the load begins, or never
    /// will; says whether it does.
    pub(super) fn attend(&mut self) -> Result<bool, Fault> {
        while !self.worker.has_begun() {
            self.open()?;
            let wait = self.sockets.opener.patience();
            self.turn(wait)?;
        }
        Ok(!self.worker.is_abandoned())
    }

    /// Lets go of connections that have ended before their time, and takes in those that stand.
    fn open(&mut self) -> Result<(), Fault> {
        while let Some((index, ordinal)) = self.worker.take_lost() {
            // A Close may be due; nobody is to blame if it cannot be sent.
            let _ = self.flush(index);
            self.sockets.all[index] = None;
            self.waits_to_write[index] = false;
            self.sockets.opener.again(ordinal, false);
        }
        for index in self.sockets.open(self.worker)? {
            if let Some(socket) = &self.sockets.all[index] {
                let data = EventData::new_u64(index as u64);
                epoll::add(&self.epoll, socket, data, EventFlags::IN).map_err(setup_fault)?;
            }
            self.flush(index)?;
        }
        Ok(())
    }

    /// Sends what is due before the sockets are closed, a Close above all, as far as that goes without waiting.
    pub(super) fn resign(&mut self, fault: Option<&Fault>) {
        self.worker.resign(fault);
        for index in 0..self.sockets.all.len() {
            let _ = self.flush(index);
        }
    }

    /// What another engine needs to go on.
    pub(super) fn parts(&mut self) -> (&mut Worker, &mut Sockets<'a>, &'a Bell) {
        (self.worker, &mut self.sockets, self.wake)
    }

    /// See [`super::Engine::drive`].
    pub(super) fn drive(&mut self) -> Result<(), Fault> {
        self.worker.start();
        self.flush_all()?;
        loop {
            self.open()?;
            self.pace()?;
            self.worker.publish();
            let wait = match self.worker.patience() {
                Patience::Poll => Some(Duration::ZERO),
                Patience::Endless => self.sockets.opener.patience(),
                // The alarm ends the wait.
                Patience::Until(until) => {
                    let set = self.alarm.set(until);
                    set.map_err(|error| Fault::engine("setting a timer", error))?;
                    self.sockets.opener.patience()
                }
            };
            let has_found = self.turn(wait)?;
            self.worker.waited(has_found);
            match self.worker.look() {
                Order::Continue => {}
                Order::FlushAll => self.flush_all()?,
                Order::Leave => {
                    self.worker.publish();
                    return Ok(());
                }
            }
        }
    }

    /// Waits for events and handles them; says whether there were any.
    fn turn(&mut self, wait: Option<Duration>) -> Result<bool, Fault> {
        let timeout = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        let (ready, _) = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Ok(true),
            Err(error) => return Err(Fault::engine("waiting for events", error.into())),
        };
        for event in &*ready {
            match event.data.u64() {
                WAKE => self.wake.hush(),
                ALARM => self.alarm.hush(),
                // They are looked at in each round.
                OPENING => {}
                index => self.serve(index as usize, event.flags)?,
            }
        }
        Ok(!ready.is_empty())
    }

    fn serve(&mut self, index: usize, flags: EventFlags) -> Result<(), Fault> {
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.receive(index)?;
        }
        // A full socket would refuse again until it says that it has room.
        if !self.waits_to_write[index] || flags.contains(EventFlags::OUT) {
            self.flush(index)?;
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<(), Fault> {
        let Some(socket) = &self.sockets.all[index] else {
            return Ok(());
        };
        let received = recv(socket, &mut *self.buffer, RecvFlags::DONTWAIT);
        // A system call lies between two receives here, so each has its own time.
        self.worker.tick();
        match received {
            Ok((0, _)) => self.worker.end_of_stream(index)?,
            Ok((bytes, _)) => self.worker.receive(index, &self.buffer[..bytes])?,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => self.worker.io_error(index, "receiving", error.into())?,
        }
        if self.worker.is_ended(index) {
            epoll::delete(&self.epoll, socket).map_err(setup_fault)?;
        }
        Ok(())
    }

    /// Sends what the schedule says.
    fn pace(&mut self) -> Result<(), Fault> {
        self.worker.tick();
        self.worker.pace(&mut self.touched);
        while let Some(index) = self.touched.pop() {
            if !self.waits_to_write[index] {
                self.flush(index)?;
            }
        }
        Ok(())
    }

    fn flush_all(&mut self) -> Result<(), Fault> {
        (0..self.sockets.all.len()).try_for_each(|index| self.flush(index))
    }

    /// Sends what connection `index` has, and asks for writability if the socket is full.
    fn flush(&mut self, index: usize) -> Result<(), Fault> {
        let Some(socket) = &self.sockets.all[index] else {
            return Ok(());
        };
        self.worker.tick();
        let mut full = false;
        while let Some(bytes) = self.worker.outgoing(index) {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let (sent, error) = match send(socket, bytes, flags) {
                Ok(sent) => (sent, None),
                Err(error) => (0, Some(error)),
            };
            self.worker.sent(index, sent);
            match error {
                None | Some(Errno::INTR) => {}
                Some(Errno::AGAIN) => {
                    full = true;
                    break;
                }
                // What the server said before it closed, if anything, tells more than EPIPE:
                // the socket is readable now, and the receive will judge.
                Some(Errno::PIPE | Errno::CONNRESET) => return Ok(()),
                Some(error) => return self.worker.io_error(index, "sending", error.into()),
            }
        }
        if full != self.waits_to_write[index] && !self.worker.is_ended(index) {
            self.waits_to_write[index] = full;
            let mut interest = EventFlags::IN;
            interest.set(EventFlags::OUT, full);
            let data = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, socket, data, interest).map_err(setup_fault)?;
        }
        Ok(())
    }
}

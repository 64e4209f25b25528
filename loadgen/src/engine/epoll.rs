//! Level-triggered readiness, one hot receive buffer, send at once: the fallback, and what serves every
//! connection until the load begins.

use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::mpsc::Receiver;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::alarm::Alarm;
use crate::control::Bell;
use crate::dial::Dialed;
use crate::fault::Fault;
use crate::pacer::Patience;
use crate::worker::{Order, Worker};

/// Receive buffer of the thread.
const RECEIVE_BYTES: usize = 256 * 1024;

/// Events taken per wait.
const EVENTS_MAX: usize = 256;

/// Event data of the wake-up bell and of the alarm; sockets have their index.
const WAKE: u64 = u64::MAX;
const ALARM: u64 = u64::MAX - 1;

/// The alarm ends a wait that is to end; a poll does not wait.
fn timeout(patience: Patience) -> Option<&'static Timespec> {
    const NO_TIME: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    (patience == Patience::Poll).then_some(&NO_TIME)
}

fn setup_fault(error: Errno) -> Fault {
    Fault::engine("setting up epoll", error.into())
}

/// A worker's connections and what waits for them.
pub(crate) struct Driver<'a> {
    worker: &'a mut Worker,
    /// Rings when the phase has changed, or a connection has arrived.
    wake: &'a Bell,
    sockets: Vec<TcpStream>,
    epoll: OwnedFd,
    /// Goes off when something is due.
    alarm: Alarm,
    /// Connections that have something new to send.
    touched: Vec<usize>,
    waits_to_write: Vec<bool>,
    buffer: Box<[u8]>,
}

impl<'a> Driver<'a> {
    /// Without connections yet.
    pub(crate) fn new(worker: &'a mut Worker, wake: &'a Bell) -> Result<Driver<'a>, Fault> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(setup_fault)?;
        let alarm = Alarm::new().map_err(|error| Fault::engine("setting up a timer", error))?;
        let watch = |fd, data| epoll::add(&epoll, fd, EventData::new_u64(data), EventFlags::IN);
        watch(wake.as_fd(), WAKE).map_err(setup_fault)?;
        watch(alarm.as_fd(), ALARM).map_err(setup_fault)?;
        Ok(Driver {
            worker,
            wake,
            sockets: Vec::new(),
            epoll,
            alarm,
            touched: Vec::new(),
            waits_to_write: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        })
    }

    /// Takes in connections as they arrive, and answers what their servers ask meanwhile, until the load
    /// begins.
    pub(crate) fn attend(
        &mut self,
        arrivals: &Receiver<Result<Dialed, Fault>>,
    ) -> Result<(), Fault> {
        loop {
            // Before the arrivals: the load begins after the last of them.
            let has_begun = self.worker.has_begun();
            for dialed in arrivals.try_iter() {
                self.add(dialed?)?;
            }
            if has_begun {
                return Ok(());
            }
            self.turn(None)?;
        }
    }

    fn add(&mut self, dialed: Dialed) -> Result<(), Fault> {
        let index = self.sockets.len();
        let socket = self.worker.add(dialed)?;
        socket
            .set_nonblocking(true)
            .map_err(|error| Fault::engine("preparing a socket", error))?;
        let data = EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN).map_err(setup_fault)?;
        self.sockets.push(socket);
        self.waits_to_write.push(false);
        self.flush(index)
    }

    /// What another engine needs to go on.
    pub(super) fn into_parts(self) -> (&'a mut Worker, Vec<TcpStream>, &'a Bell) {
        (self.worker, self.sockets, self.wake)
    }

    /// See [`super::Engine::drive`].
    pub(super) fn drive(mut self) -> Result<(), Fault> {
        self.worker.start();
        self.flush_all()?;
        loop {
            self.pace()?;
            self.worker.publish();
            let patience = self.worker.patience();
            if let Patience::Until(patience) = patience {
                self.alarm
                    .set(patience)
                    .map_err(|error| Fault::engine("setting a timer", error))?;
            }
            let has_found = self.turn(timeout(patience))?;
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
    fn turn(&mut self, timeout: Option<&Timespec>) -> Result<bool, Fault> {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        let (ready, _) = match epoll::wait(&self.epoll, &mut events, timeout) {
            Ok(ready) => ready,
            Err(Errno::INTR) => return Ok(true),
            Err(error) => {
                return Err(Fault::engine("waiting for events", error.into()));
            }
        };
        for event in &*ready {
            let data = event.data.u64();
            match data {
                WAKE => {
                    self.wake.hush();
                    continue;
                }
                ALARM => {
                    self.alarm.hush();
                    continue;
                }
                _ => {}
            }
            let index = data as usize;
            let flags = event.flags;
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                self.receive(index)?;
            }
            // A full socket would refuse again until it says that it has room.
            if !self.waits_to_write[index] || flags.contains(EventFlags::OUT) {
                self.flush(index)?;
            }
        }
        Ok(!ready.is_empty())
    }

    fn receive(&mut self, index: usize) -> Result<(), Fault> {
        let received = recv(&self.sockets[index], &mut *self.buffer, RecvFlags::DONTWAIT);
        // A system call lies between two receives here, so each has its own time.
        self.worker.tick();
        match received {
            Ok((0, _)) => self.worker.end_of_stream(index)?,
            Ok((bytes, _)) => self.worker.receive(index, &self.buffer[..bytes])?,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => self.worker.io_error(index, "receiving", error.into())?,
        }
        if self.worker.is_closed(index) {
            epoll::delete(&self.epoll, &self.sockets[index]).map_err(setup_fault)?;
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
        (0..self.sockets.len()).try_for_each(|index| self.flush(index))
    }

    /// Sends what connection `index` has, and asks for writability if the socket is full.
    fn flush(&mut self, index: usize) -> Result<(), Fault> {
        if self.worker.is_closed(index) {
            return Ok(());
        }
        self.worker.tick();
        let mut full = false;
        while let Some(bytes) = self.worker.outgoing(index) {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let (sent, error) = match send(&self.sockets[index], bytes, flags) {
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
        if full != self.waits_to_write[index] {
            self.waits_to_write[index] = full;
            let mut interest = EventFlags::IN;
            interest.set(EventFlags::OUT, full);
            let data = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, &self.sockets[index], data, interest)
                .map_err(setup_fault)?;
        }
        Ok(())
    }
}

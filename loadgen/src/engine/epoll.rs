//! The fallback: level-triggered readiness, one hot receive buffer, send at once.

use std::mem::MaybeUninit;
use std::net::TcpStream;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::alarm::Alarm;
use crate::control::Bell;
use crate::pacer::Patience;
use crate::worker::{Fault, Order, Worker};

/// Receive buffer of the thread.
const RECEIVE_BYTES: usize = 256 * 1024;

/// Events taken per wait.
const EVENTS_MAX: usize = 256;

/// Event data of the wake-up bell and of the alarm; sockets have their index.
const WAKE: u64 = u64::MAX;
const ALARM: u64 = u64::MAX - 1;

/// See [`super::Engine::drive`].
pub(super) fn drive(worker: &mut Worker, sockets: &[TcpStream], wake: &Bell) -> Result<(), Fault> {
    let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(setup_fault)?;
    epoll::add(&epoll, wake, EventData::new_u64(WAKE), EventFlags::IN).map_err(setup_fault)?;
    for (index, socket) in sockets.iter().enumerate() {
        epoll::add(
            &epoll,
            socket,
            EventData::new_u64(index as u64),
            EventFlags::IN,
        )
        .map_err(setup_fault)?;
    }
    let alarm = Alarm::new().map_err(|error| Worker::engine_fault("setting up a timer", error))?;
    epoll::add(&epoll, &alarm, EventData::new_u64(ALARM), EventFlags::IN).map_err(setup_fault)?;
    let mut driver = Driver {
        worker,
        sockets,
        epoll,
        alarm,
        touched: Vec::new(),
        waits_to_write: vec![false; sockets.len()],
    };
    driver.worker.start()?;
    driver.flush_all()?;
    driver.run(wake)
}

/// The alarm ends a wait that is to end; a poll does not wait.
fn timeout(patience: Patience) -> Option<&'static Timespec> {
    const NO_TIME: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    (patience == Patience::Poll).then_some(&NO_TIME)
}

fn setup_fault(error: Errno) -> Fault {
    Worker::engine_fault("setting up epoll", error.into())
}

struct Driver<'a> {
    worker: &'a mut Worker,
    sockets: &'a [TcpStream],
    epoll: OwnedFd,
    /// Goes off when something is due.
    alarm: Alarm,
    /// Connections that have something new to send.
    touched: Vec<usize>,
    waits_to_write: Vec<bool>,
}

impl Driver<'_> {
    fn run(&mut self, wake: &Bell) -> Result<(), Fault> {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); EVENTS_MAX];
        let mut buffer = vec![0u8; RECEIVE_BYTES];
        loop {
            self.pace()?;
            self.worker.publish();
            let patience = self.worker.patience();
            if let Patience::Until(patience) = patience {
                self.alarm
                    .set(patience)
                    .map_err(|error| Worker::engine_fault("setting a timer", error))?;
            }
            let (ready, _) = match epoll::wait(&self.epoll, &mut events, timeout(patience)) {
                Ok(ready) => ready,
                Err(Errno::INTR) => continue,
                Err(error) => {
                    return Err(Worker::engine_fault("waiting for events", error.into()));
                }
            };
            if ready.is_empty() && patience == Patience::Poll {
                self.worker.polled_in_vain();
            }
            for event in &*ready {
                let data = event.data.u64();
                match data {
                    WAKE => {
                        wake.hush();
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
                    self.receive(index, &mut buffer)?;
                }
                // A full socket would refuse again until it says that it has room.
                if !self.waits_to_write[index] || flags.contains(EventFlags::OUT) {
                    self.flush(index)?;
                }
            }
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

    fn receive(&mut self, index: usize, buffer: &mut [u8]) -> Result<(), Fault> {
        let received = recv(&self.sockets[index], &mut *buffer, RecvFlags::DONTWAIT);
        // A system call lies between two receives here, so each has its own time.
        self.worker.tick();
        match received {
            Ok((0, _)) => self.worker.end_of_stream(index)?,
            Ok((bytes, _)) => self.worker.receive(index, &buffer[..bytes])?,
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

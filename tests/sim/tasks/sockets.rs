//! The world as the engine sees it: every operation is one of `operations.rs`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use ringback::engine::tokio_uring::world::{self, Outgoing};
use ringback::engine::{Letter, Origin, Post};
use ringback::protocol::Moment;
use ringback::shard::{Carried, Destination, Standing};

use crate::sim::network::Line;

use super::operations::{Kernel, What};

/// What the engine runs in.
pub(super) struct Runtime(pub(super) Rc<Kernel>);

impl Post<Socket> for &Runtime {
    fn hand_over(&mut self, socket: Socket, carried: Carried, to: Destination) {
        self.0.forget(socket.line, "handed over");
        let mut world = self.0.world.borrow_mut();
        world.hand_over(socket.line, carried, to);
    }

    fn hand_over_fresh(&mut self, _: Socket, _: u32, _: usize) -> Result<(), Socket> {
        self.0.world.borrow().fail(None, "there is no other worker")
    }

    fn next_letter(&mut self) -> Option<Letter<Socket>> {
        let (line, carried) = self.0.world.borrow_mut().next_carried(self.0.worker)?;
        self.0.arrive(line);
        let kernel = self.0.clone();
        let socket = Socket { kernel, line };
        Some(Letter::Connection(socket, Origin::PutDown(carried)))
    }
}

impl world::World for Runtime {
    type Listener = Door;
    type Stream = Socket;

    fn now(&self) -> Moment {
        self.0.world.borrow().moment()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.spawn(task);
    }

    async fn sleep_until(&self, due: Moment) {
        let _ = self.0.operation(What::Sleep(due), None).await;
    }

    fn post(&self) -> impl Post<Socket> {
        self
    }

    async fn turn(&self) {
        let _ = self.0.operation(What::Turn, None).await;
    }
}

/// A listener of the simulated network.
pub(super) struct Door {
    kernel: Rc<Kernel>,
    number: usize,
}

impl Door {
    pub(super) fn new(kernel: Rc<Kernel>, number: usize) -> Self {
        Door { kernel, number }
    }
}

impl world::Listener for Door {
    type Stream = Socket;

    async fn accept(&self) -> io::Result<Socket> {
        let what = What::Accept(self.number);
        let (result, _) = self.kernel.operation(what, None).await;
        let line = error(result)?;
        self.kernel.arrive(line);
        self.kernel.world.borrow_mut().network.enter(line);
        let kernel = self.kernel.clone();
        Ok(Socket { kernel, line })
    }

    fn shut(&self) {
        self.kernel.shut(self.number);
    }
}

/// A socket of the simulated network. Dropped without having been closed, it leaks, and is found at the
/// end.
pub(super) struct Socket {
    kernel: Rc<Kernel>,
    line: Line,
}

impl world::Stream for Socket {
    async fn read(&self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let what = What::Read(buffer);
        let (result, what) = self.kernel.operation(what, Some(self.line)).await;
        match what {
            What::Read(buffer) => (error(result), buffer),
            _ => unreachable!("an operation gives back what it was given"),
        }
    }

    async fn write(&self, bytes: Outgoing) -> io::Result<usize> {
        let copy = bytes.bytes().to_vec();
        let what = What::Write(bytes, copy);
        error(self.kernel.operation(what, Some(self.line)).await.0)
    }

    fn peer(&self) -> Option<SocketAddr> {
        None
    }

    fn standing(&self) -> Standing {
        self.kernel.world.borrow().network.standing(self.line)
    }

    fn half_close(&self) {
        self.kernel.half_close(self.line);
    }

    fn cancel(&self) {
        self.kernel.cancel(self.line);
    }

    fn close(self, reset: bool) {
        self.kernel.close(self.line, reset);
    }
}

fn error(result: Result<usize, i32>) -> io::Result<usize> {
    result.map_err(io::Error::from_raw_os_error)
}

//! The seam's real side: a tokio-uring runtime.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ::tokio_uring::buf::IoBuf;
use ::tokio_uring::{OneshotOutputTransform, Runtime, UnsubmittedOneshot, net};
use io_uring::IoUring;
use io_uring_of_tokio::cqueue::Entry;
use io_uring_of_tokio::opcode::AsyncCancel2;
use io_uring_of_tokio::types::{CancelBuilder, Fd};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::warn;

use super::core::Shared;
use super::serve::serve;
use super::world::{Listener, Outgoing, Stream, World};
use crate::engine::UringTuning;
use crate::engine::open_ring::open_ring;
use crate::engine::post::Mail;
use crate::engine::socket::{self, reset_on_close};
use crate::engine::{Feature, Letter, Post, Worker};
use crate::protocol::Moment;
use crate::shard::{Carried, Destination, Standing};
use crate::sys::clock;

/// Completions that the ring holds for each entry of its submission queue. A connection has up to two
/// operations under way, and many connections may have something at once.
const COMPLETIONS_PER_ENTRY: u32 = 4;

/// What a ring can be set up with, best first. Completions are always delivered as a system call of the
/// thread ends; the driver waits in epoll and could not ask for deferred ones (6.1).
const SETUPS: [Setup; 2] = [
    Setup {
        name: "single issuer",
        since: "6.0",
        single_issuer: true,
    },
    Setup {
        name: "cooperative task work, operations cancelled by their socket",
        since: "5.19",
        single_issuer: false,
    },
];

struct Setup {
    name: &'static str,
    since: &'static str,
    single_issuer: bool,
}

/// Serves on this thread until told to stop.
///
/// # Errors
/// What the kernel says of the ring. [`crate::engine::is_absent`] tells whether it can be had at all.
pub fn run(worker: &Worker<'_>, ready: &dyn Fn()) -> io::Result<()> {
    // Both are dropped only with nothing under way: the driver frees the buffers of operations before it
    // cancels them (tokio-uring 0.5.0).
    let shared = Shared::new(Tokio::new(worker), worker);
    let shared = ManuallyDrop::new(shared);
    let runtime = ManuallyDrop::new(open(worker.tuning.entries)?.0);
    let is_over = runtime.block_on(async {
        let waker = worker.stop.waker(worker.number);
        // SAFETY: the waker keeps its descriptor open for longer than it is watched.
        let watched =
            unsafe { AsyncFd::register_with_interest(waker.as_fd(), Interest::READABLE) }?;
        let woken = async || {
            if let Ok(mut guard) = watched.readable().await {
                guard.clear_ready();
                waker.clear();
            }
        };
        let listeners = worker.listeners.iter().map(Accepting::new);
        let listeners = listeners.collect::<io::Result<_>>()?;
        ready();
        io::Result::Ok(serve(&shared, listeners, worker.stop, woken).await)
    });
    if matches!(is_over, Ok(false)) {
        // The tasks that wait for them live on in the runtime, and hold what they name.
        warn!("the kernel has not ended every operation; their memory is kept");
    } else {
        drop(ManuallyDrop::into_inner(runtime));
        drop(ManuallyDrop::into_inner(shared));
    }
    is_over.map(|_| ())
}

/// Whether the engine works here, by setting up a ring and entering one, and with which features.
///
/// # Errors
/// What stands in the way.
pub fn probe(tuning: &UringTuning) -> io::Result<Vec<Feature>> {
    let (_, best) = open(tuning.entries)?;
    // The runtime keeps its ring and the errors of entering it to itself (tokio-uring 0.5.0).
    IoUring::new(1)?.submit()?;
    let features = SETUPS.iter().enumerate().rev();
    let features = features.map(|(rank, setup)| Feature {
        name: setup.name,
        since: setup.since,
        found: rank >= best,
        wanted: None,
    });
    Ok(features.collect())
}

/// Opens a runtime, and says with which of the setups: the best that this kernel has.
fn open(asked: u32) -> io::Result<(Runtime, usize)> {
    let mut rank = 0;
    open_ring(asked, |entries| {
        loop {
            match build(entries, &SETUPS[rank]) {
                Err(error)
                    if Errno::from_io_error(&error) == Some(Errno::INVAL)
                        && rank + 1 < SETUPS.len() =>
                {
                    rank += 1;
                }
                built => return built.map(|runtime| (runtime, rank)),
            }
        }
    })
}

fn build(entries: u32, setup: &Setup) -> io::Result<Runtime> {
    let mut ring = ::tokio_uring::uring_builder();
    ring.setup_cqsize(entries * COMPLETIONS_PER_ENTRY);
    if setup.single_issuer {
        ring.setup_single_issuer();
    }
    ring.setup_coop_taskrun();
    let mut builder = ::tokio_uring::builder();
    Runtime::new(builder.entries(entries).uring_builder(&ring))
}

/// The runtime of this thread.
#[derive(Debug)]
struct Tokio {
    mail: RefCell<Mail>,
}

impl Tokio {
    fn new(worker: &Worker<'_>) -> Self {
        let mail = Mail::new(worker.exchange.clone(), worker.number);
        Tokio {
            mail: RefCell::new(mail),
        }
    }
}

impl Post<Socket> for &Tokio {
    fn hand_over(&mut self, stream: Socket, carried: Carried, to: Destination) {
        match stream.give_away() {
            Ok(socket) => self.mail.borrow_mut().hand_over(socket, carried, to),
            Err(stream) => stream.close(true),
        }
    }

    fn hand_over_fresh(&mut self, stream: Socket, listener: u32, to: usize) -> Result<(), Socket> {
        let socket = stream.give_away()?;
        let mut mail = self.mail.borrow_mut();
        let handed_over = mail.hand_over_fresh(socket, listener, to);
        handed_over.map_err(Socket::adopt)
    }

    fn next_letter(&mut self) -> Option<Letter<Socket>> {
        Some(match self.mail.borrow_mut().next_letter()? {
            Letter::Connection(socket, origin) => Letter::Connection(Socket::adopt(socket), origin),
            Letter::PutDown(wanted) => Letter::PutDown(wanted),
            Letter::RollCall(call) => Letter::RollCall(call),
            Letter::Survey(survey) => Letter::Survey(survey),
        })
    }
}

impl World for Tokio {
    type Listener = Accepting;
    type Stream = Socket;

    fn now(&self) -> Moment {
        clock::now()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        ::tokio_uring::spawn(task);
    }

    async fn sleep_until(&self, due: Moment) {
        tokio::time::sleep(due.since(clock::now())).await;
    }

    fn post(&self) -> impl Post<Socket> {
        self
    }

    async fn turn(&self) {
        // The driver submits when no task can go on.
        let _ = ::tokio_uring::no_op().await;
    }
}

/// The descriptor of a socket that keeps it open.
fn descriptor(socket: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: the socket owns its descriptor and is borrowed as long as the result.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

struct Accepting(net::TcpListener);

impl Accepting {
    fn new(listener: &TcpListener) -> io::Result<Self> {
        Ok(Accepting(net::TcpListener::from_std(listener.try_clone()?)))
    }
}

impl Listener for Accepting {
    type Stream = Socket;

    async fn accept(&self) -> io::Result<Socket> {
        let (stream, _) = self.0.accept().await?;
        Ok(Socket(stream))
    }

    fn shut(&self) {
        cancel(&self.0);
    }
}

struct Socket(net::TcpStream);

impl Socket {
    fn adopt(socket: OwnedFd) -> Self {
        Socket(net::TcpStream::from_std(socket.into()))
    }

    /// Its descriptor, or rather a copy: a stream does not give its own away (tokio-uring 0.5.0).
    fn give_away(self) -> Result<OwnedFd, Self> {
        descriptor(&self.0).try_clone_to_owned().map_err(|_| self)
    }
}

// What fails below fails because the peer is gone already, which the next read or write tells.
impl Stream for Socket {
    async fn read(&self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        self.0.read(buffer).await
    }

    async fn write(&self, bytes: Outgoing) -> io::Result<usize> {
        self.0.write(bytes).submit().await.0
    }

    fn peer(&self) -> Option<SocketAddr> {
        socket::peer(descriptor(&self.0))
    }

    fn standing(&self) -> Standing {
        socket::standing(descriptor(&self.0))
    }

    fn half_close(&self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    fn cancel(&self) {
        cancel(&self.0);
    }

    fn close(self, reset: bool) {
        if reset {
            reset_on_close(descriptor(&self.0));
        }
    }
}

/// Has the operations on a socket end that are under way.
fn cancel(socket: &impl AsRawFd) {
    let which = CancelBuilder::fd(Fd(socket.as_raw_fd())).all();
    let entry = AsyncCancel2::new(which).build();
    // It is on its way to the kernel, and nobody waits for what came of it: the operations tell.
    drop(UnsubmittedOneshot::new((), Ignored, entry).submit());
}

/// An operation whose outcome does not matter.
struct Ignored;

impl OneshotOutputTransform for Ignored {
    type Output = ();
    type StoredData = ();

    fn transform_oneshot_output(self, (): (), _: Entry) {}
}

// SAFETY: the bytes do not move with the value, and stay as they are until the write has completed, by the
// contract of `Outgoing::new`.
unsafe impl IoBuf for Outgoing {
    fn stable_ptr(&self) -> *const u8 {
        self.start
    }

    fn bytes_init(&self) -> usize {
        self.len
    }

    fn bytes_total(&self) -> usize {
        self.len
    }
}

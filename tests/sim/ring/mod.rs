//! A simulated io_uring: operations complete when the world lets them, in whatever order a kernel may
//! choose.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | what the engine asks for, and what it must not |
//! | `operations.rs` | how operations go on and complete |
//! | `agreement.rs` | what the ring and the shard must agree on |
//! | `memory.rs` | the receive buffers |

mod agreement;
mod memory;
mod operations;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ringback::engine::uring::{Completion, Kernel, Key};
use ringback::engine::{Letter, Origin, Post};
use ringback::protocol::Moment;
use ringback::shard::{Carried, Destination, Lease, Load, SlotId, Standing};

use crate::sim::network::Line;
use crate::sim::world::{Shared, World};
use memory::{Filling, Memory};

/// What is asked of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Accept {
        listener: u32,
        many: bool,
    },
    Wake,
    /// Into one buffer, at most so many bytes; none: into one after another, until something ends it.
    Receive {
        max: Option<u32>,
    },
    Send {
        wait: bool,
    },
}

/// An operation that has no final completion yet.
#[derive(Clone, Copy, Debug)]
struct Operation {
    key: Key,
    kind: Kind,
    line: Option<Line>,
    cancelled: bool,
}

/// Something queued for the next submission.
#[derive(Clone, Copy, Debug)]
enum Request {
    Begin(Operation),
    Cancel(Key),
    CancelAll { number: usize },
}

/// A socket of the simulated network. It is closed by [`Kernel::close`]: dropped otherwise, it leaks, and
/// is found at the end.
#[derive(Debug)]
pub(crate) struct Socket {
    number: usize,
    line: Line,
}

/// Where the bytes of a send lie.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Slab { address: usize },
    Buffer { number: u32, start: u32 },
}

/// A send of which the engine has not seen the completion.
#[derive(Clone, Debug)]
struct Underway {
    id: SlotId,
    line: Line,
    place: Place,
    bytes: Vec<u8>,
}

/// A ring.
pub(crate) struct Ring {
    world: Shared,
    /// Of which worker.
    pub(crate) worker: usize,
    memory: Memory,
    requests: Vec<Request>,
    operations: Vec<Operation>,
    /// Completions that are not reported yet; those of receives never wait here.
    late: Vec<Completion>,
    visible: VecDeque<(Completion, Option<Filling>)>,
    sends: Vec<Underway>,
    /// What was filled by the receive that was reported last.
    reported: Option<Filling>,
    /// The connection of each socket.
    sockets: Vec<Option<Line>>,
    /// The name of each connection that was ever read from or sent to.
    names: Vec<(Line, SlotId)>,
}

impl Ring {
    pub(crate) fn new(world: Shared, worker: usize) -> Self {
        let layout = world.borrow().scenario.buffers;
        Ring {
            world,
            worker,
            memory: Memory::new(layout),
            requests: Vec::new(),
            operations: Vec::new(),
            late: Vec::new(),
            visible: VecDeque::new(),
            sends: Vec::new(),
            reported: None,
            sockets: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Queues an operation. Its key must not be in use.
    fn begin(&mut self, key: Key, kind: Kind, line: Option<Line>) {
        let queued = self.requests.iter().filter_map(|request| match request {
            Request::Begin(operation) => Some(operation.key),
            _ => None,
        });
        let begun = self.operations.iter().map(|operation| operation.key);
        let late = self.late.iter().map(|completion| completion.key);
        let visible = self.visible.iter().filter(|(it, _)| !it.more);
        let visible = visible.map(|(completion, _)| completion.key);
        if queued
            .chain(begun)
            .chain(late)
            .chain(visible)
            .any(|it| it == key)
        {
            self.world
                .borrow()
                .fail(line, &format!("{key:?} is in use twice"));
        }
        self.requests.push(Request::Begin(Operation {
            key,
            kind,
            line,
            cancelled: false,
        }));
    }

    /// The connection behind a socket, which `id` must name.
    fn line(&mut self, socket: &Socket, id: SlotId) -> Line {
        let line = socket.line;
        self.world.borrow_mut().network.touch(line);
        match self.names.iter().find(|(known, _)| *known == line) {
            None => self.names.push((line, id)),
            Some((_, name)) if *name == id => {}
            Some((_, name)) => {
                let why = format!("it is {name:?}, and is called {id:?}");
                self.world.borrow().fail(Some(line), &why);
            }
        }
        line
    }

    /// The connection of that name.
    pub(crate) fn line_of(&self, id: SlotId) -> Option<Line> {
        let known = self.names.iter().find(|(_, name)| *name == id);
        known.map(|(line, _)| *line)
    }

    fn submit(&mut self, world: &mut World) {
        for request in std::mem::take(&mut self.requests) {
            match request {
                Request::Begin(operation) => {
                    self.operations.push(operation);
                    self.attempt(world);
                }
                Request::Cancel(key) => self.cancel(|operation| operation.key == key),
                Request::CancelAll { number } => {
                    if let Some(line) = self.sockets[number] {
                        self.cancel(|operation| operation.line == Some(line));
                    }
                }
            }
        }
    }

    fn cancel(&mut self, which: impl Fn(&Operation) -> bool) {
        for operation in &mut self.operations {
            operation.cancelled |= which(operation);
        }
    }

    /// The bytes of a claim.
    fn claim(&self, lease: &Lease) -> &[u8] {
        match self.memory.claimed(lease) {
            Some(bytes) => bytes,
            None => self
                .world
                .borrow()
                .fail(None, "a claim on a buffer that was given back"),
        }
    }

    /// A number for a socket.
    fn number(&mut self, line: Line) -> usize {
        let free = self.sockets.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        self.sockets[number] = Some(line);
        number
    }

    /// The engine gives a socket away, for which nothing may be under way, or have completed and not be reported.
    fn forget(&mut self, socket: &Socket, how: &str) {
        let line = socket.line;
        let id = self.names.iter().find(|(known, _)| *known == line);
        let keys = id.map(|(_, id)| [Key::Receive(*id), Key::Send(*id)]);
        let names = |key: Key| keys.is_some_and(|keys| keys.contains(&key));
        let asks = |request: &Request| matches!(request, Request::Begin(Operation { line: Some(it), .. }) if *it == line);
        if self.sends.iter().any(|send| send.line == line)
            || self.operations.iter().any(|it| it.line == Some(line))
            || self.requests.iter().any(asks)
            || self.late.iter().any(|it| names(it.key))
            || self.visible.iter().any(|(it, _)| names(it.key))
        {
            let why = format!("{how} while something is under way for it");
            self.world.borrow().fail(Some(line), &why);
        }
        self.sockets[socket.number] = None;
        self.names.retain(|(known, _)| *known != line);
    }

    /// Where a piece lies.
    fn place(&self, load: &Load) -> Place {
        match load {
            Load::Slab(slab) => Place::Slab {
                address: slab.bytes().as_ptr() as usize,
            },
            Load::Lease(lease) => Place::Buffer {
                number: lease.buffer(),
                start: lease.bytes().start as u32,
            },
        }
    }
}

impl Post<Socket> for Ring {
    fn hand_over(&mut self, socket: Socket, carried: Carried, to: Destination) {
        self.forget(&socket, "handed over");
        let mut world = self.world.borrow_mut();
        world.hand_over(socket.line, carried, to);
    }

    fn hand_over_fresh(&mut self, _: Socket, _: u32, _: usize) -> Result<(), Socket> {
        self.world.borrow().fail(None, "there is no other worker")
    }

    fn next_letter(&mut self) -> Option<Letter<Socket>> {
        let (line, carried) = self.world.borrow_mut().next_carried(self.worker)?;
        let number = self.number(line);
        let socket = Socket { number, line };
        Some(Letter::Connection(socket, Origin::PutDown(carried)))
    }
}

impl Kernel for Ring {
    type Socket = Socket;

    fn post(&mut self) -> &mut impl Post<Socket> {
        self
    }

    fn now(&mut self) -> Moment {
        self.world.borrow_mut().tell(self.worker)
    }

    fn listeners(&self) -> u32 {
        self.world.borrow().network.queues.len() as u32
    }

    fn enter(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let world = self.world.clone();
        let mut world = world.borrow_mut();
        self.submit(&mut world);
        let until = world.until(self.worker, patience);
        loop {
            let stirred = world.stir();
            let worked = self.work(&mut world);
            // Whoever does not want to wait gets what is there.
            if patience == Some(Duration::ZERO) {
                if !self.visible.is_empty() || !worked {
                    return Ok(());
                }
            } else if world.pass(
                self.worker,
                stirred || worked,
                !self.visible.is_empty(),
                until,
            ) {
                return Ok(());
            }
        }
    }

    fn next_completion(&mut self) -> Option<Completion> {
        let (completion, filling) = self.visible.pop_front()?;
        self.reported = filling;
        self.sends
            .retain(|send| Key::Send(send.id) != completion.key);
        // The server knows of it from now on.
        let network = &mut self.world.borrow_mut().network;
        if let Key::Receive(id) | Key::Send(id) = completion.key
            && let Some(line) = self.line_of(id)
        {
            network.touch(line);
            if completion.buffer.is_some() {
                network.hear(line);
            }
        }
        Some(completion)
    }

    fn watch_waker(&mut self) {
        self.begin(Key::Wake, Kind::Wake, None);
    }

    fn clear_waker(&mut self) {
        self.world.borrow_mut().workers[self.worker].woken = false;
    }

    fn accept(&mut self, listener: u32) {
        let kind = Kind::Accept {
            listener,
            many: true,
        };
        self.begin(Key::Accept(listener), kind, None);
    }

    fn accept_one(&mut self, listener: u32) {
        let kind = Kind::Accept {
            listener,
            many: false,
        };
        self.begin(Key::Accept(listener), kind, None);
    }

    fn cancel_accept(&mut self, listener: u32) {
        self.requests.push(Request::Cancel(Key::Accept(listener)));
    }

    fn accepted(&mut self, number: u32) -> Socket {
        let number = number as usize;
        let Some(line) = self.sockets[number] else {
            let why = format!("socket {number} is closed");
            self.world.borrow().fail(None, &why);
        };
        self.world.borrow_mut().network.enter(line);
        Socket { number, line }
    }

    fn receive(&mut self, id: SlotId, socket: &Socket, max: Option<u32>) {
        let line = self.line(socket, id);
        self.begin(Key::Receive(id), Kind::Receive { max }, Some(line));
    }

    fn cancel_receive(&mut self, id: SlotId) {
        self.requests.push(Request::Cancel(Key::Receive(id)));
    }

    unsafe fn send(&mut self, id: SlotId, socket: &Socket, load: &Load, wait: bool, _more: bool) {
        let line = self.line(socket, id);
        self.world.borrow_mut().network.connections[line].answered = true;
        if self.sends.iter().any(|send| send.line == line) {
            self.world.borrow().fail(Some(line), "two sends at a time");
        }
        let bytes = match load {
            Load::Slab(slab) => slab.bytes().to_vec(),
            Load::Lease(lease) => self.claim(lease).to_vec(),
        };
        let place = self.place(load);
        self.sends.push(Underway {
            id,
            line,
            place,
            bytes,
        });
        self.begin(Key::Send(id), Kind::Send { wait }, Some(line));
    }

    fn standing(&self, socket: &Socket) -> Standing {
        self.world.borrow().network.standing(socket.line)
    }

    fn shut_down(&mut self, socket: &Socket) {
        let mut world = self.world.borrow_mut();
        world.note(Some(socket.line), "the server sends FIN", 0);
        world.network.finish(socket.line);
    }

    fn cancel_all(&mut self, _: SlotId, socket: &Socket) {
        let number = socket.number;
        self.requests.push(Request::CancelAll { number });
    }

    fn close(&mut self, socket: Socket, reset: bool) {
        self.forget(&socket, "closed");
        let mut world = self.world.borrow_mut();
        world.note(
            Some(socket.line),
            "the server closes, reset",
            i64::from(reset),
        );
        world.network.close(socket.line, reset);
    }

    fn peer(&self, _: &Socket) -> Option<SocketAddr> {
        None
    }

    fn buffers(&self) -> u16 {
        self.memory.count()
    }

    fn buffer_bytes(&self) -> u32 {
        self.memory.buffer_bytes()
    }

    fn provide(&mut self, buffer: u16) {
        let from = |send: &&Underway| matches!(send.place, Place::Buffer { number, .. } if number == u32::from(buffer));
        if let Some(send) = self.sends.iter().find(from) {
            let why = format!("buffer {buffer} is provided while it sends from it");
            self.world.borrow().fail(Some(send.line), &why);
        }
        if let Err(why) = self.memory.provide(buffer) {
            self.world.borrow().fail(None, &why);
        }
    }

    unsafe fn filled(&mut self, lease: &Lease) -> &mut [u8] {
        let right = self.reported.as_ref().is_some_and(|filling| {
            u32::from(filling.buffer) == lease.buffer() && filling.bytes() == lease.bytes()
        });
        if !right {
            let why = format!("{lease:?} is not what was filled: {:?}", self.reported);
            self.world.borrow().fail(None, &why);
        }
        match self.memory.claimed_mut(lease) {
            Some(bytes) => bytes,
            None => self.world.borrow().fail(None, "a claim on nothing"),
        }
    }

    unsafe fn claimed(&self, lease: &Lease) -> &[u8] {
        self.claim(lease)
    }
}

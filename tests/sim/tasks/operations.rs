//! Operations: how they begin, and end for their tasks; what is asked of the kernel otherwise.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use ringback::engine::tokio_uring::Shared as Core;
use ringback::engine::tokio_uring::world::Outgoing;
use ringback::protocol::Moment;
use ringback::shard::{Load, SlotId, Write};

use crate::sim::network::Line;
use crate::sim::world::{Shared, World};

use super::executor::Task;
use super::progress::is_writable;
use super::sockets::Runtime;

/// What lies in a buffer that is read into: whoever still sends from it sends this.
const POISON: u8 = 0xa5;

/// What is asked of the kernel, and what the kernel keeps meanwhile.
pub(super) enum What {
    Accept(usize),
    Wake,
    Sleep(Moment),
    Turn,
    Read(Vec<u8>),
    /// The bytes, and what they were.
    Write(Outgoing, Vec<u8>),
}

impl What {
    /// What it is, for a report.
    pub(super) fn name(&self) -> &'static str {
        match self {
            What::Accept(_) => "an accept",
            What::Wake => "waiting to be woken",
            What::Sleep(_) => "a sleep",
            What::Turn => "a turn",
            What::Read(_) => "a read",
            What::Write(..) => "a write",
        }
    }
}

/// An operation whose task has not seen it complete.
pub(super) struct Operation {
    pub(super) number: u64,
    pub(super) what: What,
    pub(super) line: Option<Line>,
    /// A write that need not wait when it began.
    prompt: bool,
    /// The write that is reported before this.
    pub(super) behind: Option<u64>,
    /// It ends, though there may be nothing that it could do.
    pub(super) cancelled: bool,
    /// What it has come to: the kernel is done with it.
    pub(super) result: Option<Result<usize, i32>>,
    /// Its task knows.
    pub(super) reported: bool,
    pub(super) waker: Waker,
}

/// The kernel's side.
pub(super) struct Kernel {
    pub(super) world: Shared,
    /// Of which worker.
    pub(super) worker: usize,
    pub(super) operations: RefCell<Vec<Operation>>,
    begun: Cell<u64>,
    spawned: RefCell<Vec<Task>>,
    core: OnceCell<Weak<Core<Runtime>>>,
    /// The connection that was accepted last, as long as it has no task.
    arrived: Cell<Option<Line>>,
    /// Which connection is called what.
    pub(super) names: RefCell<Vec<(Line, SlotId)>>,
    /// Listeners that accept no more.
    pub(super) shut: RefCell<Vec<usize>>,
}

impl Kernel {
    pub(super) fn new(world: Shared, worker: usize) -> Self {
        Kernel {
            world,
            worker,
            operations: RefCell::default(),
            begun: Cell::default(),
            spawned: RefCell::default(),
            core: OnceCell::new(),
            arrived: Cell::default(),
            names: RefCell::default(),
            shut: RefCell::default(),
        }
    }

    /// Whose world this is.
    pub(super) fn serves(&self, core: &Rc<Core<Runtime>>) {
        let known = self.core.set(Rc::downgrade(core));
        assert!(known.is_ok(), "a world has one engine");
    }

    pub(super) fn core(&self) -> Rc<Core<Runtime>> {
        let core = self.core.get().and_then(Weak::upgrade);
        core.expect("the engine lives as long as its tasks")
    }

    /// The connection of that name.
    pub(super) fn line(&self, id: SlotId) -> Option<Line> {
        let names = self.names.borrow();
        let known = names.iter().find(|(_, name)| *name == id);
        known.map(|(line, _)| *line)
    }

    fn fail(&self, line: Option<Line>, why: &str) -> ! {
        self.world.borrow().fail(line, why)
    }

    /// Adds a task: of the connection accepted last, if it has none.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if let Some(line) = self.arrived.take() {
            let mut names = self.names.borrow_mut();
            let mut ids = self.core().shard().ids();
            ids.retain(|id| names.iter().all(|(_, name)| name != id));
            match ids[..] {
                [id] => names.push((line, id)),
                _ => self.fail(Some(line), &format!("it may be any of {ids:?}")),
            }
        }
        self.spawned.borrow_mut().push(Box::pin(task));
    }

    pub(super) fn has_spawned(&self) -> bool {
        !self.spawned.borrow().is_empty()
    }

    pub(super) fn take_spawned(&self) -> Vec<Task> {
        self.spawned.take()
    }

    /// The engine knows of a connection.
    pub(super) fn arrive(&self, line: Line) {
        self.arrived.set(Some(line));
    }

    /// An operation, once it is polled.
    pub(super) fn operation(self: &Rc<Self>, what: What, line: Option<Line>) -> Underway {
        Underway {
            kernel: self.clone(),
            asked: Some((what, line)),
            number: None,
        }
    }

    fn begin(&self, what: What, line: Option<Line>, waker: Waker) -> u64 {
        let number = self.begun.get();
        self.begun.set(number + 1);
        let mut operation = Operation {
            number,
            what,
            line,
            prompt: false,
            behind: None,
            cancelled: false,
            result: None,
            reported: false,
            waker,
        };
        if let Some(line) = line {
            self.begin_on(line, &mut operation);
        }
        self.operations.borrow_mut().push(operation);
        number
    }

    /// What a connection's operation must keep to.
    fn begin_on(&self, line: Line, operation: &mut Operation) {
        let core = self.core();
        let shard = core.shard();
        let names = self.names.borrow();
        let Some((_, id)) = names.iter().find(|(known, _)| *known == line) else {
            self.fail(Some(line), "an operation on nobody's socket");
        };
        self.world.borrow_mut().network.touch(line);
        let operations = self.operations.borrow();
        let others = || operations.iter().filter(|it| it.line == Some(line));
        match &mut operation.what {
            What::Read(buffer) => {
                if others().any(|it| matches!(it.what, What::Read(_))) {
                    self.fail(Some(line), "two reads at a time");
                }
                if !shard.wants(*id).read {
                    self.fail(Some(line), "it must not be read from, and is");
                }
                buffer.fill(POISON);
                operation.behind = others().find(|it| it.prompt).map(|it| it.number);
            }
            What::Write(bytes, _) => {
                if others().any(|it| matches!(it.what, What::Write(..))) {
                    self.fail(Some(line), "two writes at a time");
                }
                let wants = shard.wants(*id).write;
                let front = shard.front(*id).map(|front| match front.load {
                    Load::Slab(slab) => slab.bytes().as_ptr() == bytes.bytes().as_ptr(),
                    Load::Lease(lease) => lease.len() == bytes.bytes().len(),
                });
                if wants != Write::Send || front != Some(true) {
                    self.fail(Some(line), "it writes what is not to be written");
                }
                let mut world = self.world.borrow_mut();
                world.network.connections[line].answered = true;
                operation.prompt = is_writable(&world, line);
            }
            _ => {}
        }
    }

    /// Looks whether an operation is over.
    fn look(&self, number: u64, waker: &Waker) -> Option<(Result<usize, i32>, What)> {
        let mut operations = self.operations.borrow_mut();
        let place = operations.iter().position(|it| it.number == number)?;
        let operation = &mut operations[place];
        if !operation.reported {
            operation.waker.clone_from(waker);
            return None;
        }
        let Operation {
            what, line, result, ..
        } = operations.swap_remove(place);
        if let Some(line) = line {
            let network = &mut self.world.borrow_mut().network;
            network.touch(line);
            if matches!((&what, result), (What::Read(_), Some(Ok(1..)))) {
                network.hear(line);
            }
        }
        result.map(|result| (result, what))
    }

    /// Until when nothing needs to happen, as far as the engine knows.
    pub(super) fn next_due(&self, world: &World) -> Option<u64> {
        let now = world.moment();
        let operations = self.operations.borrow();
        let due = |operation: &Operation| match operation.what {
            What::Sleep(due) => Some(due),
            What::Turn => Some(now),
            _ => None,
        };
        let span = operations.iter().filter_map(due).min()?.since(now);
        let clock = world.network.clock.now;
        Some(clock.saturating_add(span.as_nanos() as u64))
    }

    pub(super) fn shut(&self, listener: usize) {
        self.shut.borrow_mut().push(listener);
    }

    pub(super) fn half_close(&self, line: Line) {
        let mut world = self.world.borrow_mut();
        world.note(Some(line), "the server sends FIN", 0);
        world.network.finish(line);
    }

    pub(super) fn cancel(&self, line: Line) {
        let mut world = self.world.borrow_mut();
        world.note(Some(line), "the server cancels what is under way", 0);
        for operation in self.operations.borrow_mut().iter_mut() {
            operation.cancelled |= operation.line == Some(line);
        }
    }

    /// The engine gives a socket away, for which nothing may be under way.
    pub(super) fn forget(&self, line: Line, how: &str) {
        let operations = self.operations.borrow();
        if operations.iter().any(|it| it.line == Some(line)) {
            let why = format!("{how} while something is under way for it");
            self.fail(Some(line), &why);
        }
        if self.arrived.get() == Some(line) {
            self.arrived.set(None);
        }
        self.names.borrow_mut().retain(|(known, _)| *known != line);
    }

    pub(super) fn close(&self, line: Line, reset: bool) {
        self.forget(line, "closed");
        let mut world = self.world.borrow_mut();
        world.note(Some(line), "the server closes, reset", i64::from(reset));
        world.network.close(line, reset);
    }
}

/// An operation as its task sees it.
pub(super) struct Underway {
    kernel: Rc<Kernel>,
    /// As long as it has not begun.
    asked: Option<(What, Option<Line>)>,
    /// As long as it is under way.
    number: Option<u64>,
}

impl Future for Underway {
    type Output = (Result<usize, i32>, What);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some((what, line)) = self.asked.take() {
            self.number = Some(self.kernel.begin(what, line, context.waker().clone()));
            return Poll::Pending;
        }
        let Some(number) = self.number else {
            self.kernel
                .fail(None, "an operation is polled after its end");
        };
        match self.kernel.look(number, context.waker()) {
            None => Poll::Pending,
            Some(over) => {
                self.number = None;
                Poll::Ready(over)
            }
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Some(number) = self.number.filter(|_| !std::thread::panicking()) else {
            return;
        };
        let mut operations = self.kernel.operations.borrow_mut();
        let place = operations.iter().position(|it| it.number == number);
        let dropped = place.map(|place| operations.swap_remove(place));
        drop(operations);
        if let Some(Operation { what, line, .. }) = dropped
            // Both are asked of the runtime, not of the ring: they may be given up at any time.
            && !matches!(what, What::Sleep(_) | What::Wake)
        {
            let why = format!("{} is dropped under way", what.name());
            self.kernel.fail(line, &why);
        }
    }
}

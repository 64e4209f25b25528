//! An executor of one thread, in which chance decides who is polled next.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use crate::sim::world::{Shared, World};

use super::operations::Kernel;

/// More polls than any turn needs.
const POLLS_MAX: usize = 20_000;

/// What is polled until it is ready.
pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The numbers of tasks that can go on, each once.
type Ready = Arc<Mutex<Vec<usize>>>;

struct Alarm {
    number: usize,
    ready: Ready,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        ring(&self.ready, self.number);
    }
}

fn open(ready: &Ready) -> MutexGuard<'_, Vec<usize>> {
    ready.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ring(ready: &Ready, number: usize) {
    let mut ready = open(ready);
    if !ready.contains(&number) {
        ready.push(number);
    }
}

/// All tasks.
pub(super) struct Executor {
    tasks: Vec<Option<(Task, Waker)>>,
    ready: Ready,
    /// First come, first served.
    in_order: bool,
}

impl Executor {
    pub(super) fn new(in_order: bool) -> Self {
        Executor {
            tasks: Vec::new(),
            ready: Ready::default(),
            in_order,
        }
    }

    /// Whether a task can go on.
    pub(super) fn has_ready(&self) -> bool {
        !open(&self.ready).is_empty()
    }

    /// How many tasks have not ended.
    pub(super) fn tasks(&self) -> usize {
        self.tasks.iter().flatten().count()
    }

    /// Wakes a task for nothing.
    pub(super) fn disturb(&self, world: &mut World) {
        if !self.tasks.is_empty() {
            let number = world.random.within(0..self.tasks.len());
            ring(&self.ready, number);
        }
    }

    /// Polls until no task can go on.
    pub(super) fn run(&mut self, kernel: &Kernel, world: &Shared) {
        self.adopt(kernel);
        for _ in 0..POLLS_MAX {
            let Some(number) = self.next(&mut world.borrow_mut()) else {
                return;
            };
            let Some((task, waker)) = &mut self.tasks[number] else {
                continue;
            };
            let ended = task.as_mut().poll(&mut Context::from_waker(waker));
            if ended.is_ready() {
                self.tasks[number] = None;
            }
            self.adopt(kernel);
        }
        world.borrow().fail(None, "the tasks do not come to rest");
    }

    fn next(&self, world: &mut World) -> Option<usize> {
        let mut ready = open(&self.ready);
        let choices = if self.in_order {
            ready.len().min(1)
        } else {
            ready.len()
        };
        (choices > 0).then(|| ready.remove(world.random.within(0..choices)))
    }

    /// Takes in what has been spawned.
    fn adopt(&mut self, kernel: &Kernel) {
        for task in kernel.take_spawned() {
            let number = self.tasks.len();
            let ready = self.ready.clone();
            let waker = Waker::from(Arc::new(Alarm { number, ready }));
            self.tasks.push(Some((task, waker)));
            ring(&self.ready, number);
        }
    }
}

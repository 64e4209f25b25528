//! A simulated world for the engine of tasks: an executor of one thread, and operations that complete
//! when the world lets them, in whatever order `engine::tokio_uring::world` allows.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | turns, and what must hold of them |
//! | `agreement.rs` | what the operations and the shard must agree on |
//! | `executor.rs` | who is polled, and when |
//! | `operations.rs` | what is under way: how it begins, and ends for its task |
//! | `progress.rs` | how it goes on, completes and is reported |
//! | `sockets.rs` | the engine's world |

mod agreement;
mod executor;
mod operations;
mod progress;
mod sockets;

use std::cell::Cell;
use std::rc::Rc;

use ringback::engine::Worker;
use ringback::engine::tokio_uring::{Shared as Core, serve};
use ringback::shard::{Destination, SlotId, Wants};

use crate::sim::checks::{self, Engine};
use crate::sim::history::{View, views};
use crate::sim::network::Stamp;
use crate::sim::world::{Shared, World};
use executor::Executor;
use operations::{Kernel, What};
use sockets::{Door, Runtime};

/// Nanoseconds that a drain may take beyond its timeout: where accepting rests, its task ends up to 100 ms
/// later.
const GRACE: u64 = 100_000_000 + checks::SLACK;

/// Read buffers take one part in so many of the budget.
const BUFFERS_PART: usize = 8;

/// The engine, its executor, and what is under way.
pub(crate) struct Tasks {
    world: Shared,
    core: Rc<Core<Runtime>>,
    kernel: Rc<Kernel>,
    executor: Executor,
    /// Whether all operations had ended when serving did.
    over: Rc<Cell<Option<bool>>>,
}

impl Tasks {
    pub(crate) fn new(world: Shared, worker: &Worker<'_>) -> Self {
        let kernel = Rc::new(Kernel::new(world.clone(), worker.number));
        let core = Core::new(Runtime(kernel.clone()), worker);
        kernel.serves(&core);
        let over = Rc::new(Cell::new(None));
        let main = {
            let (core, kernel, over) = (core.clone(), kernel.clone(), over.clone());
            let (stop, listeners) = {
                let world = world.borrow();
                (world.stop.clone(), 0..world.network.queues.len())
            };
            async move {
                let woken = async || {
                    let _ = kernel.operation(What::Wake, None).await;
                    kernel.world.borrow_mut().workers[kernel.worker].woken = false;
                };
                let listeners = listeners.map(|number| Door::new(kernel.clone(), number));
                over.set(Some(serve(&core, listeners.collect(), &stop, woken).await));
            }
        };
        kernel.spawn(main);
        let in_order = world.borrow_mut().random.one_in(2);
        Tasks {
            executor: Executor::new(in_order),
            world,
            core,
            kernel,
            over,
        }
    }
}

/// What the engine takes of the budget for its read buffers.
fn reserved(world: &World) -> usize {
    world.scenario.buffer_memory_bytes / world.workers.len() / BUFFERS_PART
}

/// The engine has no part in how long it takes until it is told of a completion.
fn forgive(clock: &mut Stamp, before: Stamp) {
    let passed = clock.now - before.now;
    clock.lost = clock.lost.max(before.lost + passed);
}

impl Engine for Tasks {
    /// Waits until there is something to report, and lets every task go on as far as it can.
    fn turn(&mut self) -> std::io::Result<()> {
        {
            let mut world = self.world.borrow_mut();
            let faults = world.scenario.faults;
            let until = self.kernel.next_due(&world);
            loop {
                let stirred = world.stir();
                let worked = self.kernel.work(&mut world);
                if world.strikes(faults.spurious * 10) {
                    self.executor.disturb(&mut world);
                }
                let news = self.executor.has_ready() || self.kernel.has_spawned();
                let before = world.network.clock;
                let over = world.pass(self.kernel.worker, stirred || worked, news, until);
                if worked || news {
                    forgive(&mut world.network.clock, before);
                }
                if over {
                    break;
                }
            }
        }
        self.executor.run(&self.kernel, &self.world);
        Ok(())
    }

    fn leave(&mut self, id: SlotId, to: Destination) {
        self.core.leave(id, to);
    }

    fn is_done(&self) -> bool {
        self.over.get().is_some()
    }

    fn finish(&mut self) -> std::io::Result<()> {
        let world = self.world.borrow();
        if self.over.get() == Some(false) {
            world.fail(None, "operations did not end");
        }
        if self.executor.tasks() > 0 {
            world.fail(None, "tasks are left");
        }
        Ok(())
    }

    fn check_step(&self, world: &World) {
        checks::check_limits(&self.core.shard(), world);
        checks::check_memory(&self.core.shard(), world, reserved(world), false);
        self.kernel.check_writes(&self.core.shard(), world);
    }

    fn check_wants(&self, id: SlotId, wants: Wants) -> Result<(), String> {
        self.kernel.check_wants(id, wants)
    }

    fn check_quiet(&self, world: &World) {
        let shard = self.core.shard();
        // A write that waits is known to wait once a read has overtaken it.
        checks::check_memory(&shard, world, reserved(world), false);
    }

    fn check_end(&self, world: &World) {
        checks::check_empty(&self.core.shard(), world);
        if self.core.claims() > 0 {
            world.fail(None, "claims on read buffers are left");
        }
        self.kernel.check_end(self.is_done(), world);
    }

    fn connections(&self) -> usize {
        self.core.shard().len()
    }

    fn unseen(&self) -> usize {
        self.kernel.unseen()
    }

    fn is_draining(&self) -> bool {
        self.core.shard().is_draining()
    }

    fn has_yielded(&self) -> bool {
        self.core.shard().has_yielded()
    }

    fn views(&self) -> Vec<View> {
        views(self.kernel.worker, &self.core.shard(), |id| {
            self.kernel.line(id)
        })
    }

    fn grace(&self) -> u64 {
        GRACE
    }
}

//! One run: a seed, a style of I/O, a server's life from its first connection to its last.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ringback::engine::{Exchange, Stop, UringTuning, Worker, epoll, uring};
use ringback::memory::SlabPool;
use ringback::protocol::Tally;
use ringback::shard::{Admission, Settings};

use crate::checks::{self, Engine};
use crate::history::{self, History};
use crate::network::Stamp;
use crate::readiness::Sockets;
use crate::ring::Ring;
use crate::tasks::Tasks;
use crate::world::{Shared, World};

/// More turns than any run needs.
const TURNS_MAX: usize = 400_000;

/// Nanoseconds that those may take who came while the server went down, once all others are gone.
pub(crate) const LAST_CALL: u64 = 1_000_000_000;

/// How the I/O is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Readiness,
    Completion,
    Tasks,
}

/// Runs it; the trace, if all of it is wanted.
///
/// # Panics
/// Where an invariant does not hold.
pub(crate) fn run(seed: u64, style: Style, whole_trace: bool) -> String {
    let stop = |scenario: &crate::scenario::Scenario| {
        Rc::new(Stop::new(1, scenario.drain_timeout).expect("descriptors for a waker"))
    };
    let world: Shared = Rc::new(RefCell::new(World::new(seed, stop, whole_trace)));
    let stop = world.borrow().stop.clone();
    let scenario = world.borrow().scenario.clone();
    let admission = Arc::new(Admission::new(scenario.connections_max));
    let worker = Worker {
        number: 0,
        settings: Settings {
            policy: scenario.policy.clone(),
            budget: SlabPool::budget(scenario.buffer_memory_bytes, 1),
            admission: admission.clone(),
        },
        tally: Arc::new(Tally::default()),
        listeners: Vec::new(),
        entrances: vec![scenario.entrance; scenario.listeners],
        stop: &stop,
        exchange: Arc::new(Exchange::new(&stop, false, None)),
        tuning: UringTuning::default(),
    };
    let left = match style {
        Style::Completion => {
            let mut driver = uring::Driver::new(&worker, Ring::new(world.clone()));
            live(&mut driver, &world, &worker.tally)
        }
        Style::Readiness => {
            let driver = epoll::Driver::new(&worker, Sockets::new(world.clone()));
            live(
                &mut driver.expect("listeners can be watched"),
                &world,
                &worker.tally,
            )
        }
        Style::Tasks => {
            let mut tasks = Tasks::new(world.clone(), &worker);
            live(&mut tasks, &world, &worker.tally)
        }
    };
    let mut world = world.borrow_mut();
    let counted = worker.tally.accepted.get() - worker.tally.ended.get();
    if left == 0 && (counted > 0 || admission.present() > 0) {
        world.fail(None, "there is nobody, and somebody is counted");
    }
    world.conclude();
    checks::judge(&world, &worker.tally);
    match whole_trace {
        true => format!("{:#?}\n{}", world.scenario, world.recount(None, usize::MAX)),
        false => String::new(),
    }
}

/// Turn by turn, to the end; how many connections are left.
fn live(engine: &mut impl Engine, world: &Shared, tally: &Tally) -> usize {
    let mut history = History::default();
    for _ in 0..TURNS_MAX {
        engine.turn().expect("a simulated kernel goes on");
        world.borrow_mut().hear();
        engine.check_step(&world.borrow());
        checks::check_deadlines(&world.borrow());
        let views = engine.views();
        history.check(&views, &mut world.borrow_mut(), tally);
        history.check_waiting(engine, &views, &world.borrow());
        if engine.is_draining() && !engine.is_done() {
            history.check_residents(&views, &world.borrow());
        }
        if engine.is_done() {
            engine.finish().expect("a simulated kernel goes on");
            conclude(engine, &world.borrow());
            return engine.connections();
        }
        let mut world = world.borrow_mut();
        if !world.quiet {
            continue;
        }
        engine.check_quiet(&world);
        history::check_wants(engine, &views, &world);
        checks::check_progress(&world);
        if world.stalled {
            go_on(engine, &mut world);
        }
    }
    world.borrow().fail(None, "it does not end");
}

/// Nobody will do anything any more.
fn go_on(engine: &impl Engine, world: &mut World) {
    if !world.winding_up {
        // Whoever must not live for ever had a timer, so nobody is left that must not.
        world.expect_patience();
        return world.wind_up();
    }
    if !world.is_deserted() || engine.connections() > 0 {
        world.fail(None, "it stands still");
    }
    engine.check_end(world);
    world.drain();
}

/// The drain is over.
fn conclude(engine: &impl Engine, world: &World) {
    let (Some(drained_at), Some(heard_at)) = (world.drained_at, world.heard_at) else {
        world.fail(None, "the server stops by itself");
    };
    let clock = world.network.clock;
    let took = clock.since(heard_at);
    let timeout = world.scenario.drain_timeout.as_nanos() as u64;
    let called = |at: Stamp| clock.now - at.now >= LAST_CALL;
    let over = clock.now - drained_at.now >= timeout || world.closing_at.is_some_and(called);
    if engine.connections() > 0 && !over {
        world.fail(None, "the drain ends, and peers are left");
    }
    if took > timeout + engine.grace() {
        world.fail(
            None,
            &format!("the drain takes {took} ns, and {timeout} are allowed"),
        );
    }
    let closing = world.closing_at.map_or(0, |at| clock.since(at));
    if closing > LAST_CALL + engine.grace() {
        world.fail(None, &format!("the last call takes {closing} ns"));
    }
    if engine.connections() == 0 {
        engine.check_end(world);
    }
}

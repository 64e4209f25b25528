//! One run: a seed, a style of I/O, a server's life from its first connection to its last.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use ringback::engine::{Exchange, Stop, UringTuning, Worker, epoll, uring};
use ringback::memory::SlabPool;
use ringback::protocol::Tally;
use ringback::shard::{Admission, Settings};

use crate::sim::checks::{self, Engine, Engines};
use crate::sim::history::{self, History, View};
use crate::sim::moves;
use crate::sim::network::Stamp;
use crate::sim::readiness::Sockets;
use crate::sim::ring::Ring;
use crate::sim::scenario::Scenario;
use crate::sim::tasks::Tasks;
use crate::sim::world::{Shared, World};

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

impl Style {
    pub(crate) const ALL: [Style; 3] = [Style::Readiness, Style::Completion, Style::Tasks];
}

/// What decides all that is left to chance.
pub(crate) struct Chance<'a> {
    pub(crate) seed: u64,
    /// Bytes that decide first, until there are no more ([`Random::guided`]).
    pub(crate) guide: &'a [u8],
}

impl Chance<'_> {
    pub(crate) fn of(seed: u64) -> Self {
        Chance { seed, guide: &[] }
    }
}

/// Runs it; the trace, if all of it is wanted.
///
/// # Panics
/// Where an invariant does not hold.
pub(crate) fn run(chance: &Chance<'_>, style: Style, whole_trace: bool) -> String {
    let stop = |scenario: &Scenario, workers: usize| {
        Rc::new(Stop::new(workers, scenario.drain_timeout).expect("descriptors for a waker"))
    };
    let world: Shared = Rc::new(RefCell::new(World::new(chance, style, stop, whole_trace)));
    let stop = world.borrow().stop.clone();
    let scenario = world.borrow().scenario.clone();
    let styles = world.borrow().moves.styles.clone();
    let admission = Arc::new(Admission::new(scenario.connections_max));
    let tally = Arc::new(Tally::default());
    let budget = SlabPool::budget(scenario.buffer_memory_bytes, styles.len());
    let worker = |number| Worker {
        number,
        settings: Settings {
            policy: scenario.policy.clone(),
            budget: budget.clone(),
            admission: admission.clone(),
            tls: None,
        },
        tally: tally.clone(),
        listeners: Vec::new(),
        entrances: vec![scenario.entrance; scenario.listeners],
        stop: &stop,
        exchange: Arc::new(Exchange::new(&stop, false, None)),
        tuning: UringTuning::default(),
    };
    let workers: Vec<_> = (0..styles.len()).map(worker).collect();
    let engine = |(worker, style)| engine(style, worker, &world);
    let mut engines: Vec<_> = workers.iter().zip(styles).map(engine).collect();
    live(&mut engines, &world, &tally);
    let left: usize = engines.iter().map(|engine| engine.connections()).sum();
    let mut world = world.borrow_mut();
    let counted = tally.accepted.get() + tally.picked_up.get();
    let counted = counted - tally.ended.get() - tally.put_down.get();
    if left == 0 && (counted > 0 || admission.present() > 0) {
        world.fail(None, "there is nobody, and somebody is counted");
    }
    world.conclude();
    checks::judge(&world, &tally);
    match whole_trace {
        true => format!("{:#?}\n{}", world.scenario, world.recount(None, usize::MAX)),
        false => String::new(),
    }
}

/// A worker's engine over a simulated kernel.
fn engine<'a>(style: Style, worker: &'a Worker<'a>, world: &Shared) -> Box<dyn Engine + 'a> {
    let (world, number) = (world.clone(), worker.number);
    match style {
        Style::Completion => Box::new(uring::Driver::new(worker, Ring::new(world, number))),
        Style::Readiness => {
            let driver = epoll::Driver::new(worker, Sockets::new(world, number));
            Box::new(driver.expect("listeners can be watched"))
        }
        Style::Tasks => Box::new(Tasks::new(world, worker)),
    }
}

/// Turn by turn, to the end.
fn live(engines: &mut Engines<'_>, world: &Shared, tally: &Tally) {
    let mut history = History::default();
    for _ in 0..TURNS_MAX {
        let number = world.borrow_mut().next_worker();
        let engine = &mut engines[number];
        engine.turn().expect("a simulated kernel goes on");
        world.borrow_mut().hear();
        engine.check_step(&world.borrow());
        let is_done = engine.is_done();
        let views = views(engines, &world.borrow());
        history::note_ends(&views, &mut world.borrow_mut());
        if world.borrow().workers.iter().all(|worker| !worker.ended) {
            checks::check_deadlines(&world.borrow());
        }
        history.check(&views, &mut world.borrow_mut(), tally);
        history.check_waiting(engines, &views, &world.borrow());
        if !is_done && engines.iter().all(|engine| engine.is_draining()) {
            history.check_residents(&views, &world.borrow());
        }
        if is_done {
            world.borrow_mut().strand(number);
            let engine = &mut engines[number];
            engine.finish().expect("a simulated kernel goes on");
            conclude(&**engine, &world.borrow());
            let left = engine.views().into_iter().filter_map(|view| view.line);
            world.borrow_mut().lose(left);
            if world.borrow().serving().next().is_none() {
                return checks::check_sockets(engines, &world.borrow());
            }
            continue;
        }
        let go_on = engines.iter().any(|engine| engine.has_yielded());
        if world.borrow().is_quiet() && !go_on {
            check_quiet(engines, &views, &mut world.borrow_mut());
        }
        moves::unsettle(number, &mut *engines[number], world);
    }
    world.borrow().fail(None, "it does not end");
}

/// The connections of all workers that have not ended.
fn views(engines: &Engines<'_>, world: &World) -> Vec<View> {
    let engines = engines.iter().zip(&world.workers);
    let serving = engines.filter(|(_, worker)| !worker.ended);
    serving.flat_map(|(engine, _)| engine.views()).collect()
}

/// Nothing happens before time has passed.
fn check_quiet(engines: &Engines<'_>, views: &[View], world: &mut World) {
    for (engine, worker) in engines.iter().zip(&world.workers) {
        if !worker.ended && !worker.unborn {
            engine.check_quiet(world);
        }
    }
    history::check_wants(engines, views, world);
    checks::check_progress(world);
    if world.stalled {
        go_on(engines, world);
    }
}

/// Nobody will do anything any more.
fn go_on(engines: &Engines<'_>, world: &mut World) {
    if !world.winding_up {
        // Whoever must not live for ever had a timer, so nobody is left that must not.
        world.expect_patience();
        return world.wind_up();
    }
    if !world.is_deserted() || engines.iter().any(|engine| engine.connections() > 0) {
        world.fail(None, "it stands still");
    }
    engines.iter().for_each(|engine| engine.check_end(world));
    checks::check_sockets(engines, world);
    world.drain();
}

/// The drain is over.
fn conclude(engine: &dyn Engine, world: &World) {
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

//! What must hold over time: nobody is ended too early, nobody stays too long, and nobody is passed over.

use ringback::protocol::Tally;
use ringback::shard::{Connection, Shard, SlotId, Wants, Write};

use crate::sim::checks::{Engines, SLACK};
use crate::sim::network::{Farewell, Line, Stamp};
use crate::sim::run::LAST_CALL;
use crate::sim::world::World;

/// What is owed counts from when it is queued, and the kernel has it only some tasks later, in nanoseconds.
const HANDED_ON: u64 = 1_000_000;

/// Whoever is owed something is looked at so many times in a stall timeout.
const LOOKS: u64 = 4;

/// Turns within which whoever has something to say is heard: so many in any case, for operations that
/// complete one by one, and so many more for each connection, which may all be served first.
const PATIENCE_TURNS: usize = 64;
const TURNS_PER_CONNECTION: usize = 4;

/// What a connection is called: by which worker, and how.
pub(crate) type Name = (usize, SlotId);

/// How a connection stands after a turn.
pub(crate) struct View {
    /// Which worker's, and what it is called there.
    pub(crate) name: Name,
    pub(crate) line: Option<Line>,
    wants: Wants,
    /// Its dialogue is over.
    discards: bool,
    /// Bytes are queued for it.
    queued: bool,
    /// Its peer does not keep up.
    behind: bool,
}

pub(crate) fn views<Io>(
    worker: usize,
    shard: &Shard<Io>,
    line: impl Fn(SlotId) -> Option<Line>,
) -> Vec<View> {
    let view = |id| View {
        name: (worker, id),
        line: line(id),
        wants: shard.wants(id),
        discards: shard.discards(id),
        queued: shard.queued_bytes(id) > 0,
        behind: shard.get(id).is_some_and(Connection::is_behind),
    };
    shard.ids().into_iter().map(view).collect()
}

/// Whoever is to be closed stands as it does now, however long that takes.
pub(crate) fn note_ends(views: &[View], world: &mut World) {
    for view in views {
        if let (Some(line), Write::Close { reset }) = (view.line, view.wants.write) {
            world.network.give_up(line, reset);
        }
    }
}

/// Whether reading is all that a connection wants or does not want, and does not have.
fn is_passed_over(engines: &Engines<'_>, view: &View) -> bool {
    let read = !view.wants.read;
    let otherwise = Wants { read, ..view.wants };
    check(engines, view, view.wants).is_err() && check(engines, view, otherwise).is_ok()
}

fn check(engines: &Engines<'_>, view: &View, wants: Wants) -> Result<(), String> {
    let (worker, id) = view.name;
    engines[worker].check_wants(id, wants)
}

/// Checks, while nothing can happen, that what each connection wants is under way. Who is behind may be read
/// from or not: how much may be queued for it depends on what others keep, and it does not hear of that.
pub(crate) fn check_wants(engines: &Engines<'_>, views: &[View], world: &World) {
    for view in views {
        if let Err(why) = check(engines, view, view.wants)
            && !(view.behind && is_passed_over(engines, view))
        {
            world.fail(view.line, &why);
        }
    }
}

/// Who was there, or on the way, when the server began to go down: by either name.
struct Residents {
    names: Vec<Name>,
    lines: Vec<Line>,
    /// All lines that were open. For one of them nothing may have been begun, so that it was not known which.
    open: Vec<Line>,
}

/// What has been seen of the connections so far.
#[derive(Default)]
pub(crate) struct History {
    /// Since when each has been at its end.
    ending: Vec<(Line, Stamp)>,
    /// Who is behind, has room, and is not read from: since when.
    waiting: Vec<(Line, Stamp)>,
    /// To whom bytes were queued after the last turn.
    queued: Vec<Line>,
    /// Who has something to say and has not been heard: since which byte, and for how many turns.
    unheard: Vec<(Name, u64, usize)>,
    /// Who was there when the server began to go down.
    residents: Option<Residents>,
    /// For how many turns nobody of them has been there.
    deserted: usize,
    /// Resets for which there was no reason but want of memory.
    shed: u64,
}

impl History {
    /// To be called after every turn.
    pub(crate) fn check(&mut self, views: &[View], world: &mut World, tally: &Tally) {
        for farewell in std::mem::take(&mut world.network.farewells) {
            self.check_early(&farewell, world, tally);
        }
        self.check_late(views, world);
        self.check_starved(views, world);
        // Whoever waits to be closed, or is on the way, stands as it did when that was decided.
        let before = std::mem::take(&mut self.queued);
        let away = world.moves.lines();
        self.queued
            .extend(away.filter(|line| before.contains(line)));
        for view in views {
            let Some(line) = view.line else { continue };
            let queued = match view.wants.write {
                Write::Close { .. } => view.queued || before.contains(&line),
                _ => view.queued,
            };
            self.queued.extend(queued.then_some(line));
        }
    }

    /// Nobody is given up who acknowledges what is owed to it, or is owed nothing.
    fn check_early(&mut self, farewell: &Farewell, world: &World, tally: &Tally) {
        let Farewell { line, .. } = *farewell;
        let scenario = &world.scenario;
        let drain = scenario.drain_timeout.as_nanos() as u64;
        let drained = world.drained_at.map(|at| world.network.clock.now - at.now);
        let called = world.closing_at.map(|at| world.network.clock.now - at.now);
        let over = drained.is_some_and(|since| since >= drain)
            || called.is_some_and(|since| since >= LAST_CALL)
            || (called.is_some() && !self.is_resident(line));
        if !farewell.reset || farewell.broken || world.peer(line).hurt || over {
            return;
        }
        let stall = scenario.policy.stall_timeout.as_nanos() as u64;
        // What came and went between two looks that the clock tore apart, the server cannot know.
        let jumped = |at: u64| farewell.at.saturating_sub(at) < stall;
        let stalls = farewell.stalled + HANDED_ON >= stall || world.jumped_at.is_some_and(jumped);
        let owed = farewell.outstanding > 0 || self.queued.contains(&line);
        if stalls && owed {
            return;
        }
        self.shed += 1;
        if self.shed > tally.shed.get() {
            let why = if owed {
                "it acknowledges what is owed to it"
            } else {
                "nothing is owed to it"
            };
            world.fail(Some(line), &format!("ended too early, {why}: {farewell:?}"));
        }
    }

    /// Whether a connection was there when the server began to go down.
    fn is_resident(&self, line: Line) -> bool {
        let residents = self.residents.as_ref();
        residents.is_some_and(|residents| residents.lines.contains(&line))
    }

    /// Where room has come from others' leaving, it is found by the next look at whoever waits for it.
    pub(crate) fn check_waiting(&mut self, engines: &Engines<'_>, views: &[View], world: &World) {
        let clock = world.network.clock;
        let look = world.scenario.policy.stall_timeout.as_nanos() as u64 / LOOKS;
        // A look may fall into a turn in which there was none for a moment.
        let max = 2 * look + SLACK;
        let waits = |view: &&View| view.behind && view.wants.read && is_passed_over(engines, view);
        let before = std::mem::take(&mut self.waiting);
        for line in views.iter().filter(waits).filter_map(|view| view.line) {
            // While the clock jumps nothing completes.
            let jumped = world.jumped_at.is_some_and(|at| clock.now < at + max);
            let since = before.iter().find(|(known, _)| *known == line && !jumped);
            let since = since.map_or(clock, |(_, since)| *since);
            if clock.since(since) > max {
                world.fail(Some(line), "it has room, and is not read from");
            }
            self.waiting.push((line, since));
        }
    }

    /// The last call begins when all are gone that were there when the server began to go down.
    pub(crate) fn check_residents(&mut self, views: &[View], world: &World) {
        let residents = self.residents.get_or_insert_with(|| Residents {
            names: views.iter().map(|view| view.name).collect(),
            lines: {
                let lines = views.iter().filter_map(|view| view.line);
                lines.chain(world.moves.lines()).collect()
            },
            open: world.network.open_lines().collect(),
        });
        let stays = |view: &View| {
            residents.names.contains(&view.name)
                || view.line.is_none_or(|line| {
                    let moved = world.network.connections[line].moved;
                    residents.lines.contains(&line) || (moved && residents.open.contains(&line))
                })
        };
        let drain = world.scenario.drain_timeout.as_nanos() as u64;
        let over = |at: Stamp| world.network.clock.now - at.now >= drain;
        let over = world.drained_at.is_some_and(over);
        let deserted = world.closing_at.is_none() && !over && !views.iter().any(stays);
        self.deserted = if deserted { self.deserted + 1 } else { 0 };
        // Of several workers, the one that was left may have to wait for its turn.
        if self.deserted > PATIENCE_TURNS * (world.workers.len() - 1) {
            world.fail(
                None,
                "all are gone that were there, and no last call is made",
            );
        }
    }

    /// Whoever has something to say, and should be read from, is heard in turn, whatever the others do.
    fn check_starved(&mut self, views: &[View], world: &World) {
        if !world.scenario.faults.keep_order() {
            return;
        }
        let max = PATIENCE_TURNS + TURNS_PER_CONNECTION * views.len();
        let max = max * world.workers.len();
        let before = std::mem::take(&mut self.unheard);
        for view in views.iter().filter(|view| view.wants.read && !view.behind) {
            let Some(line) = view.line.filter(|line| world.network.unread(*line) > 0) else {
                continue;
            };
            let heard = world.network.heard(line);
            let waits = |known: &&(Name, u64, usize)| (known.0, known.1) == (view.name, heard);
            let turns = before.iter().find(waits).map_or(0, |known| known.2 + 1);
            if turns > max {
                world.fail(Some(line), &format!("it is not heard in {turns} turns"));
            }
            self.unheard.push((view.name, heard, turns));
        }
    }

    /// Whoever is at its end is gone a while after its peer has last acknowledged something.
    fn check_late(&mut self, views: &[View], world: &mut World) {
        let ends = |view: &&View| view.discards && !matches!(view.wants.write, Write::Close { .. });
        let ending = views.iter().filter(ends);
        let ending: Vec<_> = ending.filter_map(|view| view.line).collect();
        self.ending.retain(|(line, _)| ending.contains(line));
        let clock = world.network.clock;
        let max = world.scenario.ending_max().as_nanos() as u64 + SLACK;
        for line in ending {
            let since = match self.ending.iter().find(|(known, _)| *known == line) {
                Some((_, since)) => clock.since(*since),
                None => {
                    self.ending.push((line, clock));
                    world.network.begin_end(line);
                    0
                }
            };
            let stalled = clock.since(world.network.connections[line].progress_at);
            if since.min(stalled) > max {
                world.fail(Some(line), "it is at its end for too long");
            }
        }
    }
}

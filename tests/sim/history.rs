//! What must hold over time: nobody is ended too early, nobody stays too long, and nobody is passed over.

use ringback::protocol::Tally;
use ringback::shard::{Connection, Shard, SlotId, Wants, Write};

use crate::checks::{Engine, SLACK};
use crate::network::{Farewell, Line, Stamp};
use crate::run::LAST_CALL;
use crate::world::World;

/// What is owed counts from when it is queued, and the kernel has it only some tasks later, in nanoseconds.
const HANDED_ON: u64 = 1_000_000;

/// Whoever is owed something is looked at so many times in a stall timeout.
const LOOKS: u64 = 4;

/// Turns within which whoever has something to say is heard: so many in any case, for operations that
/// complete one by one, and so many more for each connection, which may all be served first.
const PATIENCE_TURNS: usize = 64;
const TURNS_PER_CONNECTION: usize = 4;

/// How a connection stands after a turn.
pub(crate) struct View {
    id: SlotId,
    line: Option<Line>,
    wants: Wants,
    /// Its dialogue is over.
    discards: bool,
    /// Bytes are queued for it.
    queued: bool,
    /// Its peer does not keep up.
    behind: bool,
}

pub(crate) fn views<Io>(shard: &Shard<Io>, line: impl Fn(SlotId) -> Option<Line>) -> Vec<View> {
    let view = |id| View {
        id,
        line: line(id),
        wants: shard.wants(id),
        discards: shard.discards(id),
        queued: shard.queued_bytes(id) > 0,
        behind: shard.get(id).is_some_and(Connection::is_behind),
    };
    shard.ids().into_iter().map(view).collect()
}

/// Whether reading is all that a connection wants or does not want, and does not have.
fn is_passed_over(engine: &impl Engine, view: &View) -> bool {
    let read = !view.wants.read;
    let otherwise = Wants { read, ..view.wants };
    engine.check_wants(view.id, view.wants).is_err()
        && engine.check_wants(view.id, otherwise).is_ok()
}

/// Checks, while nothing can happen, that what each connection wants is under way. Who is behind may be read
/// from or not: how much may be queued for it depends on what others keep, and it does not hear of that.
pub(crate) fn check_wants(engine: &impl Engine, views: &[View], world: &World) {
    for view in views {
        if let Err(why) = engine.check_wants(view.id, view.wants)
            && !(view.behind && is_passed_over(engine, view))
        {
            world.fail(view.line, &why);
        }
    }
}

/// What has been seen of the connections so far.
#[derive(Default)]
pub(crate) struct History {
    /// Since when each has been at its end.
    ending: Vec<(SlotId, Stamp)>,
    /// Who is behind, has room, and is not read from: since when.
    waiting: Vec<(SlotId, Stamp)>,
    /// To whom bytes were queued after the last turn.
    queued: Vec<Line>,
    /// Who has something to say and has not been heard: since which byte, and for how many turns.
    unheard: Vec<(Line, u64, usize)>,
    /// Who was there when the server began to go down.
    residents: Option<Vec<(SlotId, Option<Line>)>>,
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
        // Whoever waits to be closed stands as it did when that was decided.
        let before = std::mem::take(&mut self.queued);
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
        let mut residents = self.residents.iter().flatten();
        residents.any(|(_, known)| *known == Some(line))
    }

    /// Where room has come from others' leaving, it is found by the next look at whoever waits for it.
    pub(crate) fn check_waiting(&mut self, engine: &impl Engine, views: &[View], world: &World) {
        let clock = world.network.clock;
        let look = world.scenario.policy.stall_timeout.as_nanos() as u64 / LOOKS;
        // A look may fall into a turn in which there was none for a moment.
        let max = 2 * look + SLACK;
        let waits = |view: &&View| view.behind && view.wants.read && is_passed_over(engine, view);
        let before = std::mem::take(&mut self.waiting);
        for View { id, line, .. } in views.iter().filter(waits) {
            let since = before.iter().find(|(known, _)| known == id);
            let since = since.map_or(clock, |(_, since)| *since);
            if clock.since(since) > max {
                world.fail(*line, "it has room, and is not read from");
            }
            self.waiting.push((*id, since));
        }
    }

    /// The last call begins when all are gone that were there when the server began to go down.
    pub(crate) fn check_residents(&mut self, views: &[View], world: &World) {
        let there = || views.iter().map(|view| (view.id, view.line)).collect();
        let residents: &mut Vec<_> = self.residents.get_or_insert_with(there);
        let stays = |view: &View| residents.iter().any(|(id, _)| *id == view.id);
        let drain = world.scenario.drain_timeout.as_nanos() as u64;
        let over = |at: Stamp| world.network.clock.now - at.now >= drain;
        let over = world.drained_at.is_some_and(over);
        if world.closing_at.is_none() && !over && !views.iter().any(stays) {
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
        let before = std::mem::take(&mut self.unheard);
        for view in views.iter().filter(|view| view.wants.read && !view.behind) {
            let Some(line) = view.line.filter(|line| world.network.unread(*line) > 0) else {
                continue;
            };
            let heard = world.network.heard(line);
            let waits = |known: &&(Line, u64, usize)| (known.0, known.1) == (line, heard);
            let turns = before.iter().find(waits).map_or(0, |known| known.2 + 1);
            if turns > max {
                world.fail(Some(line), &format!("it is not heard in {turns} turns"));
            }
            self.unheard.push((line, heard, turns));
        }
    }

    /// Whoever is at its end is gone a while after its peer has last acknowledged something.
    fn check_late(&mut self, views: &[View], world: &mut World) {
        let ends = |view: &&View| view.discards && !matches!(view.wants.write, Write::Close { .. });
        let ending: Vec<_> = views.iter().filter(ends).collect();
        self.ending
            .retain(|(id, _)| ending.iter().any(|view| view.id == *id));
        let clock = world.network.clock;
        let max = world.scenario.ending_max().as_nanos() as u64 + SLACK;
        for View { id, line, .. } in ending {
            let since = match self.ending.iter().find(|(known, _)| known == id) {
                Some((_, since)) => clock.since(*since),
                None => {
                    self.ending.push((*id, clock));
                    if let Some(line) = line {
                        world.network.begin_end(*line);
                    }
                    0
                }
            };
            let progress = line.map(|line| world.network.connections[line].progress_at);
            let stalled = progress.map_or(u64::MAX, |at| clock.since(at));
            if since.min(stalled) > max {
                world.fail(*line, "it is at its end for too long");
            }
        }
    }
}

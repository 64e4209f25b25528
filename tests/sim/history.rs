//! What must hold over time: nobody is ended too early, nobody stays too long, and nobody is passed over.

use ringback::protocol::Tally;
use ringback::shard::{Shard, SlotId, Wants, Write};

use crate::checks::SLACK;
use crate::network::{Farewell, Line, Stamp};
use crate::world::World;

/// Nanoseconds of silence for which a server that goes down waits for the rest of a message.
const REST_OF_A_MESSAGE: u64 = 1_000_000_000;

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
}

pub(crate) fn views<Io>(shard: &Shard<Io>, line: impl Fn(SlotId) -> Option<Line>) -> Vec<View> {
    let view = |id| View {
        id,
        line: line(id),
        wants: shard.wants(id),
        discards: shard.discards(id),
        queued: shard.queued_bytes(id) > 0,
    };
    shard.ids().into_iter().map(view).collect()
}

/// What has been seen of the connections so far.
#[derive(Default)]
pub(crate) struct History {
    /// Since when each has been at its end.
    ending: Vec<(SlotId, Stamp)>,
    /// To whom bytes were queued after the last turn.
    queued: Vec<Line>,
    /// Who has something to say and has not been heard: since which byte, and for how many turns.
    unheard: Vec<(Line, u64, usize)>,
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
        let queued = views.iter().filter(|view| view.queued);
        self.queued = queued.filter_map(|view| view.line).collect();
    }

    /// Nobody is given up who acknowledges what is owed to it; nor, where nothing is owed, who speaks.
    fn check_early(&mut self, farewell: &Farewell, world: &World, tally: &Tally) {
        let Farewell { line, .. } = *farewell;
        let scenario = &world.scenario;
        let drain = scenario.drain_timeout.as_nanos() as u64;
        let drained = world.drained_at.map(|at| world.network.clock.now - at.now);
        let over =
            drained.is_some_and(|since| since >= drain || farewell.silent >= REST_OF_A_MESSAGE);
        if !farewell.reset || farewell.broken || world.peer(line).hurt || over {
            return;
        }
        let stalls = farewell.stalled >= scenario.stall_timeout.as_nanos() as u64;
        let owed = farewell.outstanding > 0 || self.queued.contains(&line);
        let idle = scenario.policy.idle_timeout;
        let silent = idle.is_some_and(|idle| farewell.silent >= idle.as_nanos() as u64);
        if stalls && (owed || silent) {
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

    /// Whoever has something to say, and should be read from, is heard in turn, whatever the others do.
    fn check_starved(&mut self, views: &[View], world: &World) {
        if !world.scenario.faults.keep_order() {
            return;
        }
        let max = PATIENCE_TURNS + TURNS_PER_CONNECTION * views.len();
        let before = std::mem::take(&mut self.unheard);
        for view in views.iter().filter(|view| view.wants.read) {
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
    fn check_late(&mut self, views: &[View], world: &World) {
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

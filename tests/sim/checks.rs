//! What must hold, after every step, whenever nothing moves, and at the end.

use ringback::engine::{epoll, uring};
use ringback::memory::slab::SLAB_COST_MAX;
use ringback::protocol::Tally;
use ringback::shard::{
    Connection, Destination, SURPLUS_CONNECTIONS_MAX, Shard, SlotId, UNDERWAY_BYTES_MAX, Wants,
    Write,
};

use crate::sim::history::{View, views};
use crate::sim::network::{Line, Side};
use crate::sim::peer::{End, Peer};
use crate::sim::reader::{GOING_AWAY, Stage};
use crate::sim::readiness::Sockets;
use crate::sim::ring::Ring;
use crate::sim::scenario::UNREAD_PATIENCE;
use crate::sim::world::World;

/// One part in so many of the budget is for unfinished input.
const UNFINISHED_PART: usize = 4;

/// Longer replies are not copied while they are under way.
const COPIED_BYTES_MAX: usize = 1024;

/// What one receive may add to a queue: a hot buffer.
const RECEIVE_BYTES_MAX: usize = 128 * 1024;

/// The longest Close frame of a server.
const CLOSE_BYTES_MAX: u64 = 2 + 125;

/// Nanoseconds that a step may be late without meaning.
pub(crate) const SLACK: u64 = 1_000_000;

/// An engine over a simulated kernel.
pub(crate) trait Engine {
    fn turn(&mut self) -> std::io::Result<()>;

    fn is_done(&self) -> bool;

    /// Has a connection put down.
    fn leave(&mut self, id: SlotId, to: Destination);

    /// Submits what is left to be, once it is done.
    fn finish(&mut self) -> std::io::Result<()>;

    /// What the shard and the kernel must agree on after every turn.
    fn check_step(&self, world: &World);

    /// Whether what a connection wants is under way.
    fn check_wants(&self, id: SlotId, wants: Wants) -> Result<(), String>;

    /// What must be under way when nothing moves.
    fn check_quiet(&self, world: &World);

    /// What must be left when everyone is gone.
    fn check_end(&self, world: &World);

    /// How many connections there are.
    fn connections(&self) -> usize;

    /// How many sockets the engine has not been told of.
    fn unseen(&self) -> usize {
        0
    }

    /// Whether the server has begun to go down.
    fn is_draining(&self) -> bool;

    /// Whether a connection goes on in the next turn, though nothing happens.
    fn has_yielded(&self) -> bool;

    /// How each connection stands.
    fn views(&self) -> Vec<View>;

    /// Nanoseconds that a drain may take beyond its timeout.
    fn grace(&self) -> u64 {
        SLACK
    }
}

/// The engines of all workers.
pub(crate) type Engines<'a> = [Box<dyn Engine + 'a>];

impl Engine for uring::Driver<'_, Ring> {
    fn turn(&mut self) -> std::io::Result<()> {
        uring::Driver::turn(self)
    }

    fn is_done(&self) -> bool {
        uring::Driver::is_done(self)
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.serve()
    }

    fn leave(&mut self, id: SlotId, to: Destination) {
        uring::Driver::leave(self, id, to);
    }

    fn check_step(&self, world: &World) {
        check_limits(self.shard(), world);
        check_memory(self.shard(), world, 0, false);
        if let Err((line, why)) = self.kernel().check_sends(self.shard()) {
            world.fail(Some(line), &why);
        }
    }

    fn check_quiet(&self, world: &World) {
        check_memory(self.shard(), world, 0, true);
        if !self.kernel().hears() {
            world.fail(None, "the waker is not watched");
        }
    }

    fn check_wants(&self, id: SlotId, wants: Wants) -> Result<(), String> {
        let discards = self.shard().discards(id);
        self.kernel().check_wants(id, wants, discards)
    }

    fn check_end(&self, world: &World) {
        check_empty(self.shard(), world);
        if self.accounts().claims() > 0 {
            world.fail(None, "claims on receive buffers are left");
        }
        let checked = self.kernel().check_end();
        checked.unwrap_or_else(|why| world.fail(None, &why));
    }

    fn connections(&self) -> usize {
        self.shard().len()
    }

    fn unseen(&self) -> usize {
        self.kernel().unseen()
    }

    fn is_draining(&self) -> bool {
        self.shard().is_draining()
    }

    fn has_yielded(&self) -> bool {
        self.shard().has_yielded()
    }

    fn views(&self) -> Vec<View> {
        views(self.kernel().worker, self.shard(), |id| {
            self.kernel().line_of(id)
        })
    }
}

impl Engine for epoll::Driver<'_, Sockets> {
    fn turn(&mut self) -> std::io::Result<()> {
        epoll::Driver::turn(self)
    }

    fn is_done(&self) -> bool {
        epoll::Driver::is_done(self)
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.serve()
    }

    fn leave(&mut self, id: SlotId, to: Destination) {
        epoll::Driver::leave(self, id, to);
    }

    fn check_step(&self, world: &World) {
        check_limits(self.shard(), world);
        check_memory(self.shard(), world, 0, false);
    }

    fn check_quiet(&self, world: &World) {
        check_memory(self.shard(), world, 0, true);
    }

    fn check_wants(&self, id: SlotId, wants: Wants) -> Result<(), String> {
        self.kernel().check_wants(id, wants)
    }

    fn check_end(&self, world: &World) {
        check_empty(self.shard(), world);
    }

    fn connections(&self) -> usize {
        self.shard().len()
    }

    fn is_draining(&self) -> bool {
        self.shard().is_draining()
    }

    fn has_yielded(&self) -> bool {
        self.shard().has_yielded()
    }

    fn views(&self) -> Vec<View> {
        views(self.kernel().worker, self.shard(), |id| {
            self.kernel().line(id)
        })
    }
}

pub(crate) fn check_limits<Io>(shard: &Shard<Io>, world: &World) {
    let max = world
        .scenario
        .connections_max
        .map_or(usize::MAX, Into::into);
    // Each listener may have an accept under way when the last place is taken.
    let surplus_max = SURPLUS_CONNECTIONS_MAX + world.scenario.listeners;
    let picked_up = world.network.picked_up();
    if shard.len() > max.saturating_add(surplus_max + picked_up) {
        world.fail(
            None,
            &format!("{} connections, and {max} are allowed", shard.len()),
        );
    }
    // What has been received when it shows that a peer is behind is kept.
    let buffers = world.scenario.buffers;
    let received_max = RECEIVE_BYTES_MAX.max(usize::from(buffers.count) * buffers.bytes);
    let queued_max = UNDERWAY_BYTES_MAX.max(world.scenario.buffer_memory_bytes / 4);
    for id in shard.ids() {
        let queued = shard.queued_bytes(id);
        if queued > queued_max + received_max {
            world.fail(None, &format!("{queued} bytes are queued for {id:?}"));
        }
    }
}

/// All slabs together stay within the budget, less what the engine has `reserved` of it; where nothing is
/// queued, within the part that is for unfinished input. Not counted is what is under way to a peer that is
/// not known to be behind, and what comes back once a connection is closed. When nothing moves, nothing is
/// under way (`quiet`).
pub(crate) fn check_memory<Io>(shard: &Shard<Io>, world: &World, reserved: usize, quiet: bool) {
    let budget = world.scenario.buffer_memory_bytes;
    let unfinished = budget / UNFINISHED_PART;
    let least = world.workers.len() * SLAB_COST_MAX;
    let queued = (budget - unfinished).max(least) - reserved;
    let mut max = unfinished.max(least);
    // What waits for another turn is kept as what is queued.
    let mut keeps = shard.has_yielded();
    for id in shard.ids() {
        let bytes = shard.queued_bytes(id);
        let wants = shard.wants(id);
        let closes = matches!(wants.write, Write::Close { reset: true });
        // What comes for one that is to be put down is kept.
        let leaves = matches!(wants.write, Write::PutDown(_));
        keeps |= bytes > 0 || closes || leaves;
        if closes {
            max += 2 * (bytes + RECEIVE_BYTES_MAX + SLAB_COST_MAX);
        } else if bytes > 0 && !quiet && !shard.get(id).is_some_and(Connection::is_behind) {
            // A short reply between two that are not copied takes a slab.
            max += (bytes / COPIED_BYTES_MAX + 2) * SLAB_COST_MAX;
        }
    }
    if keeps {
        max += queued;
    }
    // What was held of a connection that is picked up is held again, though others have taken its place.
    max += world.network.picked_up() * SLAB_COST_MAX;
    let kept = shard.slab_bytes();
    if kept > max {
        let why = format!("slabs take {kept} bytes, and {max} are allowed");
        world.fail(None, &why);
    }
}

pub(crate) fn check_empty<Io>(shard: &Shard<Io>, world: &World) {
    if !shard.is_empty() || shard.slab_bytes() > 0 {
        let (connections, bytes) = (shard.len(), shard.slab_bytes());
        world.fail(
            None,
            &format!("{connections} connections, {bytes} bytes of slabs are left"),
        );
    }
}

/// Every socket is somebody's.
pub(crate) fn check_sockets(engines: &Engines<'_>, world: &World) {
    let mut known = world.moves.lines().count();
    for engine in engines {
        known += engine.connections() + engine.unseen();
    }
    if world.network.open > known {
        let leaked = world.network.open - known;
        world.fail(None, &format!("{leaked} sockets leaked"));
    }
}

/// Every connection ends by its deadline.
pub(crate) fn check_deadlines(world: &World) {
    let scenario = &world.scenario;
    let policy = &scenario.policy;
    let clock = world.network.clock;
    let handshake = policy.handshake_timeout.as_nanos() as u64 + SLACK;
    let unread = UNREAD_PATIENCE.as_nanos() as u64 + SLACK;
    let ending = scenario.ending_max().as_nanos() as u64 + SLACK;
    for (line, connection) in world.network.connections.iter().enumerate() {
        if connection.server != Side::Open || connection.leaving || connection.away.is_some() {
            continue;
        }
        let late = |why: &str| world.fail(Some(line), why);
        // Whoever acknowledges what is owed to it has all the time that it needs.
        let progress = clock.since(connection.progress_at);
        let since = |stamp| clock.since(stamp).min(progress);
        if scenario
            .silence_max()
            .is_some_and(|max| since(connection.touched_at) > max)
        {
            late("it is silent, and lives for ever");
        }
        let request = scenario.entrance.protocol == ringback::shard::Protocol::WebSocket;
        // Where there is something to read, be it FIN, the deadline is put off.
        let unheard = request && !connection.answered && !world.network.is_readable(line);
        let read = clock.since(connection.touched_at) <= unread;
        if unheard && !read && clock.since(connection.accepted_at) > handshake {
            late("no request has come, and it is not told so");
        }
        if connection.finished_at.is_some_and(|at| since(at) > ending) {
            late("it is at its end, and does not end");
        }
    }
}

/// Whoever reads has, when nothing moves, all that is owed to it.
pub(crate) fn check_progress(world: &World) {
    for peer in &world.peers {
        let Some(line) = peer.line else { continue };
        let connection = &world.network.connections[line];
        // A server that ends picks nobody up any more.
        let here = connection.server == Side::Open && connection.away.is_none();
        if !here || peer.over || peer.end.is_some() || !peer.is_eager() {
            continue;
        }
        let late = |why: &str| world.fail(Some(line), why);
        if peer.reader.close.is_some() || matches!(peer.reader.stage, Stage::Refused(_)) {
            late("it was told to leave, and sees no FIN");
        }
        if world.network.unread(line) > 0 && connection.finished_at.is_none() {
            late("the server does not read");
        }
        let (has, owed) = peer.balance();
        if has < owed {
            late(&format!("it has {has} of the {owed} that are owed to it"));
        }
        let asks = peer.has_said_all() && peer.script.has_head && peer.reader.stage == Stage::Head;
        if asks {
            late("it asked, and is not answered");
        }
        if peer.has_said_all() && peer.reader.expects_close() && peer.is_served() {
            late("it ends the dialogue, and the server does not");
        }
    }
}

/// How each peer fared, now that all is over.
pub(crate) fn judge(world: &World, tally: &Tally) {
    let mut resets = 0;
    for peer in &world.peers {
        let Some(line) = peer.line else { continue };
        let connection = &world.network.connections[line];
        let reset = peer.end == Some(End::Reset);
        judge_silence(world, line, peer);
        if !peer.is_fair() || connection.server == Side::Queued {
            continue;
        }
        let refusable = world.scenario.connections_max.is_some() || world.drained_at.is_some();
        let refused = refusable && !peer.is_served();
        if reset && !refused && tally.shed.get() > resets {
            resets += 1;
            continue;
        }
        judge_fair(world, line, peer);
    }
}

/// A peer that was told to go because nothing came from it.
fn judge_silence(world: &World, line: Line, peer: &Peer) {
    let Some(farewell) = world.network.connections[line].farewell else {
        return;
    };
    let drained = world.drained_at.is_some_and(|at| at.now <= farewell.at);
    let away = peer.reader.close == Some(GOING_AWAY) && !peer.reader.is_owed(GOING_AWAY);
    // There are no close codes in RFC 862: whoever has not sent FIN and is left is told so by that.
    let refusable = world.scenario.connections_max.is_some();
    let left = peer.reader.stage == Stage::Echo && !farewell.answered && !refusable;
    if drained || farewell.reset || farewell.broken || !(away || left) {
        return;
    }
    let idle = world.scenario.policy.idle_timeout;
    let idle = idle.map_or(u64::MAX, |idle| idle.as_nanos() as u64);
    let stall = world.scenario.policy.stall_timeout.as_nanos() as u64;
    if farewell.silent < idle {
        world.fail(
            Some(line),
            &format!("closed for silence, and it spoke: {farewell:?}"),
        );
    }
    // What is owed besides the Close itself was owed before it.
    if farewell.outstanding > CLOSE_BYTES_MAX && farewell.stalled < stall {
        world.fail(
            Some(line),
            &format!("closed for silence while it was reading: {farewell:?}"),
        );
    }
}

/// A peer that did all it could, and was not one of those that memory ran out for.
fn judge_fair(world: &World, line: Line, peer: &Peer) {
    let scenario = &world.scenario;
    let drained = world.drained_at.is_some();
    let wrong = |why: &str| world.fail(Some(line), why);
    let unavailable = scenario.connections_max.is_some() || !scenario.is_ample() || drained;
    let allowed = match peer.reader.stage {
        Stage::Refused(503) => unavailable,
        Stage::Refused(408) => !scenario.calm || !peer.script.has_head,
        Stage::Refused(_) => !(scenario.policy.http && peer.script.is_ordinary_http()),
        Stage::Frames | Stage::Echo => true,
        Stage::Head => !peer.script.has_head || !scenario.calm || drained,
    };
    if !allowed {
        return wrong("that is no answer");
    }
    // Whoever has not asked when the server goes down is owed nothing.
    let unasked = drained && !peer.is_served();
    let unwanted = scenario.connections_max.is_some() && !peer.is_served();
    if !scenario.calm || unasked || unwanted {
        return;
    }
    if peer.end != Some(End::Finished) {
        return wrong("it is not said goodbye to");
    }
    let away = peer.reader.close == Some(GOING_AWAY) && !peer.reader.is_owed(GOING_AWAY);
    if away && !drained {
        return wrong("the server goes away, and was not told to");
    }
    if drained {
        let speaks = peer.reader.stage == Stage::Frames && !peer.reader.is_inside();
        if speaks && peer.reader.close.is_none() && !peer.finished {
            wrong("the server goes down, and does not say so");
        }
        let (had, _) = peer.balance();
        let last_words = world.network.connections[line].last_words;
        let owed = last_words.map_or(0, |said| peer.owed(said as usize));
        if had < owed {
            wrong(&format!(
                "it has had {had} of the {owed} it had asked for before the drain"
            ));
        }
        return;
    }
    if !peer.is_answered() && peer.script.has_head {
        return wrong("it has not had all that is owed to it");
    }
    if let Err(why) = peer.reader.check_whole() {
        wrong(&why);
    }
}

//! Connections that are put down and picked up again, whenever chance has it, and meanwhile are on their way as
//! bytes, as another process would get them.

use ringback::shard::{Carried, Destination, Permit};

use crate::sim::checks::Engine;
use crate::sim::network::{Connection, Line, Network, Side};
use crate::sim::run::Style;
use crate::sim::world::{Shared, World};
use crate::support::random::Random;

/// A connection on its way: all but its socket.
struct Parcel {
    line: Line,
    /// The worker that is to pick it up.
    to: usize,
    bytes: Vec<u8>,
    permit: Option<Permit>,
    /// How many steps of the world it is away from whoever is to pick it up.
    steps: u64,
}

/// Which connections are put down, and when; those that are on their way.
pub(crate) struct Moves {
    /// Chance of its own: a run without moves is the run that it was.
    random: Random,
    /// How each worker does its I/O. All have the same peers.
    pub(crate) styles: Vec<Style>,
    /// Once in so many turns after which some are on the way, the server is told to stop; never for zero.
    drains: u64,
    /// Somebody answers ordinary HTTP.
    pub(crate) http: bool,
    /// Turns in which none is put down yet.
    rests: u64,
    /// From then on, once in so many turns.
    one_in: u64,
    /// So many times at most.
    left: u64,
    /// It is always the one that has been there for longest.
    same: bool,
    /// How many steps one is on its way, at most.
    steps_max: u64,
    /// The second worker begins when the first hands over to it all that it has, and all that it gets from then on:
    /// a process and its successor.
    pub(crate) heir: bool,
    /// It has.
    succeeded: bool,
    parcels: Vec<Parcel>,
}

impl Moves {
    pub(crate) fn new(seed: u64, style: Style) -> Self {
        let mut random = Random::new(!seed);
        let moves = random.one_in(3);
        let left = random.pick(&[1, 10, 100]);
        let other = random.pick(&Style::ALL);
        let others = (moves && random.one_in(2)).then_some(other);
        let has_other = others.is_some();
        Moves {
            styles: [style].into_iter().chain(others).collect(),
            left: if moves { left } else { 0 },
            drains: random.pick(&[0, 0, 5, 30]),
            http: moves && random.one_in(3),
            rests: random.pick(&[0, 20, 200]),
            one_in: random.pick(&[1, 4, 20]),
            same: random.one_in(4),
            steps_max: random.pick(&[1, 5, 50]),
            heir: has_other && random.one_in(3),
            succeeded: false,
            random,
            parcels: Vec::new(),
        }
    }

    /// The connections that are on their way.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line> {
        self.parcels.iter().map(|parcel| parcel.line)
    }

    /// Which of the workers has its turn.
    pub(crate) fn turn(&mut self) -> usize {
        match self.styles.len() {
            1 => 0,
            count => self.random.within(0..count),
        }
    }

    /// Whether all that this worker has is its heir's.
    fn bequeaths(&mut self, worker: usize) -> bool {
        if !self.heir || worker > 0 {
            return false;
        }
        if !self.succeeded {
            let is_time = self.rests == 0 && self.random.one_in(self.one_in);
            self.rests = self.rests.saturating_sub(1);
            self.succeeded = is_time;
        }
        self.succeeded
    }

    /// Which of so many connections are to be put down after this turn.
    fn choose(&mut self, count: usize) -> std::ops::Range<usize> {
        if self.left == 0 || count == 0 || (self.heir && !self.succeeded) {
            return 0..0;
        }
        if self.rests > 0 || !self.random.one_in(self.one_in) {
            self.rests = self.rests.saturating_sub(1);
            return 0..0;
        }
        self.left -= 1;
        match self.random.within(0..count) {
            _ if self.random.one_in(5) => 0..count,
            _ if self.same => 0..1,
            one => one..one + 1,
        }
    }
}

/// Has connections of an engine put down that has just had its turn, if it is time to.
pub(crate) fn unsettle(number: usize, engine: &mut dyn Engine, world: &Shared) {
    let views = engine.views();
    let bequeaths = world.borrow_mut().moves.bequeaths(number);
    if bequeaths {
        world.borrow_mut().bear();
    }
    let chosen = if bequeaths {
        0..views.len()
    } else {
        world.borrow_mut().moves.choose(views.len())
    };
    if !chosen.is_empty() {
        world.borrow_mut().awaken();
    }
    for view in &views[chosen] {
        let to = if bequeaths {
            1
        } else {
            world.borrow_mut().moves.turn()
        };
        let what = "is to be put down, for worker";
        world.borrow_mut().note(view.line, what, to as i64);
        engine.leave(view.name.1, Destination::Worker(to as u16));
    }
    let mut world = world.borrow_mut();
    let Moves {
        random,
        parcels,
        drains,
        ..
    } = &mut world.moves;
    if !parcels.is_empty() && random.one_in(*drains) {
        world.drain();
    }
}

impl Network {
    /// The lines that the server has.
    pub(crate) fn open_lines(&self) -> impl Iterator<Item = Line> {
        let lines = self.connections.iter().enumerate();
        lines.filter_map(|(line, it)| (it.server == Side::Open).then_some(line))
    }

    /// The server has put it down.
    pub(crate) fn put_down(&mut self, line: Line) {
        self.connections[line].away = Some(self.clock);
    }

    /// The server has picked it up: all clocks that run for it stood still meanwhile.
    pub(crate) fn pick_up(&mut self, line: Line) {
        let connection = &mut self.connections[line];
        connection.moved = true;
        let (now, away) = (self.clock, connection.away.take().unwrap_or(self.clock));
        let stamps = [
            Some(&mut connection.accepted_at),
            Some(&mut connection.touched_at),
            Some(&mut connection.heard_at),
            Some(&mut connection.progress_at),
            connection.finished_at.as_mut(),
        ];
        for stamp in stamps.into_iter().flatten() {
            stamp.now = now.now.min(stamp.now + (now.now - away.now));
            stamp.lost = now.lost.min(stamp.lost + (now.lost - away.lost));
        }
    }

    /// How many connections the server has that it picked up: it did not ask whether there was room.
    pub(crate) fn picked_up(&self) -> usize {
        let is_here = |it: &&Connection| it.moved && it.away.is_none() && it.server == Side::Open;
        self.connections.iter().filter(is_here).count()
    }
}

impl World {
    /// The server has put a connection down.
    pub(crate) fn hand_over(&mut self, line: Line, mut carried: Carried, to: Destination) {
        let Destination::Worker(to) = to else {
            return self.answer_http(line, carried);
        };
        let to = usize::from(to);
        let permit = carried.permit.take();
        let bytes = carried.encode();
        self.note(Some(line), "is put down, bytes", bytes.len() as i64);
        self.network.put_down(line);
        let moves = &mut self.moves;
        moves.parcels.push(Parcel {
            line,
            to,
            bytes,
            permit,
            steps: moves.random.below(moves.steps_max) + 1,
        });
        if self.workers[to].ended {
            self.strand(to);
        }
    }

    /// Somebody else answers a request that is ordinary HTTP: all that has come of it.
    fn answer_http(&mut self, line: Line, carried: Carried) {
        let unread = carried.into_bytes().unread;
        self.note(Some(line), "is ordinary HTTP, bytes", unread.len() as i64);
        let said = self.network.heard(line) as usize;
        let script = &self.peer(line).script;
        let connection = &self.network.connections[line];
        // What was lost with a connection does not count.
        let is_whole = unread.len() == said || connection.broken;
        if !is_whole || !script.bytes.starts_with(&unread) {
            self.fail(Some(line), "a request is handed over, and not all of it");
        }
        if !script.is_ordinary_http() || connection.answered {
            self.fail(Some(line), "it is handed over, and was to be answered");
        }
        self.peer_mut(line).hurt = true;
        self.network.close(line, false);
    }

    /// A connection that has arrived, for the server to pick up.
    pub(crate) fn next_carried(&mut self, worker: usize) -> Option<(Line, Carried)> {
        let parcels = &mut self.moves.parcels;
        let has_arrived = |it: &Parcel| it.steps == 0 && it.to == worker;
        let parcel = parcels.remove(parcels.iter().position(has_arrived)?);
        let line = parcel.line;
        self.note(Some(line), "is picked up", 0);
        self.network.pick_up(line);
        match Carried::decode(&parcel.bytes, parcel.permit) {
            Ok(carried) => Some((line, carried)),
            Err(damage) => self.fail(Some(line), &damage.to_string()),
        }
    }

    /// Those that are on their way go on; whether there are any.
    pub(crate) fn travel(&mut self) -> bool {
        let mut travels = false;
        for parcel in self.moves.parcels.iter_mut().filter(|it| it.steps > 0) {
            travels = true;
            parcel.steps -= 1;
            self.workers[parcel.to].woken |= parcel.steps == 0;
        }
        travels
    }

    /// A worker has ended: who is on the way to it arrives nowhere, and is closed.
    pub(crate) fn strand(&mut self, worker: usize) {
        self.workers[worker].ended = true;
        let parcels = self.moves.parcels.extract_if(.., |it| it.to == worker);
        for Parcel { line, .. } in parcels.collect::<Vec<_>>() {
            self.note(Some(line), "arrives nowhere", 0);
            self.peer_mut(line).hurt = true;
            self.network.pick_up(line);
            self.network.close(line, false);
        }
    }
}

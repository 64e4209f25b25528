//! Everything outside the server: the network, the peers, the clock, and what goes wrong.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use ringback::engine::{Goodbye, Stop, StopPhase};
use ringback::protocol::Moment;

use crate::sim::moves::Moves;
use crate::sim::network::{Line, Network, Side, Stamp};
use crate::sim::peer::Peer;
use crate::sim::run::{Chance, Style};
use crate::sim::scenario::Scenario;
use crate::support::random::Random;

/// Events kept, unless all are asked for.
const TRACE_MAX: usize = 4000;

/// Events told of a failure, unless all are.
const TOLD: usize = 60;

/// Nanoseconds at which a run begins: no moment in it is near zero.
const BEGINNING: u64 = 5_000_000_000;

/// Nanoseconds that pass at most while something small is done.
const TICK: u64 = 20_000;

/// How often in a row the server may wait in vain before it counts as all that will ever happen.
const IDLE_MAX: u32 = 200;

/// So many peers are many.
const CROWD: usize = 30;

/// Bytes that are much to come at once.
const HANDFUL: usize = 30_000;

/// What is known of a worker while it waits.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Its waker has been rung and not been heard.
    pub(crate) woken: bool,
    /// It has found nothing to do that can be done before time passes.
    quiet: bool,
    /// When it last looked at the clock.
    now: u64,
    /// Until when it waits.
    until: Option<u64>,
    /// It has ended.
    pub(crate) ended: bool,
    /// It has not begun: its driver has not made a turn.
    pub(crate) unborn: bool,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
struct Event {
    now: u64,
    line: Option<Line>,
    what: &'static str,
    number: i64,
}

/// The world, in which both a kernel and the checks have a part.
pub(crate) type Shared = Rc<RefCell<World>>;

/// Everything outside the server.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) scenario: Scenario,
    pub(crate) network: Network,
    pub(crate) peers: Vec<Peer>,
    pub(crate) moves: Moves,
    pub(crate) stop: Rc<Stop>,
    pub(crate) workers: Vec<Waiting>,
    /// When the server was told to stop.
    pub(crate) drained_at: Option<Stamp>,
    /// Peers leave, whatever they were about.
    pub(crate) winding_up: bool,
    /// Nothing more will happen at all, but perhaps what the server does by itself now and then.
    pub(crate) stalled: bool,
    /// When the server had heard that it is to stop.
    pub(crate) heard_at: Option<Stamp>,
    /// When all were gone that were there when the server began to go down.
    pub(crate) closing_at: Option<Stamp>,
    /// When the clock last jumped.
    pub(crate) jumped_at: Option<u64>,
    /// Nothing is due.
    patient: bool,
    /// How often time has passed in a row without anything but that.
    idle: u32,
    /// Which peer a connection is of.
    owners: Vec<usize>,
    trace: VecDeque<Event>,
    trace_max: usize,
}

impl World {
    pub(crate) fn new(
        chance: &Chance<'_>,
        style: Style,
        stop: impl FnOnce(&Scenario, usize) -> Rc<Stop>,
        whole_trace: bool,
    ) -> Self {
        let mut random = Random::guided(chance.seed, chance.guide);
        let mut scenario = Scenario::new(&mut random);
        let moves = Moves::new(chance.seed, style);
        scenario.policy.http = moves.http;
        if moves.styles.len() > 1 && scenario.peers > CROWD {
            // Time passes only where no worker has anything reported to it, and with many there always is.
            scenario.faults.spurious *= 10;
        }
        let mut network = Network::new(scenario.listeners, scenario.queue_max);
        let peers = (0..scenario.peers)
            .map(|_| Peer::new(&mut random, &scenario))
            .collect();
        network.clock.now = 0;
        World {
            stop: stop(&scenario, moves.styles.len()),
            random,
            network,
            peers,
            workers: (0..moves.styles.len())
                .map(|number| Waiting {
                    unborn: number > 0 && moves.heir,
                    ..Waiting::default()
                })
                .collect(),
            moves,
            scenario,
            drained_at: None,
            winding_up: false,
            stalled: false,
            heard_at: None,
            closing_at: None,
            jumped_at: None,
            patient: false,
            idle: 0,
            owners: Vec::new(),
            trace: VecDeque::new(),
            trace_max: if whole_trace { usize::MAX } else { TRACE_MAX },
        }
    }

    /// The time as the server knows it.
    pub(crate) fn moment(&self) -> Moment {
        Moment::from_nanos(BEGINNING + self.network.clock.now)
    }

    /// A worker looks at the clock.
    pub(crate) fn tell(&mut self, worker: usize) -> Moment {
        self.workers[worker].now = self.network.clock.now;
        self.moment()
    }

    /// Until when a worker waits that does so for that long since it looked at the clock.
    pub(crate) fn until(&self, worker: usize, patience: Option<Duration>) -> Option<u64> {
        let patience = patience?.as_nanos() as u64;
        Some(self.workers[worker].now.saturating_add(patience))
    }

    /// Whether one of these faults happens now.
    pub(crate) fn strikes(&mut self, one_in: u64) -> bool {
        self.random.one_in(one_in)
    }

    /// The peer at the other end.
    pub(crate) fn peer_mut(&mut self, line: Line) -> &mut Peer {
        &mut self.peers[self.owners[line]]
    }

    /// The peer at the other end.
    pub(crate) fn peer(&self, line: Line) -> &Peer {
        &self.peers[self.owners[line]]
    }

    /// Remembers what happened.
    pub(crate) fn note(&mut self, line: Option<Line>, what: &'static str, number: i64) {
        if self.trace.len() >= self.trace_max {
            self.trace.pop_front();
        }
        self.trace.push_back(Event {
            now: self.network.clock.now,
            line,
            what,
            number,
        });
    }

    /// The last events, of one connection if it is known, in words.
    pub(crate) fn recount(&self, line: Option<Line>, count: usize) -> String {
        let concerns =
            |event: &&Event| line.is_none() || event.line == line || event.line.is_none();
        let mut events: Vec<_> = self.trace.iter().filter(concerns).collect();
        events.drain(..events.len().saturating_sub(count));
        let say = |event: &Event| {
            let line = event
                .line
                .map_or(String::new(), |line| format!("connection {line}: "));
            let micros = event.now / 1000;
            format!("  {micros:>9} µs  {line}{} {}\n", event.what, event.number)
        };
        events.into_iter().map(say).collect()
    }

    /// Tells the server to stop.
    pub(crate) fn drain(&mut self) {
        if self.drained_at.is_none() {
            self.note(None, "the server is told to stop", 0);
            self.drained_at = Some(self.network.clock);
            self.network.drain();
            self.stop.drain(Goodbye::default());
            self.bear();
            self.workers.iter_mut().for_each(|it| it.woken = true);
            self.idle = 0;
            self.stalled = false;
        }
    }

    /// The server has had a turn in which it could hear of it.
    pub(crate) fn hear(&mut self) {
        if self.drained_at.is_some() {
            self.heard_at = self.heard_at.or(Some(self.network.clock));
        }
        if self.stop.phase() == StopPhase::Closing && self.closing_at.is_none() {
            self.closing_at = Some(self.network.clock);
            if self.workers.len() > 1 {
                // The one that was last says so to the other.
                self.workers.iter_mut().for_each(|it| it.woken = true);
                self.awaken();
            }
        }
    }

    /// Lets someone out there do something; whether anyone had anything to do.
    pub(crate) fn stir(&mut self) -> bool {
        if self
            .scenario
            .drain_at
            .is_some_and(|at| at <= self.network.clock.now)
            && self.drained_at.is_none()
        {
            self.drain();
            return true;
        }
        let travels = self.travel();
        let first = self.random.within(0..self.peers.len());
        for number in 0..self.peers.len() {
            let number = (first + number) % self.peers.len();
            let peer = &mut self.peers[number];
            let sent = peer.sent;
            let acted = peer.act(&mut self.random, &mut self.network, self.winding_up);
            let (line, sent) = (peer.line, peer.sent - sent);
            self.owners.resize(self.network.connections.len(), number);
            match acted {
                Ok(None) => {}
                Ok(Some(what)) => {
                    self.idle = 0;
                    self.note(line, what, sent as i64);
                    // The server is best surprised with its hands full.
                    let full = sent > HANDFUL && self.scenario.drain_at.is_some();
                    if full {
                        self.drain();
                    }
                    return true;
                }
                Err(why) => self.fail(line, &why),
            }
        }
        travels
    }

    /// An invariant does not hold.
    pub(crate) fn fail(&self, line: Option<Line>, why: &str) -> ! {
        let place = line.map_or(String::new(), |line| format!("connection {line}: "));
        let owner = line.and_then(|line| self.owners.get(line));
        let peer = owner
            .map(|owner| self.peers[*owner].summary())
            .unwrap_or_default();
        let whole = self.trace_max == usize::MAX;
        let trace = match whole {
            true => format!("{:#?}\n{}", self.scenario, self.recount(None, usize::MAX)),
            false => self.recount(line, TOLD),
        };
        panic!("{place}{why}\n{peer}{trace}");
    }

    /// Lets time pass. `active`: something happened just now, or could have. `news`: there is something to
    /// report to the worker, which waits until `until` at most. Whether it goes on now.
    pub(crate) fn pass(
        &mut self,
        worker: usize,
        active: bool,
        news: bool,
        until: Option<u64>,
    ) -> bool {
        let is_alone = self.workers.len() == 1;
        let is_due = until.is_some_and(|due| due <= self.network.clock.now);
        self.workers[worker].until = until;
        let mut until = self.serving().filter_map(|it| it.until).min();
        if active {
            self.awaken();
            let mut span = self.random.below(TICK);
            if self.strikes(self.scenario.faults.jump) {
                span = self.random.below(500_000_000);
                self.jumped_at = Some(self.network.clock.now + span);
                if !is_alone {
                    // By when another has something to do is not known before it waits again.
                    until = Some(self.network.clock.now);
                }
            }
            let over = self.advance(self.network.clock.now + span, until);
            let goes_on = over || (news && self.random.one_in(3));
            // Where there is another it has its turn, and this one had nothing.
            if goes_on || (!is_alone && self.random.one_in(2)) {
                self.workers[worker].until = Some(self.network.clock.now);
                return true;
            }
            return false;
        }
        if news {
            if !is_alone {
                self.workers[worker].quiet = false;
                self.workers[worker].until = Some(self.network.clock.now);
            }
            return true;
        }
        if is_due && !is_alone {
            // While another had its turn, its time has come: what it does in its own is not yet heard of.
            self.workers[worker].quiet = false;
            return true;
        }
        if !std::mem::replace(&mut self.workers[worker].quiet, true) || !self.is_quiet() {
            return true;
        }
        let now = self.network.clock.now;
        let alarms = self.peers.iter().filter_map(|peer| peer.alarm(now));
        let drain_at = self.scenario.drain_at.filter(|_| self.drained_at.is_none());
        let alarm = alarms.chain(drain_at).min();
        self.idle += u32::from(alarm.is_none());
        self.patient = until.is_none();
        let target = alarm.into_iter().chain(until).min();
        let Some(target) = target.filter(|_| self.idle < IDLE_MAX) else {
            self.stalled = true;
            return true;
        };
        self.awaken();
        self.advance(target.max(now), until) || !is_alone
    }

    /// Moves the clock; whether the server has waited long enough.
    fn advance(&mut self, target: u64, until: Option<u64>) -> bool {
        let clock = &mut self.network.clock;
        let late = until.map_or(0, |until| target.saturating_sub(until.max(clock.now)));
        clock.now = target;
        clock.lost += late;
        until.is_some_and(|until| until <= target)
    }

    /// Where nothing is due, ever, time passes in which whoever has a deadline would have ended.
    pub(crate) fn expect_patience(&mut self) {
        if !self.patient {
            return;
        }
        let scenario = &self.scenario;
        let silence = scenario.silence_max().unwrap_or(0);
        let handshake = scenario.policy.handshake_timeout.as_nanos() as u64;
        let ending = scenario.ending_max().as_nanos() as u64;
        self.network.clock.now += 2 * (silence + handshake + ending);
        crate::sim::checks::check_deadlines(self);
    }

    /// Something is to happen, though nothing did that could happen by itself.
    pub(crate) fn awaken(&mut self) {
        self.workers.iter_mut().for_each(|it| it.quiet = false);
        self.stalled = false;
    }

    /// The worker that has the next turn.
    pub(crate) fn next_worker(&mut self) -> usize {
        let number = self.moves.turn();
        let Waiting { ended, unborn, .. } = self.workers[number];
        // There are two at most.
        if ended || unborn { 1 - number } else { number }
    }

    /// The workers that have begun and not ended.
    pub(crate) fn serving(&self) -> impl Iterator<Item = &Waiting> {
        let serves = |worker: &&Waiting| !worker.ended && !worker.unborn;
        self.workers.iter().filter(serves)
    }

    /// From now on all workers serve.
    pub(crate) fn bear(&mut self) {
        if self.workers.iter().any(|worker| worker.unborn) {
            self.note(None, "the successor begins", 0);
            self.workers.iter_mut().for_each(|it| it.unborn = false);
            self.awaken();
        }
    }

    /// Nothing more will happen before time has passed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.serving().all(|worker| worker.quiet)
    }

    /// Has everyone leave.
    pub(crate) fn wind_up(&mut self) {
        self.note(None, "everyone leaves", 0);
        self.winding_up = true;
        self.idle = 0;
        self.bear();
        self.awaken();
    }

    /// The server is gone, and the kernel closes what it left open. Everyone sees that.
    pub(crate) fn conclude(&mut self) {
        self.lose(0..self.network.connections.len());
        while self.stir() {}
    }

    /// A worker is gone, and the kernel closes what it left open.
    pub(crate) fn lose(&mut self, lines: impl IntoIterator<Item = Line>) {
        for line in lines {
            if self.network.connections[line].server == Side::Open {
                self.network.close(line, false);
            }
        }
    }

    /// Whether nobody is left, or will come.
    pub(crate) fn is_deserted(&self) -> bool {
        self.peers.iter().all(|peer| peer.over)
    }
}

//! The engine-free half of a load thread: its connections, what they count, the phases, the schedule.

mod bytes;
mod counts;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::control::{Control, Phase, Share};
use crate::dial::Opened;
use crate::echo::connection::{Connection, Turn};
use crate::echo::tally::Tally;
use crate::echo::workload::{Pace, Workload};
use crate::fault::Fault;
use crate::observe::process::thread_cpu_ns;
use crate::pacer::{Pacer, Patience, Pinger, Polling};
use crate::payload::Random;
use crate::tunnel::Tunnel;
use crate::wire::failure::Failure;

/// What an engine is to do after looking at the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on.
    Continue,
    /// Every connection may have something new to send.
    FlushAll,
    /// Return.
    Leave,
}

/// Code of a Close (RFC 6455 section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// How long a server has to end the streams, once all is said on every connection: nothing is lost if it does
/// not.
const LINGER_NS: u64 = 1_000_000_000;

/// State of one load thread.
pub(crate) struct Worker {
    workload: Workload,
    /// The workload's own pace, once the load has begun.
    pace: Pace,
    /// Randomness, which whoever prepares this thread's load may use, too.
    pub(crate) random: Random,
    /// What was counted.
    pub(crate) tally: Tally,
    connections: Vec<Connection>,
    /// By connection; `None` where its bytes go over the wire as they are.
    tunnels: Vec<Option<Box<Tunnel>>>,
    /// When messages are due, in an open loop.
    pacer: Option<Pacer>,
    /// Time between two pings of a connection, if there are to be pings.
    pub(crate) ping_every: Option<Duration>,
    pinger: Option<Pinger>,
    share: Share,
    /// Connections that stand for the first time.
    stood: usize,
    closed: usize,
    ended: usize,
    /// Until when the ends of streams are awaited, once all is said.
    linger_until: Option<u64>,
    /// Whether a connection that ends before its time is made again.
    pub(crate) reconnects: bool,
    /// Connections that have ended, until the engine takes notice.
    lost: Vec<usize>,
    /// How many are being made again, and were; and what was in flight on those.
    missing: usize,
    pub(crate) reconnected: u64,
    in_flight_lost: u64,
    /// Messages answered on each connection before the window, and until its end; empty before either.
    answered: [Vec<u64>; 2],
    wire_bytes_sent: u64,
    wire_bytes_received: u64,
    /// What came out of the last bytes through a tunnel.
    plain: Vec<u8>,
    polling: Polling,
    now: u64,
    phase: Phase,
    slice: u32,
    control: Arc<Control>,
}

impl Worker {
    /// A thread with these connections.
    pub(crate) fn new(
        control: Arc<Control>,
        share: Share,
        mut workload: Workload,
        random: Random,
    ) -> Worker {
        // Until the load begins, and without a schedule, nothing is sent but answers.
        let pace = mem::replace(&mut workload.pace, Pace::Scheduled);
        let count = share.ordinals().len();
        Worker {
            workload,
            pace,
            random,
            tally: Tally::new(),
            connections: (0..count).map(|_| Connection::away(0)).collect(),
            tunnels: (0..count).map(|_| None).collect(),
            pacer: None,
            ping_every: None,
            pinger: None,
            share,
            stood: 0,
            closed: 0,
            ended: 0,
            linger_until: None,
            reconnects: false,
            lost: Vec::new(),
            missing: 0,
            reconnected: 0,
            in_flight_lost: 0,
            answered: Default::default(),
            wire_bytes_sent: 0,
            wire_bytes_received: 0,
            plain: Vec::new(),
            polling: Polling::default(),
            now: 0,
            phase: Phase::Connect,
            slice: 0,
            control,
        }
    }

    /// Sends when `pacer` says so.
    pub(crate) fn follow(&mut self, pacer: Pacer) {
        self.pacer = Some(pacer);
        self.tally = Tally::new().scheduled();
    }

    /// The index of connection number `ordinal` of the run, if it is still waited for.
    pub(crate) fn place(&self, ordinal: usize) -> Option<usize> {
        let index = self.share.index(ordinal);
        self.connections[index].is_away().then_some(index)
    }

    /// Takes in connection `index`, which stands now.
    pub(crate) fn add(&mut self, index: usize, opened: Opened) -> Result<(), Fault> {
        let Opened {
            link,
            early,
            accepted,
        } = opened;
        self.connections[index].replace(Connection::with(accepted.deflate.as_ref()));
        if self.share.ordinal(index) == 0 {
            // It is the same when it is made again.
            let _ = self.control.agreed.set((accepted, link.describe()));
        }
        self.tunnels[index] = Tunnel::through(link);
        if self.missing > 0 {
            self.missing -= 1;
            self.reconnected += 1;
        } else {
            self.stood += 1;
            if self.stood == self.connections.len() {
                self.control.ready.fetch_add(1, Ordering::Release);
                self.control.news.ring();
            }
        }
        self.receive_plain(index, &early)
    }

    /// A connection that could not be made.
    pub(crate) fn unmade(&self, ordinal: usize, failure: Failure) -> Result<(), Fault> {
        // Whoever is to be connected again may be gone for a while.
        if self.missing > 0 && self.reconnects {
            return Ok(());
        }
        Err(Fault {
            connection: Some(ordinal),
            failure,
        })
    }

    /// A connection that has ended before its time, by its index and its number: it is let go of, and made
    /// again.
    pub(crate) fn take_lost(&mut self) -> Option<(usize, usize)> {
        let index = self.lost.pop()?;
        Some((index, self.share.ordinal(index)))
    }

    /// Whether connection `index` does not stand.
    pub(crate) fn is_away(&self, index: usize) -> bool {
        self.connections[index].is_away()
    }

    /// Whether something of connection `index` is being sent.
    pub(crate) fn is_sending(&mut self, index: usize) -> bool {
        match &self.tunnels[index] {
            Some(tunnel) => tunnel.is_sending(),
            None => self.connections[index].outbox().is_in_flight(),
        }
    }

    /// Takes leave of every connection that was not closed in good order: by a Close that says what is wrong with
    /// the one to blame, and that we go away to the others.
    pub(crate) fn resign(&mut self, fault: Option<&Fault>) {
        for index in 0..self.connections.len() {
            let ordinal = Some(self.share.ordinal(index));
            let code = match fault {
                Some(fault) if fault.connection == ordinal => fault.failure.close_code(),
                _ => GOING_AWAY,
            };
            self.with(index, |connection, turn| connection.resign(code, turn));
        }
    }

    /// How many connections there are to be.
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whether everything is to be left as it is.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.control.phase() == Phase::Abandon
    }

    /// Whether the load has begun, or will never.
    pub(crate) fn has_begun(&self) -> bool {
        self.control.phase() > Phase::Connect
    }

    /// Begins the load: queues the first messages of every connection, unless a schedule has them.
    pub(crate) fn start(&mut self) {
        self.workload.pace = self.pace;
        let (start, count) = (self.control.load_start(), self.connections.len());
        if let Some(pacer) = &mut self.pacer {
            pacer.start(start);
        }
        let pinger = |every: Duration| Pinger::new(every.as_nanos() as u64, count, start);
        self.pinger = self.ping_every.map(pinger);
        for index in 0..count {
            self.with(index, |connection, turn| connection.fill(turn));
        }
    }

    /// Reads the clock: once per batch of receives and once per batch of sends.
    pub(crate) fn tick(&mut self) {
        self.now = self.control.clock.now();
    }

    /// Queues what is due by the last tick, and adds those who have something new to `touched`.
    pub(crate) fn pace(&mut self, touched: &mut Vec<usize>) {
        while let Some(pacer) = &mut self.pacer
            && let Some((index, due)) = pacer.pop(self.now)
        {
            self.polling.interrupt();
            // A closed connection takes anything and sends nothing.
            if self.connections[index].has_room(&self.workload) {
                let since = pacer.could_since(index, due);
                self.tally.taken_up(due, since, self.now);
                self.take_up(index, due);
                touched.push(index);
            } else {
                pacer.hold(index);
            }
        }
        while let Some(index) = self.pinger.as_mut().and_then(|pinger| pinger.pop(self.now)) {
            self.polling.interrupt();
            self.with(index, |connection, turn| connection.ping(turn));
            touched.push(index);
        }
    }

    /// Queues a message of the schedule on a connection that has room for it.
    fn take_up(&mut self, index: usize, due: u64) {
        self.with(index, |connection, turn| connection.queue(due, turn));
        if let Some(pacer) = &mut self.pacer {
            pacer.taken(index, &mut self.random);
            if pacer.is_done(index) {
                self.drain(index);
            }
        }
    }

    /// Looks whether a held connection has room again; it catches up at the next [`Worker::pace`].
    fn release(&mut self, index: usize) {
        if let Some(pacer) = &mut self.pacer
            && pacer.is_held(index)
            && self.connections[index].has_room(&self.workload)
        {
            pacer.release(index, self.now);
        }
    }

    /// How the thread is to wait for the kernel: until something is due.
    pub(crate) fn patience(&mut self) -> Patience {
        let pinger = self.pinger.as_ref().map(Pinger::next_due);
        let pacer = self.pacer.as_ref().and_then(Pacer::next_due);
        let due = [pacer, pinger, self.linger_until].into_iter().flatten();
        let patience = match due.min() {
            None => Patience::Endless,
            Some(due) => {
                self.tick();
                Patience::until(due.saturating_sub(self.now))
            }
        };
        self.polling.begin(patience, thread_cpu_ns);
        patience
    }

    /// The wait is over that [`Worker::patience`] asked for. A poll that found nothing is no work.
    pub(crate) fn waited(&mut self, has_found: bool) {
        self.polling.end(has_found, thread_cpu_ns);
    }

    /// Looks at the phase: once per batch.
    pub(crate) fn look(&mut self) -> Order {
        let slice = self.control.slice();
        if slice != self.slice {
            self.slice = slice;
            self.hand_over();
        }
        let phase = self.control.phase();
        if phase != self.phase {
            self.phase = phase;
            match phase {
                Phase::Connect | Phase::WarmUp => {}
                Phase::Measure => {
                    self.tally.counts_from = self.control.window_start();
                    self.answered[0] = self.answered_by_now();
                }
                Phase::Drain => {
                    self.begin_drain();
                    return self.leave_or(Order::FlushAll);
                }
                Phase::Abandon => return Order::Leave,
            }
        }
        self.leave_or(Order::Continue)
    }

    /// Nothing new is sent, but for what was due in time and could not be sent yet.
    fn begin_drain(&mut self) {
        // The window may have closed before this thread saw it open.
        self.tally.counts_from = self.control.window_start();
        let end = self.control.window_end();
        self.answered[1] = self.answered_by_now();
        self.pinger = None;
        if let Some(pacer) = &mut self.pacer {
            pacer.stop_at(end);
        }
        for index in 0..self.connections.len() {
            let is_done = self.pacer.as_ref().is_none_or(|pacer| pacer.is_done(index));
            if is_done || self.connections[index].is_away() {
                self.drain(index);
            }
        }
    }

    fn drain(&mut self, index: usize) {
        if !self.connections[index].is_closed() {
            self.with(index, |connection, turn| connection.drain(turn));
            self.note_end(index);
        }
    }

    /// Counts connection `index` if it is closed now.
    fn note_end(&mut self, index: usize) {
        self.closed += usize::from(self.connections[index].is_closed());
        self.ended += usize::from(self.connections[index].is_ended());
    }

    /// Whether connection `index` needs no more attention.
    pub(crate) fn is_ended(&self, index: usize) -> bool {
        self.connections[index].is_ended()
    }

    fn leave_or(&mut self, order: Order) -> Order {
        if self.closed < self.connections.len() {
            return order;
        }
        let until = *self.linger_until.get_or_insert(self.now + LINGER_NS);
        if self.ended == self.connections.len() || self.now >= until {
            Order::Leave
        } else {
            order
        }
    }

    fn with<T>(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T,
    ) -> T {
        let turn = &mut Turn {
            connection: self.share.ordinal(index),
            now: self.now,
            workload: &self.workload,
            random: &mut self.random,
            tally: &mut self.tally,
        };
        act(&mut self.connections[index], turn)
    }
}

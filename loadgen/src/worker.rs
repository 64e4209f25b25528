//! The engine-free half of a load thread: its connections, what they count, the phases.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::control::{Control, Phase};
use crate::echo::connection::{Connection, Turn, Workload};
use crate::echo::failure::Failure;
use crate::echo::payload::Random;
use crate::echo::tally::Tally;

/// A failure and where it happened.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Connection number within the run, if one is to blame.
    pub(crate) connection: Option<usize>,
    /// What happened.
    pub(crate) failure: Failure,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(connection) = self.connection {
            write!(f, "connection {connection}: ")?;
        }
        self.failure.fmt(f)
    }
}

impl std::error::Error for Fault {}

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

/// State of one load thread.
pub(crate) struct Worker {
    workload: Workload,
    random: Random,
    /// What was counted.
    pub(crate) tally: Tally,
    connections: Vec<Connection>,
    /// Bytes that came behind a handshake's answer, by connection.
    early: Vec<(usize, Vec<u8>)>,
    /// Number of this thread's first connection within the run.
    first: usize,
    closed: usize,
    now: u64,
    phase: Phase,
    control: Arc<Control>,
    line: usize,
}

impl Worker {
    /// A thread with line `line` whose connections are numbered from `first`.
    pub(crate) fn new(
        control: Arc<Control>,
        line: usize,
        first: usize,
        workload: Workload,
        random: Random,
    ) -> Worker {
        Worker {
            workload,
            random,
            tally: Tally::new(),
            connections: Vec::new(),
            early: Vec::new(),
            first,
            closed: 0,
            now: 0,
            phase: Phase::Connect,
            control,
            line,
        }
    }

    /// Adds an opened connection; `early` came right behind the handshake.
    pub(crate) fn add(&mut self, early: Vec<u8>) {
        if !early.is_empty() {
            self.early.push((self.connections.len(), early));
        }
        self.connections.push(Connection::new());
    }

    /// Queues the first messages of every connection.
    pub(crate) fn start(&mut self) -> Result<(), Fault> {
        for (index, bytes) in std::mem::take(&mut self.early) {
            self.receive(index, &bytes)?;
        }
        for index in 0..self.connections.len() {
            self.with(index, |connection, turn| connection.fill(turn));
        }
        Ok(())
    }

    /// Reads the clock: once per batch of receives and once per batch of sends.
    pub(crate) fn tick(&mut self) {
        self.now = self.control.clock.now();
    }

    /// Looks at the phase: once per batch.
    pub(crate) fn look(&mut self) -> Order {
        let phase = self.control.phase();
        if phase != self.phase {
            self.phase = phase;
            match phase {
                Phase::Connect | Phase::WarmUp => {}
                Phase::Measure => {
                    self.tally.latency_from_nanoseconds = self.control.window_start();
                }
                Phase::Drain => {
                    self.tally.latency_from_nanoseconds = u64::MAX;
                    for index in 0..self.connections.len() {
                        self.with(index, |connection, turn| connection.drain(turn));
                        self.closed += usize::from(self.connections[index].is_closed());
                    }
                    return self.leave_or(Order::FlushAll);
                }
                Phase::Abandon => return Order::Leave,
            }
        }
        self.leave_or(Order::Continue)
    }

    /// Checks what connection `index` received.
    pub(crate) fn receive(&mut self, index: usize, bytes: &[u8]) -> Result<(), Fault> {
        self.unless_closed(index, |connection, turn| connection.receive(bytes, turn))
    }

    /// Connection `index` will receive no more.
    pub(crate) fn end_of_stream(&mut self, index: usize) -> Result<(), Fault> {
        self.unless_closed(index, |connection, _| connection.end_of_stream())
    }

    /// An operation on connection `index` failed. After a Close has been sent, a server may
    /// drop the connection as it likes.
    pub(crate) fn io_error(
        &mut self,
        index: usize,
        doing: &'static str,
        error: io::Error,
    ) -> Result<(), Fault> {
        if self.end_of_stream(index).is_ok() {
            return Ok(());
        }
        Err(self.fault(index, Failure::Io(doing, error)))
    }

    /// Lends what connection `index` has to send, stamped with the time of the last tick.
    pub(crate) fn outgoing(&mut self, index: usize) -> Option<&[u8]> {
        let connection = &mut self.connections[index];
        connection.stamp(self.now);
        connection.outbox().begin()
    }

    /// The last send of connection `index` moved `bytes`.
    pub(crate) fn sent(&mut self, index: usize, bytes: usize) {
        self.connections[index].outbox().sent(bytes);
    }

    /// Whether connection `index` needs no more attention.
    pub(crate) fn is_closed(&self, index: usize) -> bool {
        self.connections[index].is_closed()
    }

    /// Shows the counters to the main thread: once per batch.
    pub(crate) fn publish(&self) {
        let line = &self.control.lines[self.line];
        line.messages.store(self.tally.messages, Ordering::Relaxed);
        line.payload_bytes
            .store(self.tally.payload_bytes, Ordering::Relaxed);
    }

    /// Messages without their whole reply, and the age in nanoseconds of the oldest.
    pub(crate) fn unanswered(&self) -> (u64, u64) {
        let now = self.control.clock.now();
        let count = self
            .connections
            .iter()
            .map(|connection| connection.unanswered() as u64)
            .sum();
        let oldest = self
            .connections
            .iter()
            .filter_map(Connection::oldest_unanswered)
            .min();
        (count, oldest.map_or(0, |sent| now.saturating_sub(sent)))
    }

    /// A fault of the thread rather than of one connection.
    pub(crate) fn engine_fault(doing: &'static str, error: io::Error) -> Fault {
        Fault {
            connection: None,
            failure: Failure::Io(doing, error),
        }
    }

    fn fault(&self, index: usize, failure: Failure) -> Fault {
        Fault {
            connection: Some(self.first + index),
            failure,
        }
    }

    fn leave_or(&self, order: Order) -> Order {
        if self.closed == self.connections.len() {
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
        let Worker {
            connections,
            workload,
            random,
            tally,
            now,
            ..
        } = self;
        act(
            &mut connections[index],
            &mut Turn {
                now: *now,
                workload,
                random,
                tally,
            },
        )
    }

    fn unless_closed(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Connection, &mut Turn<'_>) -> Result<(), Failure>,
    ) -> Result<(), Fault> {
        if self.connections[index].is_closed() {
            return Ok(());
        }
        let result = self.with(index, act);
        self.closed += usize::from(self.connections[index].is_closed());
        result.map_err(|failure| self.fault(index, failure))
    }
}

//! What a load thread tells of what it counted: all the time, at the end of a slice, and in the end.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Worker;
use crate::control::GivenUp;
use crate::echo::connection::Connection;

/// Most messages whose waiting time is worked out when a load ends that could not send them.
const OVERDUE_MAX: u64 = 1_000_000;

impl Worker {
    /// Shows the counters to the main thread: once per batch.
    pub(crate) fn publish(&self) {
        let line = &self.control.lines[self.share.line];
        let show = |counter: &AtomicU64, value| counter.store(value, Ordering::Relaxed);
        show(&line.messages, self.tally.messages);
        show(&line.payload_bytes, self.tally.payload_bytes);
        show(&line.wrong, self.tally.wrong);
        show(&line.wire_bytes_sent, self.wire_bytes_sent);
        show(&line.wire_bytes_received, self.wire_bytes_received);
        show(&line.polled_ns, self.polling.total_ns());
    }

    pub(super) fn answered_by_now(&self) -> Vec<u64> {
        self.connections.iter().map(Connection::answered).collect()
    }

    /// Messages that were answered on each connection while the window was open.
    pub(crate) fn answered_within(&self) -> Vec<u64> {
        let [before, until] = &self.answered;
        let edges = before.iter().zip(until);
        edges.map(|(before, until)| until - before).collect()
    }

    /// Gives the main thread what was counted in the slice that is over. Of heavy connections it is told
    /// nothing.
    pub(crate) fn hand_over(&mut self) {
        if self.share.is_heavy {
            return;
        }
        let now = self.control.clock.now();
        let in_flight = |it: &Connection| it.unanswered() - it.unsent();
        let in_flight: usize = self.connections.iter().map(in_flight).sum();
        let backlog = self.backlog(now);
        let line = &self.control.lines[self.share.line];
        let lag = std::mem::take(&mut self.tally.lateness_max);
        line.send_lag_ns.store(lag, Ordering::Relaxed);
        line.hand_over(&mut self.tally.latency, backlog, in_flight as u64);
    }

    /// Messages that are due and not yet given to the kernel.
    fn backlog(&self, now: u64) -> u64 {
        let Some(pacer) = &self.pacer else {
            return 0;
        };
        let queued: usize = self.connections.iter().map(Connection::unsent).sum();
        queued as u64 + pacer.overdue_count(now, self.share.end)
    }

    /// Messages without their whole reply, and the age in nanoseconds of the oldest. They count as
    /// having taken that long at least, as do those that were due and never sent.
    pub(crate) fn give_up(&mut self) -> GivenUp {
        let now = self.control.clock.now();
        let mut given_up = GivenUp {
            lost: self.in_flight_lost,
            ..GivenUp::default()
        };
        for connection in &self.connections {
            given_up.pings += u64::from(connection.awaits_pong());
            given_up.has_part |= connection.is_answered_in_part();
            for (due, was_sent) in connection.unanswered_since() {
                let waited = now.saturating_sub(due);
                match was_sent {
                    true => given_up.unanswered += 1,
                    false => given_up.unsent += 1,
                }
                given_up.oldest_ns = given_up.oldest_ns.max(waited);
                self.tally.given_up(due, now, 1);
            }
        }
        if let Some(pacer) = &self.pacer {
            let (end, random) = (self.share.end, &mut self.random);
            let (overdue, each) = pacer.overdue(now, end, OVERDUE_MAX, random);
            for due in overdue {
                given_up.unsent += each;
                self.tally.given_up(due, now, each);
            }
        }
        given_up
    }
}

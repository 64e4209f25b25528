//! What happens without bytes: deadlines, and the end of the server.

use crate::protocol::{CloseCode, Moment, Reply, Turn, Wake};

use super::Shard;
use super::connection::Phase;
use super::outbound::Queue;
use super::outbox::OUTBOX_BYTES_MAX;
use super::slots::SlotId;

/// A closing connection may take this many times its linger timeout as long as it makes progress.
const ENDING_LINGERS_MAX: u32 = 6;

impl<Io> Shard<Io> {
    /// When [`Shard::pop_due`] is to be called again; none: when something else has happened.
    pub fn next_due(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Wakes a connection whose deadline has passed, and names it. To be called until it names none.
    pub fn pop_due(&mut self) -> Option<SlotId> {
        loop {
            let (due, id) = self.timers.pop_due(self.now)?;
            let Some(connection) = self.slots.get_mut(id) else {
                continue;
            };
            if connection.timer != due {
                continue;
            }
            connection.timer = Moment::from_nanos(u64::MAX);
            let policy = &self.settings.policy;
            let speaks = connection.phase == Phase::Talking && !connection.blocked;
            let deadline = match connection.phase {
                Phase::Talking if speaks => connection.dialogue.deadline(),
                Phase::Talking => policy.idle_timeout.map(|idle| connection.progress + idle),
                Phase::Flushing(_) | Phase::Lingering => {
                    let linger = policy.linger_timeout;
                    let last = connection.ended + linger * ENDING_LINGERS_MAX;
                    Some(last.min(connection.progress + linger))
                }
                Phase::Gone { .. } => None,
            };
            match deadline {
                None => {}
                Some(deadline) if deadline > self.now => self.arm(id, deadline),
                Some(_) if speaks => {
                    self.wake(id, Wake::Deadline);
                    return Some(id);
                }
                Some(_) => {
                    self.tally.timeouts.add(1);
                    self.fail(id);
                    return Some(id);
                }
            }
        }
    }

    /// The server is going down: tells every session, and refuses new ones from here on.
    pub fn drain(&mut self, code: CloseCode) {
        self.draining = Some(code);
        for id in self.slots.ids() {
            let connection = self.slots.get(id);
            // One whose input waits for room is told once that has been answered.
            if connection
                .is_some_and(|connection| connection.phase == Phase::Talking && !connection.held)
            {
                self.wake(id, Wake::Drain(code));
            }
        }
    }

    /// Wakes a session and queues what it answers.
    pub(super) fn wake(&mut self, id: SlotId, why: Wake) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        let mut reply = Reply::default();
        let mut turn = Turn {
            now: self.now,
            policy: &self.settings.policy,
            slabs: &mut self.slabs,
            tally: &self.tally,
            room: OUTBOX_BYTES_MAX,
            refusing: self.draining.is_some() || connection.surplus,
        };
        let next = connection.dialogue.resume(&mut turn, why, &mut reply);
        let mut queue = Queue {
            outbox: &mut connection.outbox,
            entries: &mut self.entries,
            slabs: &mut self.slabs,
            blocked: connection.blocked,
        };
        queue.push_piece(reply.before);
        queue.push_piece(reply.after);
        if let Some(due) = connection.dialogue.deadline() {
            self.arm(id, due);
        }
        self.follow(id, next);
    }

    /// Has the connection looked at again at `due`, unless it will be sooner anyway.
    pub(super) fn arm(&mut self, id: SlotId, due: Moment) {
        if let Some(connection) = self.slots.get_mut(id)
            && due < connection.timer
        {
            connection.timer = due;
            self.timers.add(due, id);
        }
    }
}

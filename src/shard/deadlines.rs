//! What happens without bytes: deadlines, and the end of the server.
//!
//! Whether a peer is alive is asked of TCP. A peer that is owed something - queued here, or given to the
//! kernel and not acknowledged - makes progress as long as it acknowledges, however slowly and in whatever
//! phase the connection is; it is given up when it has acknowledged nothing for the stall timeout. Its
//! silence counts only while it is owed nothing. The kernel is asked when a deadline comes due, and never
//! for a message.

use crate::protocol::{Cause, CloseCode, Moment, Reply, Turn, Wake};

use super::connection::Phase;
use super::judge::{Verdict, WRITES_FIRST};
use super::outbound::Queue;
use super::slots::SlotId;
use super::{Shard, Standing};

/// A peer that is owed something, or whose FIN is waited for, is looked at this many times within the timeout
/// that is for it.
pub(super) const LOOKS: u32 = 4;

impl<Io> Shard<Io> {
    /// When [`Shard::pop_due`] is to be called again; none: when something else has happened.
    pub fn next_due(&self) -> Option<Moment> {
        self.timers.next().into_iter().chain(self.returns).min()
    }

    /// Wakes a connection whose deadline has passed, and names it. To be called until it names none. `ask`
    /// tells how a peer stands.
    pub fn pop_due(&mut self, mut ask: impl FnMut(&Io) -> Standing) -> Option<SlotId> {
        loop {
            let (due, id) = self.timers.pop_due(self.now)?;
            let Some(connection) = self.slots.get_mut(id) else {
                continue;
            };
            if connection.timer != due {
                continue;
            }
            connection.timer = Moment::NEVER;
            if self.look(id, &mut ask) {
                return Some(id);
            }
        }
    }

    /// Looks at a connection, and whether the engine is to. Unless it is over, it will be looked at again.
    fn look(&mut self, id: SlotId, ask: &mut impl FnMut(&Io) -> Standing) -> bool {
        let wants_read = self.wants(id).read;
        let share = self.share_bytes();
        let (now, policy) = (self.now, &self.settings.policy);
        let Some(connection) = self.slots.get_mut(id) else {
            return false;
        };
        if matches!(connection.phase, Phase::Gone { .. }) {
            return false;
        }
        let talks = connection.phase == Phase::Talking;
        let deadline = connection.dialogue.deadline().filter(|_| talks);
        let timer = (deadline.is_some_and(|due| due <= now)).then(|| connection.dialogue.timer());
        if talks && timer.is_none() && !connection.owed {
            self.arm_at(id, deadline);
            return false;
        }
        let standing = ask(&connection.io);
        match connection.judge(now, policy, timer, standing, wants_read, share) {
            Verdict::Again(due) => {
                self.arm(id, due);
                let deadline = self.slots.get(id).and_then(|it| it.dialogue.deadline());
                self.arm_at(id, deadline.filter(|due| talks && *due > now));
                // There may be room by now, because the limit has grown or others have left.
                self.unpark(id);
                self.wants(id).read
            }
            Verdict::Wake => {
                self.wake(id, Wake::Deadline);
                self.begin_to_owe(id);
                true
            }
            Verdict::Close => {
                self.tally.timeouts.add(1);
                connection.phase = Phase::Gone { reset: false };
                true
            }
            Verdict::GiveUp => {
                self.tally.timeouts.add(1);
                self.give_up(id, Cause::Stalled);
                true
            }
        }
    }

    /// From here on the peer is owed something, if anything is queued.
    pub fn begin_to_owe(&mut self, id: SlotId) {
        let Some(connection) = self.slots.get_mut(id) else {
            return;
        };
        if connection.outbox.is_empty() {
            return;
        }
        if !std::mem::replace(&mut connection.owed, true) {
            connection.progress = self.now;
        }
        let look = self.now + self.settings.policy.stall_timeout / LOOKS;
        self.arm(id, look);
    }

    /// Looks soon at a peer that is behind and has as much queued as it may have, while it reads.
    pub(super) fn look_soon_if_full(&mut self, id: SlotId) {
        if let Some(connection) = self.slots.get(id)
            && connection.outbox.bytes() > self.queue_bytes_max(connection)
        {
            self.arm(id, self.now + WRITES_FIRST);
        }
    }

    /// The server is going down. Each session is told once what has arrived from its peer by now has been
    /// taken in; new ones are refused. `ask` tells how a peer stands.
    pub fn drain(&mut self, code: CloseCode, mut ask: impl FnMut(&Io) -> Standing) {
        self.draining = Some(code);
        self.residents = self.slots.len();
        for id in self.slots.ids() {
            if let Some(connection) = self.slots.get_mut(id) {
                connection.last_words = ask(&connection.io).received;
            }
            self.tell_of_drain(id);
        }
    }

    /// How many connections are left of those that were there when the server began to go down.
    pub fn residents(&self) -> usize {
        self.residents
    }

    /// Tells a session that the server is going down, if it is, and if all has been taken in that comes
    /// before.
    pub(super) fn tell_of_drain(&mut self, id: SlotId) {
        if let Some(code) = self.draining
            && let Some(connection) = self.slots.get(id)
            && connection.phase == Phase::Talking
            && !connection.held
            && connection.taken_in >= connection.last_words
        {
            self.wake(id, Wake::Drain(code));
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
            room: 0,
            refusing: self.draining.is_some() || connection.surplus,
            cause: None,
        };
        let next = connection.dialogue.resume(&mut turn, why, &mut reply);
        connection.cause = connection.cause.or(turn.cause);
        let mut queue = Queue {
            outbox: &mut connection.outbox,
            entries: &mut self.entries,
            slabs: &mut self.slabs,
            blocked: connection.blocked,
        };
        queue.push_piece(reply.before);
        queue.push_piece(reply.after);
        let deadline = connection.dialogue.deadline();
        self.arm_at(id, deadline);
        self.follow(id, next);
    }

    /// Has the connection looked at again at `due`, unless it will be sooner anyway.
    pub(super) fn arm(&mut self, id: SlotId, due: Moment) {
        if let Some(connection) = self.slots.get_mut(id)
            && due < connection.timer
        {
            connection.timer = due;
            self.timers.add(due, id);
            let slots = &self.slots;
            self.timers.sweep(slots.len(), |due, id| {
                slots.get(id).is_some_and(|it| it.timer == due)
            });
        }
    }

    fn arm_at(&mut self, id: SlotId, due: Option<Moment>) {
        if let Some(due) = due {
            self.arm(id, due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::SlabPool;
    use crate::protocol::policy::GreetingAfter;
    use crate::protocol::{Policy, Tally};
    use crate::shard::readiness::{Immediate, Wire};
    use crate::shard::{Admission, Connection, Protocol, Sent, Settings, Write};
    use std::sync::Arc;
    use std::time::Duration;

    const REQUEST: &[u8] =
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    /// Takes as many bytes as are left.
    struct Narrow(usize);

    impl Wire<()> for Narrow {
        fn send(&mut self, (): &mut (), bytes: &[u8], _: bool) -> Sent {
            match bytes.len().min(self.0) {
                0 => Sent::Blocked,
                count => {
                    self.0 -= count;
                    Sent::Bytes(count)
                }
            }
        }
    }

    struct World {
        shard: Shard<()>,
        now: Moment,
        standing: Standing,
    }

    impl World {
        fn new(policy: Policy) -> (Self, SlotId) {
            let settings = Settings {
                protocol: Protocol::WebSocket,
                policy,
                budget: SlabPool::budget(1 << 20, 1),
                admission: Arc::new(Admission::new(None)),
            };
            let mut world = World {
                shard: Shard::new(settings, Arc::new(Tally::default())),
                now: Moment::from_nanos(1),
                standing: Standing::default(),
            };
            world.shard.set_now(world.now);
            let id = world.shard.open(());
            (world, id)
        }

        /// Bytes come while the peer takes `window` of what it is sent.
        fn receive(&mut self, id: SlotId, bytes: &[u8], window: usize) {
            self.standing.received += bytes.len() as u64;
            let mut lent = bytes.to_vec();
            let mut carrier = Immediate(Narrow(window));
            self.shard.receive(id, &mut lent, &mut carrier);
            self.shard.flush(id, &mut carrier.0);
        }

        /// Time passes in steps, at each of which everything due is done; whether the connection lives.
        fn pass(
            &mut self,
            id: SlotId,
            span: Duration,
            mut each: impl FnMut(&mut Standing),
        ) -> bool {
            for _ in 0..100 {
                self.now = self.now + span / 100;
                self.shard.set_now(self.now);
                each(&mut self.standing);
                let standing = self.standing;
                while self.shard.pop_due(|()| standing).is_some() {}
                let wants = self.shard.wants(id).write;
                if matches!(wants, Write::Close { .. } | Write::HalfClose) {
                    return false;
                }
            }
            true
        }
    }

    /// An empty binary message and its echo.
    const MESSAGE: &[u8] = b"\x82\x80\0\0\0\0";

    fn behind(policy: Policy) -> (World, SlotId) {
        let (mut world, id) = World::new(policy);
        world.receive(id, REQUEST, usize::MAX);
        world.receive(id, MESSAGE, 0);
        world.standing.outstanding = true;
        assert!(world.shard.get(id).is_some_and(Connection::is_behind));
        (world, id)
    }

    #[test]
    fn whoever_acknowledges_is_not_given_up_however_slow() {
        let (mut world, id) = behind(Policy {
            idle_timeout: Some(Duration::from_secs(2)),
            ..Policy::default()
        });
        let mut step = 0;
        let lives = world.pass(id, Duration::from_secs(1000), |standing| {
            step += 1;
            standing.acknowledged += u64::from(step % 2 == 0);
        });
        assert!(lives, "one byte in twenty seconds");
        assert!(
            !world.pass(id, Duration::from_secs(45), |_| {}),
            "and none in 45"
        );
        assert_eq!(world.shard.take_cause(id), Some(Cause::Stalled));
    }

    #[test]
    fn a_peer_that_is_behind_is_greeted_though_nothing_else_is_due() {
        let (mut world, id) = World::new(Policy {
            idle_timeout: None,
            greeting: Some("Hi there".to_owned()),
            greeting_after: GreetingAfter::Delay(Duration::from_millis(20)),
            ..Policy::default()
        });
        world.receive(id, REQUEST, 10);
        assert!(world.shard.get(id).is_some_and(Connection::is_behind));
        let queued = world.shard.queued_bytes(id);
        assert!(world.pass(id, Duration::from_millis(21), |_| {}));
        assert_eq!(world.shard.queued_bytes(id), queued + 10);
    }

    #[test]
    fn a_word_that_has_come_is_heard_before_silence_is_judged() {
        let (mut world, id) = World::new(Policy::default());
        world.standing.received = 10;
        assert!(world.pass(id, Duration::from_secs(60), |_| {}), "no 408");
        world.standing.received = 0;
        assert!(
            !world.pass(id, Duration::from_secs(1), |_| {}) || world.shard.queued_bytes(id) > 0
        );
    }

    #[test]
    fn a_peer_that_writes_and_does_not_read_may_be_owed_more() {
        let (mut world, id) = behind(Policy::default());
        let message = [&b"\x82\xfe\x40\0\0\0\0\0"[..], &[7; 16_384]].concat();
        while world.shard.wants(id).read {
            world.receive(id, &message, 0);
        }
        let first = world.shard.queued_bytes(id);
        assert!(first < 100_000, "{first} bytes");
        world.standing.received += 1;
        world.pass(id, Duration::from_millis(100), |_| {});
        while world.shard.wants(id).read {
            world.receive(id, &message, 0);
        }
        let second = world.shard.queued_bytes(id);
        assert!(
            second > 120_000 && second < 200_000,
            "a share of 768 KiB: {second}"
        );
    }

    #[test]
    fn what_had_come_before_a_drain_is_answered() {
        let (mut world, id) = World::new(Policy::default());
        world.receive(id, REQUEST, usize::MAX);
        world.standing.received += 2 * MESSAGE.len() as u64;
        let standing = world.standing;
        world.shard.drain(CloseCode::GOING_AWAY, |()| standing);
        assert!(world.pass(id, Duration::from_millis(1), |_| {}));
        world.receive(id, MESSAGE, usize::MAX);
        assert_eq!(
            world.shard.wants(id).write,
            Write::Rest,
            "one is still to come"
        );
        world.receive(id, MESSAGE, usize::MAX);
        assert_eq!(world.shard.wants(id).write, Write::HalfClose);
        assert_eq!(world.shard.residents(), 1);
        world.shard.release(id, |_| {});
        assert_eq!(world.shard.residents(), 0);
    }

    #[test]
    fn whoever_is_ended_already_is_not_judged_again() {
        let (mut world, id) = behind(Policy::default());
        world.shard.fail(id);
        let timeouts = world.shard.tally.timeouts.get();
        world.pass(id, Duration::from_secs(100), |_| {});
        for _ in 0..10 {
            world.now = world.now + Duration::from_secs(100);
            world.shard.set_now(world.now);
            let standing = world.standing;
            assert_eq!(world.shard.pop_due(|()| standing), None);
        }
        assert_eq!(world.shard.tally.timeouts.get(), timeouts);
        assert_eq!(world.shard.take_cause(id), None);
    }
}

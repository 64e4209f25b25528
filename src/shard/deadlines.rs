//! What happens without bytes: deadlines, and the end of the server.
//!
//! Whether a peer is alive is asked of TCP. A peer that is owed something - queued here, or given to the
//! kernel and not acknowledged - makes progress as long as it acknowledges, however slowly and in whatever
//! phase the connection is; it is given up when it has acknowledged nothing for the stall timeout. Its
//! silence counts only while it is owed nothing. The kernel is asked when a deadline comes due, and never
//! for a message.

use std::time::Duration;

use crate::protocol::tally::Waited;
use crate::protocol::{Cause, CloseCode, Moment, Timer, Wake};

use super::connection::{Connection, Phase};
use super::inbound::Copying;
use super::judge::{Verdict, WRITES_FIRST};
use super::slots::SlotId;
use super::{Common, Handle, Shard, Standing};

/// A peer that is owed something, or whose FIN is waited for, is looked at this many times within the timeout
/// that is for it.
pub(super) const LOOKS: u32 = 4;

impl<Io> Shard<Io> {
    /// When [`Shard::pop_due`] is to be called again; none: when something else has happened.
    pub fn next_due(&self) -> Option<Moment> {
        let next = [
            self.common.timers.next(),
            self.common.next_yielded(),
            self.returns.due,
        ];
        next.into_iter().flatten().min()
    }

    /// Wakes a connection whose deadline has passed, or whose turn has come again, and names it. To be called until it
    /// names none. `ask` tells how a peer stands.
    pub fn pop_due(&mut self, mut ask: impl FnMut(&Io) -> Standing) -> Option<SlotId> {
        while self
            .common
            .next_yielded()
            .is_some_and(|due| due <= self.common.now)
        {
            let yielded = self.common.yielded.pop_front();
            if let Some(mut handle) = yielded.and_then(|(_, id)| self.at(id)) {
                handle.common.turn_taken = handle.common.now;
                handle.take_turn();
                return Some(handle.id);
            }
        }
        let slots = &self.slots;
        self.common.timers.sweep(slots.len(), |due, id| {
            slots.get(id).is_some_and(|it| it.timer == due)
        });
        loop {
            let (due, id) = self.common.timers.pop_due(self.common.now)?;
            // Whoever leaves takes along what has come due.
            let is_due = |it: &Connection<Io>| it.timer == due && it.leaving.is_none();
            let Some(mut handle) = self.at(id).filter(|it| is_due(it.connection)) else {
                continue;
            };
            handle.connection.timer = Moment::NEVER;
            if handle.look(&mut ask) {
                return Some(id);
            }
        }
    }

    /// The server is going down: new sessions are refused. Each of those that are here is to be told by
    /// [`Shard::bid_farewell`].
    pub fn drain(&mut self, code: CloseCode) {
        self.common.draining = Some(code);
        self.common.residents = self.slots.len();
        for id in self.slots.ids() {
            if let Some(handle) = self.at(id) {
                handle.connection.last_words = u64::MAX;
            }
        }
    }

    /// Has a session told that the server goes down, once what has arrived from its peer by now has been taken in.
    /// `ask` tells how the peer stands.
    pub fn bid_farewell(&mut self, id: SlotId, ask: impl FnOnce(&Io) -> Standing) {
        if let Some(mut handle) = self.at(id) {
            handle.connection.last_words = ask(&handle.connection.io).received;
            handle.ends_rest();
            handle.tell_of_drain();
        }
    }

    /// How many connections are left of those that were there when the server began to go down.
    pub fn residents(&self) -> usize {
        self.common.residents
    }
}

impl Common {
    /// When the next of those has its turn that have yielded theirs: one has it in each turn, so that however many
    /// they are, all others wait for no more than that.
    fn next_yielded(&self) -> Option<Moment> {
        let (since, _) = self.yielded.front()?;
        Some(self.turn_taken.max(*since) + Duration::from_nanos(1))
    }
}

impl<Io> Handle<'_, Io> {
    /// Looks at a connection, and whether the engine is to. Unless it is over it will be looked at again.
    fn look(&mut self, ask: &mut impl FnMut(&Io) -> Standing) -> bool {
        let connection = &*self.connection;
        if matches!(connection.phase, Phase::Gone { .. }) {
            return false;
        }
        let until = self.rests_until();
        if self.ends_rest() || until.is_some_and(|until| self.look_at_rest(until, &mut *ask)) {
            self.arm_for_dialogue();
            self.begin_to_owe();
            return true;
        }
        let connection = &*self.connection;
        let now = self.common.now;
        let talks = connection.phase == Phase::Talking;
        let deadline = connection.dialogue.deadline().filter(|_| talks);
        let timer = (deadline.is_some_and(|due| due <= now)).then(|| connection.dialogue.timer());
        if talks && timer.is_none() && !connection.owed {
            self.arm_for_dialogue();
            return false;
        }
        let wants_read = self.wants().read;
        let share = self.common.share_bytes();
        let rests = self.rests_until().is_some();
        let policy = &self.common.settings.policy;
        let connection = &mut *self.connection;
        if rests && timer == Some(Timer::Idle) {
            // It is not heard, whatever it says.
            connection.dialogue.heard(policy, now);
            self.arm_for_dialogue();
            return false;
        }
        let standing = ask(&connection.io);
        match connection.judge(now, policy, timer, standing, wants_read, share) {
            Verdict::Again(due) => {
                self.arm(due);
                let deadline = self.connection.dialogue.deadline();
                if let Some(due) = deadline.filter(|due| talks && *due > now) {
                    self.arm(due);
                }
                // There may be room by now, because the limit has grown or others have left.
                self.unpark();
                self.wants().read
            }
            Verdict::Wake => {
                self.wake(Wake::Deadline);
                self.begin_to_owe();
                true
            }
            Verdict::Close => {
                self.common.tally.timeouts.at(Waited::Linger).add(1);
                self.connection.phase = Phase::Gone { reset: false };
                true
            }
            Verdict::GiveUp => {
                self.common.tally.timeouts.at(Waited::Stall).add(1);
                self.give_up(Cause::Stalled);
                true
            }
        }
    }

    /// From here on the peer is owed something, if anything is queued.
    pub fn begin_to_owe(&mut self) {
        if self.connection.outbox.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.connection.owed, true) {
            self.connection.progress = self.common.now;
        }
        self.arm(self.common.now + self.common.settings.policy.stall_timeout / LOOKS);
    }

    /// Looks soon at a peer that is behind and has as much queued as it may have, while it reads.
    pub(super) fn look_soon_if_full(&mut self) {
        if self.connection.outbox.bytes() > self.common.queue_bytes_max(self.connection) {
            self.arm(self.common.now + WRITES_FIRST);
        }
    }

    /// Tells a session that the server is going down, if it is, and if all has been taken in that comes
    /// before.
    #[inline]
    pub(super) fn tell_of_drain(&mut self) {
        if let Some(code) = self.common.draining
            && self.connection.talks()
            && !self.connection.held
            && self.connection.taken_in >= self.connection.last_words
        {
            self.wake(Wake::Drain(code));
        }
    }

    /// Wakes a session and queues what it answers.
    pub(super) fn wake(&mut self, why: Wake) {
        let (next, reply) =
            self.converse(0, |dialogue, turn, reply| dialogue.resume(turn, why, reply));
        self.deliver(reply, &[], &mut Copying);
        self.seal();
        self.follow(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::SlabPool;
    use crate::protocol::policy::GreetingAfter;
    use crate::protocol::{Policy, Tally};
    use crate::shard::readiness::{Immediate, Wire};
    use crate::shard::{Admission, Entrance, Protocol, Sent, Settings, Write};
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
                policy,
                budget: SlabPool::budget(1 << 20, 1),
                admission: Arc::new(Admission::new(None)),
                tls: None,
            };
            let mut world = World {
                shard: Shard::new(settings, Arc::new(Tally::default())),
                now: Moment::from_nanos(1),
                standing: Standing::default(),
            };
            world.shard.set_now(world.now);
            let id = world.shard.open(
                (),
                Entrance {
                    protocol: Protocol::WebSocket,
                    tls: false,
                    number: 0,
                },
                None,
            );
            (world, id)
        }

        /// Bytes come while the peer takes `window` of what it is sent.
        fn receive(&mut self, id: SlotId, bytes: &[u8], window: usize) {
            self.standing.received += bytes.len() as u64;
            let mut lent = bytes.to_vec();
            let mut carrier = Immediate(Narrow(window));
            let mut handle = self.shard.at(id).unwrap();
            handle.receive(&mut lent, &mut carrier);
            handle.flush(&mut carrier.0);
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
        assert_eq!(
            world.shard.at(id).unwrap().take_cause(),
            Some(Cause::Stalled)
        );
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
        world.shard.drain(CloseCode::GOING_AWAY);
        world.shard.bid_farewell(id, |()| standing);
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
        world.shard.at(id).unwrap().fail();
        let timeouts = world.shard.common.tally.timeouts.sum();
        world.pass(id, Duration::from_secs(100), |_| {});
        for _ in 0..10 {
            world.now = world.now + Duration::from_secs(100);
            world.shard.set_now(world.now);
            let standing = world.standing;
            assert_eq!(world.shard.pop_due(|()| standing), None);
        }
        assert_eq!(world.shard.common.tally.timeouts.sum(), timeouts);
        assert_eq!(world.shard.at(id).unwrap().take_cause(), None);
    }
}

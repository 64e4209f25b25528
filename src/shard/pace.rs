//! Whoever sends faster than it may is read from more slowly: nothing is taken in until its tokens have come back. Its
//! own TCP tells it so, as if the server were slow; nothing is closed.
//!
//! What was read at once counts afterwards and may leave a debt, so what is read at once is kept small.

use std::time::Duration;

use crate::protocol::guests::Pace;
use crate::protocol::{Moment, Timer};

use super::inbound::RECEIVE_BYTES_MIN;
use super::{Handle, Standing};

/// How often it is looked whether a peer is still there from which nothing is read.
const LOOKS_APART: Duration = Duration::from_secs(1);

impl<Io> Handle<'_, Io> {
    /// How fast it may send; none: as fast as it likes, or not for long.
    fn pace(&self) -> Option<Pace> {
        let guests = self.common.settings.policy.guests.as_ref()?;
        let may_be_slowed = self.common.draining.is_none() && self.connection.guest.is_some();
        Some(guests.pace).filter(|pace| pace.is_limited() && may_be_slowed)
    }

    /// Whether it may send only so fast.
    #[inline]
    pub fn is_paced(&self) -> bool {
        self.connection.guest.is_some() && self.pace().is_some()
    }

    /// How many bytes are received from it at a time at most.
    pub(super) fn paced_bytes_max(&self) -> usize {
        let (Some(pace), Some(guest)) = (self.pace(), &self.connection.guest) else {
            return usize::MAX;
        };
        let now = self.common.now;
        guest.tokens.bytes_at_once(pace, now, RECEIVE_BYTES_MIN)
    }

    /// So many bytes and whole messages have been taken in. Where they are more than may be, no more are for a while. A
    /// request has a deadline of its own, and is not slowed.
    #[inline(never)]
    pub(super) fn count_for_pace(&mut self, bytes: usize, messages: u64) {
        let now = self.common.now;
        let is_request = self.connection.dialogue.timer() == Timer::Handshake;
        let Some(pace) = self
            .pace()
            .filter(|_| self.connection.talks() && !is_request)
        else {
            return;
        };
        let Some(guest) = &mut self.connection.guest else {
            return;
        };
        let Some(until) = guest.tokens.owe(pace, bytes, messages, now) else {
            return;
        };
        guest.rests_until = Some(until);
        // What has come is left where it is, as by one that waits for another turn.
        self.connection.held = true;
        self.connection.yields = true;
        self.common.tally.rests.add(1);
        self.arm(until.min(now + LOOKS_APART));
    }

    /// Looks at a peer that rests until then, since what became of it would be heard of only by reading. `ask` tells how it
    /// stands. Whether that is over: it is gone, or has said its last, and what is left of that is no more than is received
    /// at a time.
    pub(super) fn look_at_rest(
        &mut self,
        until: Moment,
        ask: impl FnOnce(&Io) -> Standing,
    ) -> bool {
        let standing = ask(&self.connection.io);
        if standing == Standing::default() {
            self.fail();
            return true;
        }
        let connection = &*self.connection;
        let unread = standing.received.saturating_sub(connection.taken_in);
        let left = unread.saturating_add(connection.parked.byte_count() as u64);
        let has_finished = standing.finished || connection.peer_finished;
        if has_finished && left <= self.paced_bytes_max() as u64 {
            self.end_rest();
            return true;
        }
        self.arm(until.min(self.common.now + LOOKS_APART));
        false
    }

    /// Until when nothing is taken in from it, if that is so.
    pub(super) fn rests_until(&self) -> Option<Moment> {
        self.connection.guest.as_ref()?.rests_until
    }

    /// Takes in again what comes, if it is time to, or the server goes down. Whether it is and was not before.
    pub(super) fn ends_rest(&mut self) -> bool {
        let is_over = self.common.draining.is_some();
        let is_due = |until: Moment| is_over || until <= self.common.now;
        let is_over = self.rests_until().is_some_and(is_due);
        if is_over {
            self.end_rest();
        }
        is_over
    }

    fn end_rest(&mut self) {
        if let Some(guest) = &mut self.connection.guest {
            guest.rests_until = None;
        }
        // Until now nobody listened.
        let policy = &self.common.settings.policy;
        self.connection.dialogue.heard(policy, self.common.now);
        self.take_turn();
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::Arc;

    use super::*;
    use crate::memory::SlabPool;
    use crate::protocol::guests::{Guests, Rate};
    use crate::protocol::{CloseCode, Policy, Tally};
    use crate::shard::readiness::{Immediate, Wire};
    use crate::shard::{Admission, Sent, Settings, Shard, SlotId, TCP, Write};

    /// How a peer stands that is there.
    fn there((): &()) -> Standing {
        Standing {
            received: 1,
            ..Standing::default()
        }
    }

    /// Takes all.
    struct Wide;

    impl Wire<()> for Wide {
        fn send(&mut self, (): &mut (), bytes: &[u8], _: bool) -> Sent {
            Sent::Bytes(bytes.len())
        }
    }

    /// An echo of which a thousand bytes may come in a second.
    struct World {
        shard: Shard<()>,
        id: SlotId,
        tally: Arc<Tally>,
    }

    impl World {
        fn new() -> Self {
            let rate = Rate::new(NonZeroU64::new(1000).unwrap(), Duration::from_secs(1));
            let guests = Guests {
                pace: Pace {
                    bytes: Some(rate),
                    messages: None,
                },
                ..Guests::default()
            };
            let tally = Arc::new(Tally::default());
            let settings = Settings {
                policy: Policy {
                    idle_timeout: Some(Duration::from_secs(2)),
                    guests: Some(Arc::new(guests)),
                    ..Policy::default()
                },
                budget: SlabPool::budget(1 << 20, 1),
                admission: Arc::new(Admission::new(None)),
                tls: None,
            };
            let mut shard = Shard::new(settings, tally.clone());
            shard.set_now(Moment::from_nanos(1));
            let id = shard.open((), TCP, None);
            World { shard, id, tally }
        }

        fn receive(&mut self, count: usize) {
            let mut handle = self.shard.at(self.id).unwrap();
            handle.receive(&mut vec![7; count], &mut Immediate(Wide));
        }

        fn reads(&self) -> bool {
            self.shard.wants(self.id).read
        }

        /// Until so many seconds after the start.
        fn pass_until(&mut self, seconds: u64) {
            while let Some(due) = self
                .shard
                .next_due()
                .filter(|due| due.as_nanos() <= seconds * 1_000_000_000 + 1)
            {
                self.shard.set_now(due);
                while self.shard.pop_due(there).is_some() {}
            }
            self.shard
                .set_now(Moment::from_nanos(seconds * 1_000_000_000 + 1));
        }
    }

    #[test]
    fn a_debt_is_waited_for_and_no_silence_counts_meanwhile() {
        let mut world = World::new();
        world.receive(1000);
        assert!(world.reads(), "so many may come at once");
        world.receive(10_000);
        assert!(!world.reads());
        world.pass_until(9);
        assert!(!world.reads());
        world.pass_until(10);
        assert!(world.reads());
        assert_eq!(
            world.shard.wants(world.id).write,
            Write::Rest,
            "it was not silent"
        );
        world.pass_until(20);
        assert_ne!(
            world.shard.wants(world.id).write,
            Write::Rest,
            "and now it was"
        );
        assert_eq!(world.tally.rests.get(), 1);
    }

    #[test]
    fn what_comes_meanwhile_is_kept_and_counts_in_its_turn() {
        let mut world = World::new();
        world.receive(2000);
        world.receive(2000);
        assert!(world.shard.slab_bytes() > 0, "it lies there");
        world.pass_until(1);
        assert!(!world.reads(), "it counts, too");
        world.pass_until(3);
        assert!(world.reads());
        world.shard.release(world.id, |_| {});
        assert_eq!(world.shard.slab_bytes(), 0);
    }

    #[test]
    fn whoever_goes_meanwhile_is_let_go() {
        let mut world = World::new();
        world.receive(1_000_000);
        world.shard.set_now(Moment::from_nanos(1_000_000_001));
        let due = world.shard.pop_due(|()| Standing::default());
        assert_eq!(due, Some(world.id));
        assert_eq!(
            world.shard.wants(world.id).write,
            Write::Close { reset: true }
        );
    }

    #[test]
    fn whoever_has_said_its_last_is_let_go_once_little_is_left_of_it() {
        let mut world = World::new();
        world.receive(1_000_000);
        let look = |world: &mut World, received, finished| {
            let due = world.shard.next_due().unwrap();
            world.shard.set_now(due);
            world.shard.pop_due(|()| Standing {
                received,
                finished,
                ..Standing::default()
            })
        };
        for (received, finished) in [(1_000_001, false), (1_010_001, true)] {
            assert_eq!(look(&mut world, received, finished), None);
            assert!(!world.reads(), "what has come has its pace");
        }
        assert_eq!(look(&mut world, 1_000_001, true), Some(world.id));
        assert!(world.reads());
        world.shard.at(world.id).unwrap().peer_finished();
        assert_eq!(
            world.shard.wants(world.id).write,
            Write::Close { reset: false }
        );
    }

    #[test]
    fn a_drain_waits_for_nobodys_tokens() {
        let mut world = World::new();
        world.receive(1_000_000);
        world.receive(1000);
        world.shard.drain(CloseCode::GOING_AWAY);
        world.shard.bid_farewell(world.id, there);
        assert!(
            world.shard.queued_bytes(world.id) > 0,
            "it is answered at once"
        );
    }

    #[test]
    fn no_more_is_read_at_once_than_may_come() {
        let mut world = World::new();
        let max = world.shard.at(world.id).unwrap().receive_bytes_max();
        assert_eq!(max, RECEIVE_BYTES_MIN);
    }
}

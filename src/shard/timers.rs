//! Deadlines, lazily.
//!
//! A connection's deadline moves with every message, so it is not moved here: an entry that comes due
//! looks at the connection, and goes back with the deadline it finds. One entry per connection is
//! usual; entries of connections that are gone are dropped when they come due, or swept when they are
//! most of what is here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::protocol::Moment;

use super::slots::SlotId;

/// Entries below which a sweep is not worth while.
const SWEEP_ENTRIES_MIN: usize = 1024;

/// The deadlines of one core's connections.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Moment, SlotId)>>,
}

impl Timers {
    /// Looks at connection `id` again at `due`.
    pub(super) fn add(&mut self, due: Moment, id: SlotId) {
        self.heap.push(Reverse((due, id)));
    }

    /// An entry that is due at `now`, with the moment it was added for.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<(Moment, SlotId)> {
        let Reverse((due, id)) = *self.heap.peek()?;
        if due > now {
            return None;
        }
        self.heap.pop();
        Some((due, id))
    }

    /// When the next entry comes due.
    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    /// Drops the entries for which `counts` is false, if there are many more than `live` connections.
    pub(super) fn sweep(&mut self, live: usize, counts: impl Fn(Moment, SlotId) -> bool) {
        if self.heap.len() > SWEEP_ENTRIES_MIN + 4 * live {
            self.heap.retain(|Reverse((due, id))| counts(*due, *id));
            self.heap.shrink_to(SWEEP_ENTRIES_MIN + 4 * live);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> SlotId {
        SlotId {
            index,
            generation: 1,
        }
    }

    #[test]
    fn entries_come_due_in_their_order_and_not_before() {
        let mut timers = Timers::default();
        for nanoseconds in [30, 10, 20] {
            timers.add(Moment::from_nanos(nanoseconds), id(nanoseconds as u32));
        }
        assert_eq!(timers.next(), Some(Moment::from_nanos(10)));
        assert_eq!(timers.pop_due(Moment::from_nanos(9)), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(Moment::from_nanos(20)))
            .map(|(_, id)| id.index)
            .collect();
        assert_eq!(due, [10, 20]);
        assert_eq!(timers.next(), Some(Moment::from_nanos(30)));
    }

    #[test]
    fn entries_of_the_gone_do_not_pile_up() {
        let mut timers = Timers::default();
        for index in 0..10_000 {
            timers.add(Moment::from_nanos(u64::from(index)), id(index));
            timers.sweep(1, |_, id| id.index == 7);
        }
        assert!(timers.heap.len() <= SWEEP_ENTRIES_MIN + 5);
        assert!(timers.heap.iter().any(|Reverse((_, id))| id.index == 7));
    }
}

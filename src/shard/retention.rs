//! How much is kept of the memory that all connections share: how much one peer may be owed, who is ended when
//! all together keep too much, and when memory goes back to the system.

use std::time::Duration;

use crate::protocol::{Cause, Moment};

use super::connection::{Connection, Phase};
use super::inbound::RECEIVE_BYTES_MIN;
use super::slots::SlotId;
use super::{Common, Handle, Shard};

/// A peer that is behind may be owed one part in so many of what is still free: one client that writes long
/// before it reads may have much, and many that never read leave room for others.
const SHARE_PART: usize = 4;

/// Bytes queued for a peer that is behind, above which no more is read from it as long as it reads what it is
/// sent. A peer that writes without reading gets more, up to its share.
pub(super) const QUEUE_BYTES: usize = 64 * 1024;

/// Bytes under way to a peer that is not known to be behind, above which no more is read from it: what its
/// sends show is known within a turn. It is larger than a usual large message, so that one alone does not stop
/// the reading.
pub const UNDERWAY_BYTES_MAX: usize = 256 * 1024;

/// What a connection takes by itself, about, in bytes.
const CONNECTION_BYTES: usize = 256;

/// Memory is returned to the system when half of it is free and at least this much, in bytes, and no more
/// often than this.
const RETURN_BYTES_MIN: usize = 64 * 1024;
const RETURNS_APART: Duration = Duration::from_secs(1);

/// When memory goes back to the system.
#[derive(Debug, Default)]
pub(super) struct Returns {
    /// The most memory that has been in use since some was last returned, in bytes.
    peak: usize,
    /// When memory is returned that is free now.
    pub(super) due: Option<Moment>,
    /// When memory was last returned.
    last: Moment,
}

impl Common {
    /// How many bytes any peer that is behind may be owed now.
    #[inline]
    pub(super) fn share_bytes(&self) -> usize {
        self.slabs.free_bytes() / SHARE_PART
    }

    /// How many bytes may be queued for a connection before no more is read from it. One that has taken all
    /// that it was owed may go on, however little memory there is.
    #[inline]
    pub(super) fn queue_bytes_max<Io>(&self, connection: &Connection<Io>) -> usize {
        let share = self.share_bytes();
        if connection.blocked {
            return share.min(QUEUE_BYTES << connection.doublings);
        }
        let queued = connection.outbox.bytes();
        share.clamp(queued.min(RECEIVE_BYTES_MIN), UNDERWAY_BYTES_MAX)
    }
}

impl<Io> Handle<'_, Io> {
    /// Takes note of what the connection keeps. If all together keep more than they may, that is acted on when
    /// [`Shard::pop_shed`] is asked.
    pub(super) fn note_kept(&mut self) {
        let bytes = self.connection.kept_bytes();
        let ranked = &mut self.connection.ranked;
        self.common.keepers.enter(self.id, bytes, ranked);
        self.look_soon_if_full();
    }
}

impl<Io> Shard<Io> {
    /// How many bytes of slabs are in use.
    pub fn slab_bytes(&self) -> usize {
        self.common.slabs.out_bytes()
    }

    /// Ends a connection for want of memory, if all together keep more than they may, and names it. It is one
    /// of those that keep most, which do not read, and not whoever happens to wait next. To be called once a
    /// turn, until it names none.
    pub fn pop_shed(&mut self) -> Option<SlotId> {
        self.note_use();
        // What those keep that are ended already comes back once nothing is under way for them.
        let returning: usize = self.shed.iter().map(|(_, bytes)| bytes).sum();
        while self.common.slabs.overdraft() > returning {
            let (entered, id) = self.common.keepers.pop()?;
            let Some(mut handle) = self.at(id) else {
                continue;
            };
            let connection = &mut *handle.connection;
            let is_gone = matches!(connection.phase, Phase::Gone { .. });
            if is_gone || connection.ranked != entered {
                continue;
            }
            connection.ranked = 0;
            let bytes = connection.kept_bytes();
            if bytes == 0 || bytes < entered as usize {
                let ranked = &mut connection.ranked;
                handle.common.keepers.enter(id, bytes, ranked);
                continue;
            }
            handle.common.tally.shed.add(1);
            handle.give_up(Cause::Memory);
            self.shed.push((id, bytes));
            return Some(id);
        }
        None
    }

    /// Takes note of how much memory is in use, and says it, in bytes.
    pub(super) fn note_use(&mut self) -> usize {
        let used = self.common.slabs.out_bytes() + self.slots.len() * CONNECTION_BYTES;
        self.returns.peak = self.returns.peak.max(used);
        used
    }

    /// Whether memory is free that is worth returning to the system now. To be called once a turn; where it
    /// is too early, [`Shard::next_due`] says when.
    pub fn returns_memory(&mut self) -> bool {
        let used = self.note_use();
        let returns = &mut self.returns;
        let free = returns.peak - used;
        let due = returns.last + RETURNS_APART;
        let is_worth_it = free >= RETURN_BYTES_MIN.max(returns.peak / 2);
        returns.due = is_worth_it.then_some(due);
        if !is_worth_it || due > self.common.now {
            return false;
        }
        *returns = Returns {
            peak: used,
            due: None,
            last: self.common.now,
        };
        self.common.slabs.cool();
        self.common.inflaters.cool();
        true
    }
}

//! A look at all connections, some of them at a time.

use std::time::Duration;

use crate::protocol::Moment;
use crate::protocol::tally::Stage;

use super::{Connection, Phase, Shard, SlotId};

/// What is seen of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name. Of two connections of a shard the one with the lower generation came first.
    pub id: SlotId,
    /// How far it is.
    pub stage: Stage,
    /// The memory that is kept until its peer reads, in bytes.
    pub kept_bytes: usize,
    /// What waits to be sent, in bytes.
    pub queued_bytes: usize,
    /// What was taken in so far, in bytes.
    pub received_bytes: u64,
    /// Whether the peer does not keep up with what it is sent.
    pub is_behind: bool,
    /// How long it was not seen to make progress, if something waits to be sent.
    pub stalls: Option<Duration>,
}

impl<Io> Connection<Io> {
    /// What is seen of it, under this name.
    fn view(&self, id: SlotId, now: Moment) -> View {
        View {
            id,
            stage: if self.phase == Phase::Talking {
                self.dialogue.stage()
            } else {
                Stage::Closing
            },
            kept_bytes: self.kept_bytes(),
            queued_bytes: self.outbox.bytes(),
            received_bytes: self.taken_in,
            is_behind: self.blocked,
            stalls: (self.owed && !self.outbox.is_empty()).then(|| now.since(self.progress)),
        }
    }
}

impl<Io> Shard<Io> {
    /// Shows the connections in the next `count` chunks of slots, from chunk `from` on. Where to go on; none: those were
    /// the last.
    pub fn survey(&self, from: usize, count: usize, mut show: impl FnMut(View)) -> Option<usize> {
        let now = self.common.now;
        let end = from + count;
        for number in from..end.min(self.slots.chunks()) {
            for (id, connection) in self.slots.chunk(number) {
                show(connection.view(id, now));
            }
        }
        (end < self.slots.chunks()).then_some(end)
    }
}

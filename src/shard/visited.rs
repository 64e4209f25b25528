//! What is told of a connection at its end, where all are told of.

use std::time::Duration;

use crate::protocol::Tally;
use crate::protocol::guests::{Peer, Visit};
use crate::protocol::tally::Stage;

use super::connection::{Dialogue, Phase};
use super::{Handle, SlotId};

/// A connection that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visited {
    /// Its name.
    pub id: SlotId,
    /// How it went.
    pub visit: Visit,
    /// Whether it spoke TLS.
    pub tls: bool,
    /// What was taken in, in bytes.
    pub received_bytes: u64,
    /// What ended it, in one word.
    pub end: &'static str,
    /// How long this process had it.
    pub lasted: Duration,
}

/// Messages that a worker has exchanged with all peers: what it has after a dialogue was asked and had not before, that
/// peer's are.
pub(super) struct Exchanged {
    received: u64,
    sent: u64,
}

impl Exchanged {
    pub(super) fn so_far(tally: &Tally) -> Self {
        Exchanged {
            received: tally.data_messages(),
            sent: tally.data_messages_sent(),
        }
    }
}

impl<Io> Handle<'_, Io> {
    /// Takes note of the messages of a dialogue that was asked, for its visit.
    #[inline(never)]
    pub(super) fn note_exchanged(&mut self, before: &Exchanged) {
        let now = Exchanged::so_far(&self.common.tally);
        let guest = self.connection.guest.as_deref_mut();
        if let Some(visit) = guest.and_then(|guest| guest.visit.as_mut()) {
            visit.received_messages += now.received - before.received;
            visit.sent_messages += now.sent - before.sent;
        }
    }

    /// It is to be told of at its end, unless that is known. `peer` finds out where it comes from.
    pub fn begin_visit(&mut self, peer: impl FnOnce(&Io) -> Option<Peer>) {
        let connection = &mut *self.connection;
        let guest = connection.guest.get_or_insert_default();
        guest.know(|| peer(&connection.io));
        let is_upgraded = match &connection.dialogue {
            Dialogue::WebSocket(session) => session.stage() == Stage::Open,
            Dialogue::Tcp(_) => false,
        };
        let now = self.common.now;
        guest
            .visit
            .get_or_insert_with(|| Visit::begin(now, is_upgraded));
    }

    /// What is told of it now that it ends, if something is.
    pub fn visited(&self) -> Option<Visited> {
        let connection = &*self.connection;
        let visit = connection.guest.as_ref()?.visit?;
        let is_broken = connection.phase == Phase::Gone { reset: true };
        let end = match visit.cause {
            Some(cause) => cause.kind(),
            None if connection.permit.is_none() => "refused",
            None if is_broken => "broken",
            None => "left",
        };
        Some(Visited {
            id: self.id,
            visit,
            tls: connection.link.as_ref().is_some_and(|it| it.has_tls()),
            received_bytes: connection.taken_in,
            end,
            lasted: self.common.now.since(visit.since),
        })
    }
}

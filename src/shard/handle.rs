//! One connection, looked up: what happened to it, how it ends, what it wants.

use crate::protocol::guests::Peer;
use crate::protocol::{Cause, Moment, Next};

use super::connection::{Connection, Destination, End, Phase};
use super::deadlines::LOOKS;
use super::slots::SlotId;
use super::{Common, outbound::Queue};

/// What is to be done for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Whether to read from it.
    pub read: bool,
    /// What to do in the other direction.
    pub write: Write,
}

impl Wants {
    /// What a connection wants that is gone.
    pub const NOTHING: Wants = Wants {
        read: false,
        write: Write::Rest,
    };
}

/// What is to be done in the sending direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing.
    Rest,
    /// Send what [`Handle::front`] names.
    Send,
    /// Send FIN, and report it with [`Handle::half_closed`].
    HalfClose,
    /// End or cancel what is under way, report what came of it, then [`super::Shard::put_down`] it.
    PutDown(Destination),
    /// Close, and [`super::Shard::release`]; with a reset if bytes were lost.
    Close {
        /// RST rather than FIN.
        reset: bool,
    },
}

/// A connection that was looked up, and what it has in common with the others of its core.
#[derive(Debug)]
pub struct Handle<'a, Io> {
    pub(super) id: SlotId,
    pub(super) connection: &'a mut Connection<Io>,
    pub(super) common: &'a mut Common,
}

impl<Io> Handle<'_, Io> {
    /// Its name.
    pub fn id(&self) -> SlotId {
        self.id
    }

    /// The engine's part.
    #[inline]
    pub fn io(&mut self) -> &mut Io {
        &mut self.connection.io
    }

    /// Whether another process can go on with it ([`Connection::is_portable`]).
    pub fn is_portable(&self) -> bool {
        self.connection.is_portable()
    }

    /// Whether the peer does not keep up with what it is sent.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.connection.blocked
    }

    /// Whether a peer that turned out not to read could be owed so many bytes.
    #[inline]
    pub fn may_keep(&self, bytes: usize) -> bool {
        self.common.share_bytes() >= bytes
    }

    /// What is to be done for the connection now.
    #[inline]
    pub fn wants(&self) -> Wants {
        self.common.wants(self.connection)
    }

    /// Whether what comes from the connection has no use any more.
    pub fn discards(&self) -> bool {
        self.connection.phase != Phase::Talking
    }

    /// Where it comes from, if that has been asked.
    pub fn peer(&self) -> Option<Peer> {
        self.connection.guest.as_ref()?.peer()
    }

    /// Why the server ends the connection, the first time that this is asked.
    pub fn take_cause(&mut self) -> Option<Cause> {
        let cause = self.connection.cause.take()?;
        let guest = self.connection.guest.as_mut();
        if let Some(visit) = guest.and_then(|guest| guest.visit.as_mut()) {
            visit.note_cause(cause);
        }
        Some(cause)
    }

    /// The connection's queue, with what is needed to put something in.
    #[inline]
    pub(super) fn queue(&mut self) -> (&mut Io, Queue<'_>) {
        let Connection {
            io,
            outbox,
            blocked,
            ..
        } = &mut *self.connection;
        (io, self.common.queue(outbox, *blocked))
    }

    /// What a dialogue's answer means for the connection.
    #[inline]
    pub(super) fn follow(&mut self, next: Next) {
        let end = match next {
            Next::Read | Next::Hold | Next::Yield | Next::HandOver => return,
            Next::HalfClose => End::HalfClose,
            Next::Close => End::Close,
        };
        let connection = &mut *self.connection;
        if connection.phase != Phase::Talking {
            // Its answer could not be sent.
            return;
        }
        connection.phase = Phase::Flushing(end);
        connection.progress = self.common.now;
        connection.held = false;
        connection.parked.clear(&mut self.common.slabs);
        self.finish_link();
        self.arm(self.common.now + self.common.settings.policy.linger_timeout);
    }

    /// The connection is broken: nothing more can be sent or received.
    pub fn fail(&mut self) {
        self.note_given_up();
        self.connection.phase = Phase::Gone { reset: true };
    }

    /// The server ends the connection at once.
    pub(super) fn give_up(&mut self, cause: Cause) {
        self.connection.cause.get_or_insert(cause);
        self.connection.phase = Phase::Gone { reset: true };
    }

    /// FIN has been sent.
    pub fn half_closed(&mut self) {
        debug_assert_eq!(self.connection.phase, Phase::Flushing(End::HalfClose));
        if !self.connection.owed {
            // Whoever has still to acknowledge something has no more time for it than before.
            self.connection.progress = self.common.now;
        }
        self.connection.phase = if self.connection.peer_finished {
            Phase::Gone { reset: false }
        } else {
            Phase::Lingering
        };
        self.arm(self.common.now + self.common.settings.policy.linger_timeout / LOOKS);
    }

    /// Has the connection looked at again at `due`, unless it will be sooner anyway.
    #[inline]
    pub(super) fn arm(&mut self, due: Moment) {
        if due < self.connection.timer {
            self.connection.timer = due;
            self.common.timers.add(due, self.id);
        }
    }

    /// Has it looked at again when the dialogue's deadline has passed, if there is one.
    #[inline]
    pub(super) fn arm_for_dialogue(&mut self) {
        if let Some(due) = self.connection.dialogue.deadline() {
            self.arm(due);
        }
    }
}

impl Common {
    /// What is to be done for a connection now.
    #[inline]
    pub(super) fn wants<Io>(&self, connection: &Connection<Io>) -> Wants {
        if let Phase::Gone { reset } = connection.phase {
            return Wants {
                read: false,
                write: Write::Close { reset },
            };
        }
        if let Some(to) = connection.leaving {
            return Wants {
                read: false,
                write: Write::PutDown(to),
            };
        }
        let read = match connection.phase {
            Phase::Talking => {
                let queued = connection.outbox.bytes();
                let keeps_up = queued == 0 || queued <= self.queue_bytes_max(connection);
                keeps_up && !connection.held && !connection.peer_finished
            }
            Phase::Lingering => true,
            Phase::Flushing(_) | Phase::Gone { .. } => false,
        };
        let write = match connection.phase {
            _ if !connection.outbox.is_empty() => Write::Send,
            Phase::Flushing(End::HalfClose) if !connection.peer_finished => Write::HalfClose,
            Phase::Flushing(_) => Write::Close { reset: false },
            Phase::Talking | Phase::Lingering | Phase::Gone { .. } => Write::Rest,
        };
        Wants { read, write }
    }
}

//! Sending later, from the engine's receive buffer: for engines that own memory until it completes.

use std::ops::Range;

use super::outbox::Lease;
use super::{Carrier, Queue, Sent};

/// Keeps account of the claims on a receive buffer.
pub trait Lender {
    /// A claim on `window` of the bytes last lent to the shard.
    fn lend(&mut self, window: Range<usize>) -> Lease;
}

/// Carries replies by queueing claims on the buffer they lie in; by copying, where the peer is behind and
/// would keep that buffer from all others.
#[derive(Debug)]
pub struct Deferred<L>(pub L);

impl<Io, L: Lender> Carrier<Io> for Deferred<L> {
    #[inline]
    fn carry(
        &mut self,
        _: &mut Io,
        queue: &mut Queue<'_>,
        lent: &[u8],
        window: Range<usize>,
    ) -> Sent {
        if queue.blocked {
            queue.push_bytes(&lent[window]);
            return Sent::Blocked;
        }
        queue.push_lease(self.0.lend(window));
        Sent::Bytes(0)
    }
}

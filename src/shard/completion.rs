//! Sending later, from the engine's receive buffer: for engines that own memory until it completes.

use std::ops::Range;

use super::outbox::Lease;
use super::{Carrier, Queue, Sent};

/// Keeps account of the claims on a receive buffer.
pub trait Lender {
    /// A claim on `window` of the bytes last lent to the shard; none where their buffer is needed for others.
    fn lend(&mut self, window: Range<usize>) -> Option<Lease>;
}

/// A reply shorter than this is copied if it has to wait for its turn: what waits then goes out in one send,
/// and no buffer is kept for a few bytes.
const LEASE_BYTES_MIN: usize = 1024;

/// Carries replies by queueing claims on the buffer they lie in; by copying, where the peer is behind and
/// would keep that buffer from all others, or where they are short and not the next to go.
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
        let is_worth_it = window.len() >= LEASE_BYTES_MIN || queue.is_empty();
        match is_worth_it.then(|| self.0.lend(window.clone())).flatten() {
            Some(lease) => queue.push_lease(lease),
            None => queue.push_bytes(&lent[window]),
        }
        Sent::Bytes(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{TCP, tcp_shard};

    #[derive(Default)]
    struct Counting(usize);

    impl Lender for &mut Counting {
        fn lend(&mut self, window: Range<usize>) -> Option<Lease> {
            self.0 += 1;
            Some(Lease::new(0, window.start as u32..window.end as u32))
        }
    }

    #[test]
    fn short_replies_that_wait_for_their_turn_keep_no_buffer() {
        let (mut shard, _) = tcp_shard(1 << 20);
        let id = shard.open((), TCP, None);
        let mut lender = Counting::default();
        for _ in 0..100 {
            let mut carrier = Deferred(&mut lender);
            shard.at(id).unwrap().receive(&mut [7; 100], &mut carrier);
        }
        assert_eq!(lender.0, 1, "the one that goes next");
        assert_eq!(shard.queued_bytes(id), 100 * 100);
        let mut handle = shard.at(id).unwrap();
        assert!(handle.sent(Sent::Bytes(100)).is_some());
        let mut sends = 0;
        while let Some(len) = handle.front().map(|(_, front)| front.load.len()) {
            handle.sent(Sent::Bytes(len));
            sends += 1;
        }
        assert!(sends <= 3, "the others go together, not in {sends} sends");
    }
}

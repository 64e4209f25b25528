//! Sending at once, from wherever the bytes lie: for engines that are told when a socket is ready.
//!
//! What the socket does not take is copied, so the engine's receive buffer is free when this returns.

use std::ops::Range;

use super::outbox::Load;
use super::{Carrier, Handle, Queue, Sent};

/// A non-blocking send.
pub trait Wire<Io> {
    /// Offers `bytes`; `more` says that others, or FIN, follow at once.
    fn send(&mut self, io: &mut Io, bytes: &[u8], more: bool) -> Sent;
}

/// Carries replies over a [`Wire`].
#[derive(Debug)]
pub struct Immediate<W>(pub W);

impl<Io, W: Wire<Io>> Carrier<Io> for Immediate<W> {
    #[inline]
    fn carry(
        &mut self,
        io: &mut Io,
        queue: &mut Queue<'_>,
        lent: &[u8],
        window: Range<usize>,
    ) -> Sent {
        let bytes = &lent[window];
        if !queue.is_empty() {
            let flushed = flush(io, queue, &mut self.0, true);
            if !queue.is_empty() {
                queue.push_bytes(bytes);
                return flushed;
            }
        }
        match self.0.send(io, bytes, false) {
            Sent::Bytes(count) if count < bytes.len() => {
                queue.push_bytes(&bytes[count..]);
                Sent::Blocked
            }
            Sent::Blocked => {
                queue.push_bytes(bytes);
                Sent::Blocked
            }
            sent => sent,
        }
    }
}

/// Sends from the front of the queue until it is empty or the socket takes no more. `more` says that
/// bytes, or FIN, follow those of the queue.
fn flush<Io>(io: &mut Io, queue: &mut Queue<'_>, wire: &mut impl Wire<Io>, more: bool) -> Sent {
    while let Some((load, follows)) = queue.entries.front(queue.outbox) {
        let Load::Slab(slab) = load else {
            return Sent::Failed;
        };
        let offered = slab.len();
        let count = match wire.send(io, slab.bytes(), follows || more) {
            Sent::Bytes(count) => count,
            other => return other,
        };
        if let Some(Load::Slab(slab)) = queue.entries.advance(queue.outbox, count) {
            queue.slabs.give(slab);
        }
        if count < offered {
            return Sent::Blocked;
        }
    }
    Sent::Bytes(0)
}

impl<Io> Handle<'_, Io> {
    /// Sends what is queued for the connection, as far as its socket takes it, and goes on with the
    /// input that waited for room.
    pub fn flush(&mut self, wire: &mut impl Wire<Io>) {
        loop {
            let finishes = self.connection.finishes();
            let (io, mut queue) = self.queue();
            let sent = flush(io, &mut queue, wire, finishes);
            self.note_sent(sent);
            if sent != Sent::Bytes(0) {
                return;
            }
            self.unpark();
            if self.connection.outbox.is_empty() {
                return;
            }
        }
    }
}

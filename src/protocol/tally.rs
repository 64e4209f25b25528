//! Counters: one writer (the worker), any number of readers, no read-modify-write.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only its own worker raises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. Only the owning worker may call this.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// The value now, or a moment ago.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one worker has seen since it started.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections that ended.
    pub ended: Counter,
    /// Connections put down, for somebody else to go on with.
    pub put_down: Counter,
    /// Connections picked up, which somebody else had put down.
    pub picked_up: Counter,
    /// Handshakes answered with 101.
    pub upgrades: Counter,
    /// Requests answered with anything else.
    pub refusals: Counter,
    /// Of these, from an origin that is not allowed (403).
    pub foreign_origins: Counter,
    /// Of these, for a host that is not allowed (421).
    pub misdirected: Counter,
    /// Of these, at a path where nothing is echoed (404).
    pub unknown_paths: Counter,
    /// Of these, without a secret of a private instance (401).
    pub unauthorized: Counter,
    /// Of these, over the limits of their source (429).
    pub too_many: Counter,
    /// Connections over the limits of their source that were closed without a word.
    pub turned_away: Counter,
    /// Connections of load balancers that did not begin with a header of the PROXY protocol.
    pub prefaces_refused: Counter,
    /// Times that nothing was taken in from a peer for a while, since it sends faster than it may.
    pub rests: Counter,
    /// Whole messages received.
    pub messages: Counter,
    /// Handshakes in which permessage-deflate was agreed on.
    pub deflating: Counter,
    /// Compressed text messages inflated to their end and found right.
    pub inflated: Counter,
    /// Bytes that compressed text was inflated to.
    pub inflated_bytes: Counter,
    /// Compressed text messages passed on unchecked from somewhere on: there was no memory for an inflater, or the
    /// connection had been put down amid them.
    pub unchecked: Counter,
    /// Bytes received, handshakes included.
    pub received_bytes: Counter,
    /// Connections closed for a violation of the protocol.
    pub violations: Counter,
    /// Connections ended by a deadline.
    pub timeouts: Counter,
    /// TLS handshakes completed.
    pub tls_handshakes: Counter,
    /// Of those, how many resumed what was agreed on before, by a ticket.
    pub tls_resumed: Counter,
    /// TLS handshakes that failed.
    pub tls_refused: Counter,
    /// TLS connections that broke after their handshake: records that cannot be opened.
    pub tls_broken: Counter,
    /// Connections that spoke plain HTTP where TLS is spoken.
    pub plain_to_tls: Counter,
    /// Connections that spoke TLS where it is not spoken.
    pub tls_to_plain: Counter,
    /// Connections ended because they did not read and the memory for such peers was spent.
    pub shed: Counter,
}

//! Sending as much as a server takes while nothing is read.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Peer, Side, is_pause};

/// Bytes that go into one record where there is TLS.
const PIECE_BYTES: usize = 16 * 1024;

impl Peer<'_> {
    /// Sends, and reads nothing, until the server takes no more for `stall`, or it is `until`. Returns how
    /// much of it was handed over, which may be less than one piece short of what was taken.
    pub(crate) fn offer(&mut self, bytes: &[u8], stall: Duration, until: Instant) -> usize {
        self.transcript.bytes(Side::Sent, bytes);
        let mut wire = Vec::new();
        let mut offered = 0;
        for piece in bytes.chunks(PIECE_BYTES) {
            if self.link.send(piece, &mut wire).is_err() || !self.hand_over(&wire, stall, until) {
                self.transcript.note("the server took no more");
                break;
            }
            offered += piece.len();
            wire.clear();
        }
        let _ = self.stream.set_write_timeout(Some(self.ground.timeout));
        offered
    }

    /// Whether all of it went out.
    fn hand_over(&mut self, wire: &[u8], stall: Duration, until: Instant) -> bool {
        let mut sent = 0;
        let mut give_up = until.min(Instant::now() + stall);
        while sent < wire.len() {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let _ = self.stream.set_write_timeout(Some(left));
            match self.stream.write(&wire[sent..]) {
                Ok(count) => {
                    sent += count;
                    give_up = until.min(Instant::now() + stall);
                }
                Err(error) if is_pause(&error) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

//! Sending a lot: while what comes is read, or while nothing is.

use std::io::Write;
use std::time::{Duration, Instant};

use super::{Incoming, MOMENT, Peer, Reader, Side, is_pause};
use crate::check::verdict::Finding;

/// Bytes that go into one record where there is TLS.
const PIECE_BYTES: usize = 16 * 1024;

impl Peer<'_> {
    /// Sends all of it, and reads no more than it takes for the server to take it; what is read is kept.
    pub(crate) fn send_while_reading(&mut self, bytes: &[u8]) -> Result<(), Finding> {
        self.send_and_read(bytes, |reader, bytes| {
            reader.feed(bytes);
            false
        })?;
        Ok(())
    }

    /// The same; what is read goes to `sink`, which says whether to read on before more is sent. Returns
    /// whether the server took all of it.
    pub(crate) fn send_and_read(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(&mut Reader, &[u8]) -> bool,
    ) -> Result<bool, Finding> {
        self.transcript.bytes(Side::Sent, bytes);
        let mut wire = Vec::new();
        let mut sent = 0;
        let mut deadline = Instant::now() + self.ground.timeout;
        let _ = self.stream.set_write_timeout(Some(MOMENT));
        // In pieces, since TLS holds no more than some records.
        for piece in bytes.chunks(PIECE_BYTES) {
            let _ = self.link.send(piece, &mut wire);
            while sent < wire.len() {
                match self.stream.write(&wire[sent..]) {
                    Ok(count) => {
                        sent += count;
                        deadline = Instant::now() + self.ground.timeout;
                    }
                    Err(error) if is_pause(&error) => {
                        if Instant::now() > deadline {
                            let what = "the server takes no more, and sends no more";
                            return Err(Finding::Broken(what.to_owned()));
                        }
                        let mut reads_on = true;
                        while reads_on {
                            match self.receive(Instant::now() + MOMENT)? {
                                Incoming::Came(bytes) => {
                                    reads_on = sink(&mut self.reader, &bytes);
                                    deadline = Instant::now() + self.ground.timeout;
                                }
                                Incoming::Ended(_) => return Ok(false),
                                Incoming::Silence => break,
                            }
                        }
                    }
                    Err(_) => {
                        self.transcript.note("the server took no more");
                        return Ok(false);
                    }
                }
            }
            wire.clear();
            sent = 0;
        }
        let _ = self.stream.set_write_timeout(Some(self.ground.timeout));
        Ok(true)
    }

    /// Sends, and reads nothing, until the server takes no more for `stall`, or it is `until`. Returns how
    /// much of it went out, in whole pieces. Less than all means that the stream may stop amid a frame.
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

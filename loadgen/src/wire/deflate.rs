//! permessage-deflate (RFC 7692): compresses messages and inflates replies.
//!
//! A message travels as DEFLATE blocks (RFC 1951) that end at a byte, without the `00 00 ff ff`
//! that every such flush ends with. Neither side here knows frames: cutting the bytes into
//! fragments and setting RSV1 on the first is up to the caller.

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::failure::Failure;
use super::handshake::extension::DeflateAgreement;

/// The fastest level: the generator's time is the instrument's.
const LEVEL: u32 = 1;

/// The empty stored block that ends each flush and is not sent (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// An empty message, compressed (RFC 7692 section 7.2.3.6).
const EMPTY_MESSAGE: u8 = 0x00;

/// The smallest window that zlib has, base-2 logarithm.
///
/// It also serves where 8 bits were agreed on: zlib's matches keep 262 bytes off the window's far
/// end, so with 512 bytes they reach back 250, within the 256 allowed. And whoever inflates may
/// have a larger window than was agreed on.
const WINDOW_BITS_MIN: u8 = 9;

/// Space for compressed bytes made ready before each call of zlib, beyond a quarter of what is to
/// be compressed. A flush must find more than six bytes, or it begins again.
const SPACE_BYTES_MIN: usize = 64;

/// Inflated bytes handed on at a time.
const SCRATCH_BYTES: usize = 4096;

/// Compresses the messages of one connection. With the largest window that takes hundreds of KiB.
pub(crate) struct Deflater {
    stream: Compress,
    no_context_takeover: bool,
}

/// Inflates the replies of one connection. With the largest window that takes tens of KiB.
pub(crate) struct Inflater {
    stream: Decompress,
    no_context_takeover: bool,
    /// Bytes of the reply under way so far.
    inflated: u64,
}

impl Deflater {
    /// Compresses as was agreed for the client's messages.
    pub(crate) fn new(agreement: &DeflateAgreement) -> Deflater {
        let bits = agreement.client.max_window_bits.max(WINDOW_BITS_MIN);
        Deflater {
            stream: Compress::new_with_window_bits(Compression::new(LEVEL), false, bits),
            no_context_takeover: agreement.client.no_context_takeover,
        }
    }

    /// Appends `message`, compressed, to `out`: the payload of its frames. At least one byte.
    pub(crate) fn compress(&mut self, message: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        if message.is_empty() {
            // A second flush in a row writes nothing, and this always means the same.
            out.push(EMPTY_MESSAGE);
            return Ok(());
        }
        let flushed = self.flush(message, out);
        // After an error: what was not sent is in no window of the server's, so none of ours may refer to it.
        if flushed.is_err() || self.no_context_takeover {
            self.stream.reset();
        }
        flushed
    }

    fn flush(&mut self, mut rest: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            out.reserve(rest.len() / 4 + SPACE_BYTES_MIN);
            let before = self.stream.total_in();
            self.stream.compress_vec(rest, out, FlushCompress::Sync)?;
            rest = &rest[(self.stream.total_in() - before) as usize..];
            // Space left means that the flush is complete.
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        if !out.ends_with(&TAIL) {
            let what = "the compressor did not end its flush";
            return Err(io::Error::other(what));
        }
        out.truncate(out.len() - TAIL.len());
        Ok(())
    }
}

impl Inflater {
    /// Inflates as was agreed for the server's messages.
    pub(crate) fn new(agreement: &DeflateAgreement) -> Inflater {
        let bits = agreement.server.max_window_bits.max(WINDOW_BITS_MIN);
        Inflater {
            stream: Decompress::new_with_window_bits(false, bits),
            no_context_takeover: agreement.server.no_context_takeover,
            inflated: 0,
        }
    }

    /// Takes a piece of a compressed reply, cut anywhere, and hands what it inflates to on to
    /// `sink` in pieces of at most 4 KiB.
    ///
    /// Fails as soon as the whole reply has more than `expected_bytes`, whatever is still to
    /// come: a server cannot make a small reply cost much. Also fails if the bytes are not
    /// DEFLATE, and with what `sink` fails with.
    pub(crate) fn receive(
        &mut self,
        mut piece: &[u8],
        expected_bytes: usize,
        mut sink: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut scratch = [0; SCRATCH_BYTES];
        loop {
            let before = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(piece, &mut scratch, FlushDecompress::Sync)
                .map_err(|error| not_deflate(&error.to_string()))?;
            let taken = (self.stream.total_in() - before.0) as usize;
            let made = (self.stream.total_out() - before.1) as usize;
            piece = &piece[taken..];
            self.inflated += made as u64;
            if self.inflated > expected_bytes as u64 {
                return Err(Failure::Protocol(format!(
                    "a compressed reply inflates to more than the {expected_bytes} bytes that were \
                     sent"
                )));
            }
            if made > 0 {
                sink(&scratch[..made])?;
            }
            match status {
                // A block with BFINAL set ends zlib's stream, not the message: what follows is
                // a stream of its own (RFC 7692 section 7.2.3.4). Its window starts empty.
                Status::StreamEnd => {
                    self.stream.reset(false);
                    if piece.is_empty() {
                        return Ok(());
                    }
                }
                // A full scratch buffer may hide more.
                _ if made == scratch.len() => {}
                _ if piece.is_empty() => return Ok(()),
                _ if taken == 0 && made == 0 => return Err(not_deflate("no progress")),
                _ => {}
            }
        }
    }

    /// The reply has had its last piece: hands on what is left, and returns how many bytes the
    /// whole reply had. The next piece begins another one.
    pub(crate) fn finish(
        &mut self,
        expected_bytes: usize,
        sink: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        self.receive(&TAIL, expected_bytes, sink)?;
        if self.no_context_takeover {
            self.stream.reset(false);
        }
        Ok(std::mem::take(&mut self.inflated))
    }
}

fn not_deflate(what: &str) -> Failure {
    Failure::Protocol(format!("a compressed reply is not DEFLATE: {what}"))
}

#[cfg(test)]
#[path = "deflate_tests.rs"]
mod tests;

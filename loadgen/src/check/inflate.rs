//! Compressed messages made plain (RFC 7692, section 7.2.2), and plain ones compressed.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Longest message that is made of a compressed one.
const PLAIN_BYTES_MAX: usize = 256 << 20;

/// What a sender takes off the end of a message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Inflates one message after the other. That a window is smaller than the largest there is, it cannot
/// tell: the library keeps 32 KiB in any case.
pub(crate) struct Inflater {
    stream: Decompress,
    /// The sender may take over its window from one message to the next.
    takes_over: bool,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater::new(true)
    }
}

impl Inflater {
    /// For a sender that takes over its window, or not.
    pub(crate) fn new(takes_over: bool) -> Inflater {
        Inflater {
            stream: Decompress::new(false),
            takes_over,
        }
    }

    /// The plain payload; what is wrong with it, if it is no deflate stream, or refers to a message that its
    /// sender may not refer to.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        if !self.takes_over {
            self.stream.reset(false);
        }
        let input = [payload, &TAIL].concat();
        let mut taken = 0;
        let mut plain = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress(&input[taken..], &mut buffer, FlushDecompress::None)
                .map_err(|error| error.to_string())?;
            taken += (self.stream.total_in() - before_in) as usize;
            let made = (self.stream.total_out() - before_out) as usize;
            plain.extend_from_slice(&buffer[..made]);
            if plain.len() > PLAIN_BYTES_MAX {
                return Err("it inflates to more than anything sent".to_owned());
            }
            // A final block ends the stream, and nothing of it is taken over.
            if status == Status::StreamEnd {
                self.stream.reset(false);
            } else if made < buffer.len() && taken == input.len() {
                return Ok(plain);
            } else if status == Status::BufError {
                return Err("it is cut off".to_owned());
            }
        }
    }
}

/// The payload of a compressed message, without a window of any message before it, but for its tail of
/// four bytes.
pub(crate) fn deflated_with_tail(plain: &[u8]) -> Vec<u8> {
    let mut stream = Compress::new(Compression::default(), false);
    let mut bytes = Vec::new();
    let mut taken = 0;
    loop {
        bytes.reserve(plain.len() / 2 + 64);
        // It fails for no input whatsoever.
        let _ = stream.compress_vec(&plain[taken..], &mut bytes, FlushCompress::Sync);
        taken = stream.total_in() as usize;
        if taken == plain.len() && bytes.len() < bytes.capacity() {
            return bytes;
        }
    }
}

/// The payload of a compressed message (RFC 7692, section 7.2.1).
pub(crate) fn deflated(plain: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = deflated_with_tail(plain.as_ref());
    bytes.truncate(bytes.len() - TAIL.len());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_the_rfc_are_read() {
        let samples: [&[u8]; 4] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ];
        for sample in samples {
            assert_eq!(Inflater::default().message(sample).unwrap(), b"Hello");
        }
        let taken_over = [0xf2, 0x00, 0x11, 0x00, 0x00];
        for takes_over in [true, false] {
            let mut inflater = Inflater::new(takes_over);
            assert_eq!(inflater.message(samples[0]).unwrap(), b"Hello");
            assert_eq!(inflater.message(&taken_over).is_ok(), takes_over);
        }
    }

    #[test]
    fn what_is_deflated_inflates() {
        for plain in [&b""[..], b"a", &[0; 300_000]] {
            assert_eq!(
                Inflater::default().message(&deflated(plain)).unwrap(),
                plain
            );
        }
    }
}

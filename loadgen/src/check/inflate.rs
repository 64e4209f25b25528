//! Compressed messages made plain (RFC 7692, section 7.2.2).

use flate2::{Decompress, FlushDecompress, Status};

/// Longest message that is made of a compressed one.
const PLAIN_BYTES_MAX: usize = 256 << 20;

/// Inflates one message after the other, with the window that the sender may take over.
pub(crate) struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater(Decompress::new(false))
    }
}

impl Inflater {
    /// The plain payload; what is wrong with it, if it is no deflate stream.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        let input = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
        let mut taken = 0;
        let mut plain = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            let status = self
                .0
                .decompress(&input[taken..], &mut buffer, FlushDecompress::None)
                .map_err(|error| error.to_string())?;
            taken += (self.0.total_in() - before_in) as usize;
            let made = (self.0.total_out() - before_out) as usize;
            plain.extend_from_slice(&buffer[..made]);
            if plain.len() > PLAIN_BYTES_MAX {
                return Err("it inflates to more than anything sent".to_owned());
            }
            // A final block ends the stream, and nothing of it is taken over.
            if status == Status::StreamEnd {
                self.0.reset(false);
            } else if made < buffer.len() && taken == input.len() {
                return Ok(plain);
            } else if status == Status::BufError {
                return Err("it is cut off".to_owned());
            }
        }
    }
}

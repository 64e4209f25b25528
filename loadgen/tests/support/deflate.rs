//! permessage-deflate without context takeover (RFC 7692): every message stands for itself.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// What the server agrees on.
pub(crate) const AGREED: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// What a message's deflated bytes lack at their end (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A message's payload, deflated.
pub(crate) fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(payload).unwrap();
    // A flush ends with an empty block, whose last four bytes are the tail.
    encoder.flush().unwrap();
    let mut bytes = encoder.get_ref().clone();
    assert_eq!(bytes.split_off(bytes.len() - TAIL.len()), TAIL);
    bytes
}

/// What was deflated.
pub(crate) fn inflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // Behind the tail, a last and empty block ends the stream.
    let whole = [bytes, &TAIL, &[1, 0, 0, 0xff, 0xff]].concat();
    let mut payload = Vec::new();
    let inflated = DeflateDecoder::new(&whole[..]).read_to_end(&mut payload);
    inflated
        .map_err(|error| io::Error::other(format!("what should be deflated is not: {error}")))?;
    Ok(payload)
}

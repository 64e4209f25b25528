//! Bytes to text, invalid sequences replaced by U+FFFD: one for each maximal subpart, as the WHATWG's
//! encoding standard wants it and Node's `Buffer.toString` does it.
//!
//! The bytes come in pieces that know nothing of characters. Between pieces only an unfinished sequence is
//! remembered, of three bytes at most.

use std::str::{Utf8Error, from_utf8};

use crate::memory::slab::Slab;

/// The most bytes of text that one byte of input can become, but for those of an unfinished sequence.
pub(super) const GROWTH_MAX: usize = REPLACEMENT.len();

const REPLACEMENT: &str = "\u{fffd}";

/// The most bytes of a sequence that is not whole.
pub(super) const UNFINISHED_BYTES_MAX: usize = 3;

/// The bytes of a sequence that more bytes may complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decoder {
    len: u8,
    bytes: [u8; UNFINISHED_BYTES_MAX],
}

impl Decoder {
    /// A decoder that has seen `unfinished` last; none if that is no unfinished sequence, nor nothing.
    pub(super) fn resume(unfinished: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::default();
        match from_utf8(unfinished) {
            Ok(text) => text.is_empty().then_some(decoder),
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => {
                decoder.keep(unfinished);
                Some(decoder)
            }
            Err(_) => None,
        }
    }

    /// The bytes of the unfinished sequence.
    pub(super) fn unfinished(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Appends `bytes` to `text`, which has room for [`GROWTH_MAX`] times as much and some bytes more. `last`: the
    /// message ends with them.
    #[inline(never)] // Text of messages that are text does not come by here.
    pub(super) fn decode(&mut self, bytes: &[u8], last: bool, text: &mut Slab) {
        let mut rest = self.complete(bytes, text);
        while let Err(error) = from_utf8(rest) {
            let (valid, bad) = rest.split_at(error.valid_up_to());
            append(valid, text);
            let Some(bad_len) = error.error_len() else {
                self.keep(bad);
                rest = &[];
                break;
            };
            append(REPLACEMENT.as_bytes(), text);
            rest = &bad[bad_len..];
        }
        append(rest, text);
        if last && self.len > 0 {
            append(REPLACEMENT.as_bytes(), text);
            self.len = 0;
        }
    }

    /// Goes on with the unfinished sequence, byte by byte, until it is one or none. What is behind it is returned.
    fn complete<'a>(&mut self, mut bytes: &'a [u8], text: &mut Slab) -> &'a [u8] {
        while self.len > 0
            && let [byte, rest @ ..] = bytes
        {
            let len = usize::from(self.len);
            let mut sequence = [0; 4];
            sequence[..len].copy_from_slice(self.unfinished());
            sequence[len] = *byte;
            match from_utf8(&sequence[..=len])
                .as_ref()
                .map_err(Utf8Error::error_len)
            {
                Ok(whole) => {
                    append(whole.as_bytes(), text);
                    self.len = 0;
                }
                Err(None) => self.keep(&sequence[..=len]),
                Err(Some(_)) => {
                    // The byte is no part of it, and may begin anything.
                    append(REPLACEMENT.as_bytes(), text);
                    self.len = 0;
                    return bytes;
                }
            }
            bytes = rest;
        }
        bytes
    }

    /// Remembers an unfinished sequence: no more than three bytes, since the fourth ends it.
    fn keep(&mut self, sequence: &[u8]) {
        self.bytes[..sequence.len()].copy_from_slice(sequence);
        self.len = sequence.len() as u8;
    }
}

fn append(bytes: &[u8], text: &mut Slab) {
    let count = text.append(bytes);
    debug_assert_eq!(count, bytes.len(), "there is room for all of it");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::slab::{HOLD_BYTES_MAX, SlabPool};

    /// What becomes of `bytes` in pieces that end at `cuts` and at their end, through [`Decoder::resume`] each time.
    fn decode(bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut pool = SlabPool::new(SlabPool::budget(1 << 20, 1));
        let mut text = pool.take(HOLD_BYTES_MAX);
        let mut decoder = Decoder::default();
        let mut start = 0;
        for &end in cuts {
            decoder.decode(&bytes[start..end], false, &mut text);
            decoder = Decoder::resume(decoder.unfinished()).expect("an unfinished sequence");
            start = end;
        }
        decoder.decode(&bytes[start..], true, &mut text);
        assert_eq!(
            decoder,
            Decoder { len: 0, ..decoder },
            "nothing is left of a message"
        );
        text.bytes().to_vec()
    }

    /// Bytes of which many are at the borders of what is valid.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let borders = vec![
            0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
            0xed, 0xef, 0xf0, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        let piece = prop_oneof![
            3 => prop::sample::select(borders).prop_map(|byte| vec![byte]),
            2 => any::<char>().prop_map(|char| char.to_string().into_bytes()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_cut_gives_what_the_standard_library_gives(bytes in bytes()) {
            let expected = String::from_utf8_lossy(&bytes);
            let each: Vec<_> = (0..bytes.len()).collect();
            prop_assert_eq!(&decode(&bytes, &each), expected.as_bytes());
            for cut in 0..=bytes.len() {
                prop_assert_eq!(&decode(&bytes, &[cut]), expected.as_bytes());
                prop_assert_eq!(&decode(&bytes, &[cut / 2, cut]), expected.as_bytes());
            }
        }

        #[test]
        fn only_an_unfinished_sequence_is_resumed(bytes in bytes()) {
            let unfinished = from_utf8(&bytes)
                .map_or_else(|error| error.valid_up_to() == 0 && error.error_len().is_none(), str::is_empty);
            prop_assert_eq!(Decoder::resume(&bytes).is_some(), unfinished);
        }
    }
}

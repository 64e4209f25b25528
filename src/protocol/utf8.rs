//! Incremental validation of text messages (RFC 6455, section 8.1; RFC 3629).
//!
//! A message comes in pieces that know nothing of characters, and a bad byte must fail the connection
//! when it comes, not when the message ends. Between pieces only the sequence still open is remembered:
//! how many of its bytes are missing, and the range the next of them must be in.

/// From this many bytes on, vector instructions beat the standard library.
const VECTOR_BYTES_MIN: usize = 64;

/// The text cannot be UTF-8, whatever follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// The state of a text message between its pieces.
///
/// However a text is cut, the verdict is the same, and an error comes from the push that contains the
/// first byte which no valid text has there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validator {
    /// Bytes missing from the open sequence.
    missing: u8,
    /// The least value of the next of them; meaningless if none is missing.
    next_min: u8,
    /// The greatest.
    next_max: u8,
}

impl Validator {
    /// Takes in the next bytes of the text.
    ///
    /// # Errors
    /// [`Invalid`] if one of them cannot stand where it does. The validator has then no further use.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        if self.missing == 0 && is_short_ascii(bytes) {
            return Ok(());
        }
        self.push_any(bytes)
    }

    /// Whether no sequence is open: the text may end here.
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    fn push_any(&mut self, mut bytes: &[u8]) -> Result<(), Invalid> {
        while self.missing > 0 {
            let Some((&first, rest)) = bytes.split_first() else {
                return Ok(());
            };
            self.step(first)?;
            bytes = rest;
        }
        let (whole, open) = bytes.split_at(bytes.len() - open_len(bytes));
        if !is_valid(whole) {
            return Err(Invalid);
        }
        open.iter().try_for_each(|&byte| self.step(byte))
    }

    /// Takes in one byte, by the table of RFC 3629, section 4.
    fn step(&mut self, byte: u8) -> Result<(), Invalid> {
        if self.missing > 0 {
            if byte < self.next_min || byte > self.next_max {
                return Err(Invalid);
            }
            self.open(self.missing - 1, 0x80, 0xbf);
            return Ok(());
        }
        match byte {
            0x00..=0x7f => {}
            0xc2..=0xdf => self.open(1, 0x80, 0xbf),
            // Shorter forms would do for what is below.
            0xe0 => self.open(2, 0xa0, 0xbf),
            // Surrogates are above.
            0xed => self.open(2, 0x80, 0x9f),
            0xe1..=0xef => self.open(2, 0x80, 0xbf),
            // Shorter forms would do for what is below.
            0xf0 => self.open(3, 0x90, 0xbf),
            0xf1..=0xf3 => self.open(3, 0x80, 0xbf),
            // U+10FFFF is the last character.
            0xf4 => self.open(3, 0x80, 0x8f),
            0x80..=0xc1 | 0xf5..=0xff => return Err(Invalid),
        }
        Ok(())
    }

    fn open(&mut self, missing: u8, next_min: u8, next_max: u8) {
        *self = Validator {
            missing,
            next_min,
            next_max,
        };
    }
}

/// How many bytes at the end belong to a sequence that more bytes might complete: none to three.
///
/// They begin with a lead byte, so cutting them off cannot make the rest valid or invalid: a sequence
/// still open before a lead byte is an error in either view.
fn open_len(bytes: &[u8]) -> usize {
    match *bytes {
        [.., 0xc0..=0xff] => 1,
        [.., 0xe0..=0xff, 0x80..=0xbf] => 2,
        [.., 0xf0..=0xff, 0x80..=0xbf, 0x80..=0xbf] => 3,
        _ => 0,
    }
}

/// Whether `bytes` are a whole UTF-8 text.
#[inline]
pub fn is_valid(bytes: &[u8]) -> bool {
    is_short_ascii(bytes) || is_valid_any(bytes)
}

/// Whether `bytes` are what most small messages are. Two blocks that overlap spare the general test
/// its slow path for the odd bytes at the end.
#[inline]
fn is_short_ascii(bytes: &[u8]) -> bool {
    const BLOCK: usize = VECTOR_BYTES_MIN;
    match bytes.len() {
        0..=BLOCK => bytes.is_ascii(),
        len if len <= 2 * BLOCK => bytes[..BLOCK].is_ascii() && bytes[len - BLOCK..].is_ascii(),
        _ => false,
    }
}

fn is_valid_any(bytes: &[u8]) -> bool {
    if bytes.len() < VECTOR_BYTES_MIN {
        std::str::from_utf8(bytes).is_ok()
    } else {
        simdutf8::basic::from_utf8(bytes).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The length of the shortest prefix that no continuation makes valid, if there is one: by the
    /// standard library, one byte at a time.
    fn first_offence(text: &[u8]) -> Option<usize> {
        (0..=text.len()).find(|&len| {
            std::str::from_utf8(&text[..len]).is_err_and(|error| error.error_len().is_some())
        })
    }

    /// Pushes `text` in pieces that end at `cuts` and at its end, and compares every verdict.
    fn check(text: &[u8], cuts: &[usize]) {
        let offence = first_offence(text);
        let mut validator = Validator::default();
        let mut start = 0;
        for &end in cuts.iter().chain([&text.len()]) {
            let expected = match offence {
                Some(len) if len <= end => Err(Invalid),
                _ => Ok(()),
            };
            let verdict = validator.push(&text[start..end]);
            assert_eq!(
                verdict, expected,
                "{text:02x?} from {start} to {end}, cut at {cuts:?}"
            );
            if verdict.is_err() {
                assert!(!is_valid(text));
                return;
            }
            start = end;
        }
        let whole = std::str::from_utf8(text).is_ok();
        assert_eq!(
            validator.is_complete(),
            whole,
            "{text:02x?} cut at {cuts:?}"
        );
        assert_eq!(is_valid(text), whole, "{text:02x?}");
    }

    #[test]
    fn is_small() {
        assert!(size_of::<Validator>() <= 8);
    }

    #[test]
    fn every_pair_of_bytes() {
        for pair in 0..=u16::MAX {
            let text = pair.to_be_bytes();
            check(&text, &[]);
            check(&text, &[1]);
        }
    }

    #[test]
    fn every_four_bytes_at_the_borders_of_the_table() {
        const BORDERS: [u8; 24] = [
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
            0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        for first in BORDERS {
            for second in BORDERS {
                for third in BORDERS {
                    for fourth in BORDERS {
                        let text = [first, second, third, fourth];
                        check(&text, &[]);
                        check(&text, &[1, 2, 3]);
                    }
                }
            }
        }
    }

    #[test]
    fn fails_at_the_very_byte() {
        for (good, bad) in [
            (&[0xe0][..], 0x80),
            (&[0xed], 0xa0),
            (&[0xf0], 0x8f),
            (&[0xf4], 0x90),
            (&[0xe2, 0x82], 0x41),
            (&[0xf0, 0x9f, 0x98], 0xc3),
            (&[], 0xf5),
            (&[], 0xc0),
            (&[], 0x80),
        ] {
            let mut validator = Validator::default();
            assert_eq!(validator.push(good), Ok(()), "{good:02x?}");
            assert_eq!(
                validator.push(&[bad]),
                Err(Invalid),
                "{bad:02x} after {good:02x?}"
            );
        }
    }

    #[test]
    fn an_open_sequence_may_wait_through_empty_pieces() {
        let mut validator = Validator::default();
        assert_eq!(validator.push("€".as_bytes().split_at(2).0), Ok(()));
        assert_eq!(validator.push(&[]), Ok(()));
        assert!(!validator.is_complete());
        assert_eq!(validator.push(&[0xac]), Ok(()));
        assert!(validator.is_complete());
    }

    #[test]
    fn a_long_text_cut_everywhere() {
        let text = "æøå € 𝄞 plain ascii in between, as it comes 😀".repeat(6);
        for cut in 0..=text.len() {
            check(text.as_bytes(), &[cut]);
        }
        let mut broken = text.into_bytes();
        broken[200] = 0xff;
        for cut in 0..=broken.len() {
            check(&broken, &[cut]);
        }
    }

    /// Mostly valid text with something broken in it now and then, short and long.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => "[ -~]{0,80}".prop_map(String::into_bytes),
            4 => "\\PC{0,40}".prop_map(String::into_bytes),
            2 => any::<char>().prop_map(|char| char.to_string().into_bytes()),
            1 => (any::<char>(), 1..4_usize).prop_map(|(char, len)| {
                let bytes = char.to_string().into_bytes();
                bytes[..len.min(bytes.len())].to_vec()
            }),
            1 => proptest::collection::vec(0x80..=0xff_u8, 0..3),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_verdict(
            text in texts(),
            places in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<_> =
                places.into_iter().map(|place| place.index(text.len() + 1)).collect();
            cuts.sort_unstable();
            check(&text, &cuts);
        }

        #[test]
        fn byte_by_byte_gives_the_same_verdict(text in texts()) {
            let cuts: Vec<_> = (0..text.len()).collect();
            check(&text, &cuts);
        }
    }
}

//! Incremental validation of text messages (RFC 6455, section 8.1; RFC 3629).
//!
//! A message comes in pieces that know nothing of characters, and a bad byte must fail the connection
//! when it comes, not when the message ends. Between pieces only the sequence still open is remembered:
//! how many of its bytes are missing, and which of them may come next.

/// From this many bytes on, vector instructions beat one byte after another.
const VECTOR_BYTES_MIN: usize = 64;

/// The text cannot be UTF-8, whatever follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// The state of a text message between its pieces.
///
/// However a text is cut, the verdict is the same, and an error comes from the push that contains the
/// first byte which no valid text has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validator {
    /// One of the states below.
    state: u8,
}

/// The states, each by the place of its six bits in a [`STEPS`] entry: what may come next.
const BETWEEN: u8 = 0;
/// Nothing: the text is invalid.
const BROKEN: u8 = 6;
/// One more byte of the sequence, two, three.
const ONE: u8 = 12;
const TWO: u8 = 18;
const THREE: u8 = 24;
/// The second byte of a sequence, where its first does not admit all: shorter forms would do for what
/// is left out behind E0 and F0; surrogates are above what is left behind ED, and U+10FFFF is the last
/// character behind F4.
const BEHIND_E0: u8 = 30;
const BEHIND_ED: u8 = 36;
const BEHIND_F0: u8 = 42;
const BEHIND_F4: u8 = 48;

/// Where each byte leads from each state: shifted right by the state, an entry's last six bits are the
/// next one. No branch depends on the text.
static STEPS: [u64; 256] = {
    let mut steps = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        steps[byte] = step(byte as u8);
        byte += 1;
    }
    steps
};

/// The entry of one byte, by the table of RFC 3629, section 4.
const fn step(byte: u8) -> u64 {
    let begin = match byte {
        0x00..=0x7f => BETWEEN,
        0xc2..=0xdf => ONE,
        0xe0 => BEHIND_E0,
        0xed => BEHIND_ED,
        0xe1..=0xef => TWO,
        0xf0 => BEHIND_F0,
        0xf1..=0xf3 => THREE,
        0xf4 => BEHIND_F4,
        0x80..=0xc1 | 0xf5..=0xff => BROKEN,
    };
    let continues = matches!(byte, 0x80..=0xbf);
    entry(BETWEEN, true, begin)
        | entry(BROKEN, false, BROKEN)
        | entry(ONE, continues, BETWEEN)
        | entry(TWO, continues, ONE)
        | entry(THREE, continues, TWO)
        | entry(BEHIND_E0, matches!(byte, 0xa0..=0xbf), ONE)
        | entry(BEHIND_ED, matches!(byte, 0x80..=0x9f), ONE)
        | entry(BEHIND_F0, matches!(byte, 0x90..=0xbf), TWO)
        | entry(BEHIND_F4, matches!(byte, 0x80..=0x8f), TWO)
}

const fn entry(from: u8, admitted: bool, to: u8) -> u64 {
    let next = if admitted { to } else { BROKEN };
    (next as u64) << from
}

impl Default for Validator {
    fn default() -> Self {
        Validator { state: BETWEEN }
    }
}

impl Validator {
    /// One that goes on from `state`, which [`Validator::state`] said; none if it cannot have.
    pub fn resume(state: u8) -> Option<Self> {
        let goes_on = matches!(
            state,
            BETWEEN | ONE | TWO | THREE | BEHIND_E0 | BEHIND_ED | BEHIND_F0 | BEHIND_F4
        );
        goes_on.then_some(Validator { state })
    }

    /// What it remembers, as a number.
    pub fn state(self) -> u8 {
        self.state
    }

    /// Takes in the next bytes of the text.
    ///
    /// # Errors
    /// [`Invalid`] if one of them cannot stand where it does. The validator has then no further use.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        if self.is_complete() && is_short_ascii(bytes) {
            return Ok(());
        }
        self.push_any(bytes)
    }

    /// Whether no sequence is open: the text may end here.
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.state == BETWEEN
    }

    fn push_any(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        if bytes.len() < VECTOR_BYTES_MIN {
            return self.walk(bytes);
        }
        // An open sequence ends within three bytes, rightly or not.
        let begun = if self.is_complete() {
            0
        } else {
            missing_len(bytes)
        };
        let (begun, rest) = bytes.split_at(begun);
        self.walk(begun)?;
        let (whole, open) = rest.split_at(rest.len() - open_len(rest));
        if !self.is_complete() || simdutf8::basic::from_utf8(whole).is_err() {
            return Err(Invalid);
        }
        self.walk(open)
    }

    /// Takes in a few bytes, one by one.
    fn walk(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        let state = bytes.iter().fold(u64::from(self.state), |state, &byte| {
            STEPS[usize::from(byte)] >> (state & 63)
        });
        self.state = (state & 63) as u8;
        if self.state == BROKEN {
            Err(Invalid)
        } else {
            Ok(())
        }
    }
}

/// How many bytes at the start, up to three, continue a sequence that was begun before.
fn missing_len(bytes: &[u8]) -> usize {
    let continued = bytes.iter().take(3);
    continued
        .take_while(|byte| matches!(byte, 0x80..=0xbf))
        .count()
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

#[inline(never)] // Its loop would take registers from the loops of those that call it for short texts.
fn is_valid_any(bytes: &[u8]) -> bool {
    if bytes.len() < VECTOR_BYTES_MIN {
        let mut validator = Validator::default();
        validator.walk(bytes).is_ok() && validator.is_complete()
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

//! Random payloads that need not be stored: each message is a window on one shared pool.
//!
//! A message is known by the offset of its window, so what must come back is compared with the
//! pool itself, at the speed of `memcmp`, and nothing is kept per message but that offset.

pub(crate) mod given;
pub mod size;

use std::fs::File;
use std::io::Read;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::Distribution;
use strum::IntoStaticStr;

/// Distinct window starts a pool offers, in bytes. With 32-byte messages the pool stays in a
/// core's second-level cache; two messages share a window once in 65,536 (binary).
const POOL_SPREAD_BYTES: usize = 1 << 16;

/// The same of a pool that is to be compressed: a compressor that remembers the last 32 KiB is to find little in
/// them of what comes next.
const COMPRESSIBLE_SPREAD_BYTES: usize = 1 << 20;

/// A text pool is made of cells of this size, all with their characters at the same places.
const TEXT_CELL_BYTES: usize = 16;

/// Widths of a cell's characters. The places where they begin, 0, 1, 3, 6, 10, 11, 12 and 14, have
/// every distance modulo 16 among them, so that a window of any size can begin and end between
/// characters.
const TEXT_WIDTHS: [usize; 8] = [1, 2, 3, 4, 1, 1, 2, 2];

/// What the payload is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Valid UTF-8 with characters of one to four bytes.
    Text,
    /// Any bytes.
    Binary,
}

/// What kinds of messages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Kinds {
    /// Text only.
    Text,
    /// Binary only.
    Binary,
    /// Both, in random order.
    Mixed,
}

impl Kinds {
    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// The next message's kind.
    pub(crate) fn draw(self, random: &mut Random) -> Kind {
        match self {
            Kinds::Text => Kind::Text,
            Kinds::Binary => Kind::Binary,
            Kinds::Mixed if random.below(2) == 0 => Kind::Text,
            Kinds::Mixed => Kind::Binary,
        }
    }
}

/// Seeded randomness of one thread: masking keys and choice of payload.
///
/// ChaCha8, since RFC 6455 section 10.3 asks for keys that cannot be predicted.
pub struct Random(ChaCha8Rng);

impl Random {
    /// The generator number `stream` of a seed; different streams are independent.
    pub fn new(seed: u64, stream: u64) -> Random {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Random(generator)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A masking key.
    pub(crate) fn key(&mut self) -> [u8; 4] {
        (self.bits() as u32).to_ne_bytes()
    }

    /// Fills `bytes`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A whole number below `bound`, which must be above 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// What `distribution` gives next.
    pub(crate) fn sample<T>(&mut self, distribution: &impl Distribution<T>) -> T {
        distribution.sample(&mut self.0)
    }
}

/// Shared random bytes, of which every message is a window.
pub struct Pool {
    binary: Vec<u8>,
    text: Vec<u8>,
    /// Places in a cell where a text window may begin, by its size modulo the cell's.
    starts: Vec<Vec<usize>>,
    /// Bits of a choice that say where a window begins.
    spread_mask: usize,
}

impl Pool {
    /// A pool for messages of these kinds, of up to `bytes_max` bytes.
    pub fn new(kinds: Kinds, bytes_max: usize, random: &mut Random) -> Pool {
        let mut binary = Vec::new();
        if kinds != Kinds::Text {
            binary.resize(POOL_SPREAD_BYTES + bytes_max, 0);
            random.fill(&mut binary);
        }
        let mut text = Vec::new();
        if kinds != Kinds::Binary {
            let length =
                (POOL_SPREAD_BYTES + TEXT_CELL_BYTES + bytes_max).next_multiple_of(TEXT_CELL_BYTES);
            while text.len() < length {
                push_cell(&mut text, random);
            }
        }
        Pool {
            binary,
            text,
            starts: text_starts(),
            spread_mask: POOL_SPREAD_BYTES - 1,
        }
    }

    /// A pool of bytes that have `bits` bits of entropy each, so that it is known how far they can be compressed:
    /// up to 8, of text 7, which is then of characters of one byte.
    pub(crate) fn with_entropy(
        kinds: Kinds,
        bytes_max: usize,
        bits: f64,
        random: &mut Random,
    ) -> Pool {
        let symbols = bits.exp2().ceil() as usize;
        let share = share_of_first(symbols, bits);
        let characters = if kinds == Kinds::Binary { 256 } else { 128 };
        let length = COMPRESSIBLE_SPREAD_BYTES + TEXT_CELL_BYTES + bytes_max;
        let draw = |_| {
            let symbol = match symbols {
                1 => 0,
                _ if random.0.random_bool(share) => 0,
                _ => 1 + random.below(symbols - 1),
            };
            // Letters first, so that what is sent can be read.
            ((usize::from(b'a') + symbol) % characters) as u8
        };
        let bytes: Vec<u8> = (0..length).map(draw).collect();
        Pool {
            text: bytes.clone(),
            binary: bytes,
            starts: text_starts(),
            spread_mask: COMPRESSIBLE_SPREAD_BYTES - 1,
        }
    }

    /// A pool of one message, whose only window is all of it.
    pub(crate) fn given(payload: &[u8]) -> Pool {
        Pool {
            binary: payload.to_vec(),
            text: payload.to_vec(),
            starts: vec![vec![0]; TEXT_CELL_BYTES],
            spread_mask: 0,
        }
    }

    /// The offset of the window of `size` bytes that 64 random bits choose.
    pub fn choose(&self, kind: Kind, size: usize, bits: u64) -> usize {
        match kind {
            Kind::Binary => bits as usize & self.spread_mask,
            Kind::Text => {
                let starts = &self.starts[size % TEXT_CELL_BYTES];
                let bits = bits as usize;
                let cell = bits & (self.spread_mask / TEXT_CELL_BYTES);
                let start = starts[(bits >> 16) % starts.len()];
                cell * TEXT_CELL_BYTES + start
            }
        }
    }

    /// The payload of `size` bytes at `offset`.
    pub fn window(&self, kind: Kind, offset: usize, size: usize) -> &[u8] {
        let bytes = match kind {
            Kind::Binary => &self.binary,
            Kind::Text => &self.text,
        };
        &bytes[offset..offset + size]
    }
}

/// All of a file that is no longer than so many MiB. The error says what would be right.
fn read_file(path: &str, mib_max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take((mib_max << 20) + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {path}: {error}"))?;
    if bytes.len() as u64 > mib_max << 20 {
        return Err(format!(
            "{path} is longer than {mib_max} MiB; give a shorter one"
        ));
    }
    Ok(bytes)
}

/// For each size modulo the cell's, where a window may begin so that it ends between characters too.
fn text_starts() -> Vec<Vec<usize>> {
    let mut boundaries = vec![0];
    for width in &TEXT_WIDTHS[..TEXT_WIDTHS.len() - 1] {
        boundaries.push(boundaries[boundaries.len() - 1] + width);
    }
    let fits = |start: usize, size: usize| boundaries.contains(&((start + size) % TEXT_CELL_BYTES));
    (0..TEXT_CELL_BYTES)
        .map(|size| {
            let starts = boundaries.iter().copied();
            starts.filter(|&start| fits(start, size)).collect()
        })
        .collect()
}

/// Appends a cell of random characters.
fn push_cell(bytes: &mut Vec<u8>, random: &mut Random) {
    for width in TEXT_WIDTHS {
        let range = match width {
            1 => ' '..='~',
            2 => '\u{80}'..='\u{7ff}',
            3 => '\u{800}'..='\u{ffff}',
            _ => '\u{10000}'..=char::MAX,
        };
        let character = random.0.random_range(range);
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// How often, of 1, the first of so many symbols is drawn, where each has `bits` bits of entropy and the others are
/// all alike.
fn share_of_first(symbols: usize, bits: f64) -> f64 {
    let part = |share: f64| {
        let bits = -share * share.log2();
        if share > 0.0 { bits } else { 0.0 }
    };
    let others = symbols as f64 - 1.0;
    // It falls from that of equal shares down to none.
    let entropy = |first: f64| part(first) + others * part((1.0 - first) / others.max(1.0));
    let (mut low, mut high) = (1.0 / symbols as f64, 1.0);
    for _ in 0..f64::MANTISSA_DIGITS {
        let first = f64::midpoint(low, high);
        if entropy(first) > bits {
            low = first;
        } else {
            high = first;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits of entropy of each byte, by how often which occurs.
    fn entropy(bytes: &[u8]) -> f64 {
        let mut counts = [0_usize; 256];
        for byte in bytes {
            counts[usize::from(*byte)] += 1;
        }
        let shares = counts.iter().filter(|count| **count > 0);
        let shares = shares.map(|count| *count as f64 / bytes.len() as f64);
        shares.map(|share| -share * share.log2()).sum()
    }

    #[test]
    fn bytes_have_the_entropy_that_was_asked_for() {
        let mut random = Random::new(4, 0);
        for bits in [0.0, 0.1, 1.0, 2.5, 3.0, 6.999, 7.0, 8.0] {
            for kinds in [Kinds::Binary, Kinds::Text, Kinds::Mixed] {
                if bits > 7.0 && kinds != Kinds::Binary {
                    continue;
                }
                let pool = Pool::with_entropy(kinds, 500_000, bits, &mut random);
                let kind = kinds.draw(&mut random);
                let window = pool.window(kind, pool.choose(kind, 500_000, random.bits()), 500_000);
                // So many bytes tell it to some thousandths.
                let found = entropy(window);
                assert!(
                    (found - bits).abs() < 0.01,
                    "{bits} bits {kinds:?}: {found}"
                );
                assert!(kinds == Kinds::Binary || std::str::from_utf8(window).is_ok());
            }
        }
    }

    #[test]
    fn text_windows_are_valid_utf8_of_any_size() {
        let mut random = Random::new(1, 0);
        let pool = Pool::new(Kinds::Text, 65_537, &mut random);
        for size in (0..70).chain([1000, 65_536, 65_537]) {
            for _ in 0..200 {
                let offset = pool.choose(Kind::Text, size, random.bits());
                let window = pool.window(Kind::Text, offset, size);
                assert_eq!(window.len(), size);
                assert!(std::str::from_utf8(window).is_ok(), "size {size}");
            }
        }
    }

    #[test]
    fn text_has_characters_of_every_width() {
        let pool = Pool::new(Kinds::Mixed, 4096, &mut Random::new(2, 0));
        let text = std::str::from_utf8(pool.window(Kind::Text, 0, 4096)).unwrap();
        for width in 1..=4 {
            assert!(
                text.chars().any(|character| character.len_utf8() == width),
                "{width}"
            );
        }
    }

    #[test]
    fn a_given_message_is_sent_whole_whatever_is_drawn() {
        let payload = "a given message".as_bytes();
        let pool = Pool::given(payload);
        for kind in [Kind::Text, Kind::Binary] {
            for bits in [0, u64::MAX, 0x1234_5678_9abc_def0] {
                let offset = pool.choose(kind, payload.len(), bits);
                assert_eq!(pool.window(kind, offset, payload.len()), payload);
            }
        }
    }

    #[test]
    fn a_seed_replays_and_streams_differ() {
        let bits = |seed, stream| Random::new(seed, stream).bits();
        assert_eq!(bits(7, 0), bits(7, 0));
        assert_ne!(bits(7, 0), bits(7, 1));
        assert_ne!(bits(7, 0), bits(8, 0));
    }

    #[test]
    fn mixed_messages_are_of_both_kinds() {
        let mut random = Random::new(3, 0);
        let drawn: Vec<Kind> = (0..100).map(|_| Kinds::Mixed.draw(&mut random)).collect();
        assert!(drawn.contains(&Kind::Text) && drawn.contains(&Kind::Binary));
        assert_eq!(Kinds::Text.draw(&mut random), Kind::Text);
    }
}

//! Random payloads that need not be stored: each message is a window on one shared pool.
//!
//! A message is known by the offset of its window, so what must come back is compared with the
//! pool itself, at the speed of `memcmp`, and nothing is kept per message but that offset.

pub(crate) mod given;
pub mod size;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Distinct window starts a pool offers, in bytes. With 32-byte messages the pool stays in a
/// core's second-level cache; two messages share a window once in 65,536 (binary).
const POOL_SPREAD_BYTES: usize = 1 << 16;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        match self {
            Kinds::Text => "text",
            Kinds::Binary => "binary",
            Kinds::Mixed => "mixed",
        }
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

    /// A number of 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `bound`, which must be above 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A number of the standard normal distribution (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A number in `low..=high`, near enough to uniform for payloads.
    fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.0.next_u32() % (high - low + 1)
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
        let scalar = match width {
            1 => random.between(0x20, 0x7e),
            2 => random.between(0x80, 0x7ff),
            // Below the surrogates, which are not characters.
            3 => random.between(0x800, 0xd7ff),
            _ => random.between(0x1_0000, 0x10_ffff),
        };
        let character = char::from_u32(scalar).expect("the ranges hold scalar values only");
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! Random payloads that need not be stored: each message is a window on one shared pool.
//!
//! A message is known by the offset of its window, so what must come back is compared with the
//! pool itself, at the speed of `memcmp`, and nothing is kept per message but that offset.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Distinct window starts a pool offers, in bytes. With 32-byte messages the pool stays in a
/// core's second-level cache; two messages share a window once in 65,536 (binary).
const POOL_SPREAD_BYTES: usize = 64 * 1024;

/// Distance between window starts of a text pool: windows begin and end between characters.
const TEXT_CELL_BYTES: usize = 16;

/// What the payload is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Valid UTF-8 with characters of one to four bytes.
    Text,
    /// Any bytes.
    Binary,
}

/// Seeded randomness of one thread: masking keys and choice of payload.
///
/// ChaCha8, since RFC 6455 section 10.3 asks for keys that cannot be predicted.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// The generator number `stream` of a seed; different streams are independent.
    pub(crate) fn new(seed: u64, stream: u64) -> Random {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Random(generator)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
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

/// Shared random bytes; every window of `size` bytes that it hands out is a valid payload.
pub(crate) struct Pool {
    bytes: Vec<u8>,
    size: usize,
    step: usize,
}

impl Pool {
    /// A pool for messages of `size` bytes.
    pub(crate) fn new(kind: Kind, size: usize, random: &mut Random) -> Pool {
        match kind {
            Kind::Binary => {
                let mut bytes = vec![0; POOL_SPREAD_BYTES + size];
                random.fill(&mut bytes);
                Pool {
                    bytes,
                    size,
                    step: 1,
                }
            }
            Kind::Text => {
                // Character boundaries are forced where windows start (multiples of the cell)
                // and where they end (`size` further on, so `size` modulo the cell).
                let tail = size % TEXT_CELL_BYTES;
                let length = (POOL_SPREAD_BYTES + size).next_multiple_of(TEXT_CELL_BYTES);
                let mut bytes = Vec::with_capacity(length);
                while bytes.len() < length {
                    push_characters(&mut bytes, tail, random);
                    push_characters(&mut bytes, TEXT_CELL_BYTES - tail, random);
                }
                Pool {
                    bytes,
                    size,
                    step: TEXT_CELL_BYTES,
                }
            }
        }
    }

    /// The window that 64 random bits choose.
    pub(crate) fn choose(&self, bits: u64) -> usize {
        (bits as usize % (POOL_SPREAD_BYTES / self.step)) * self.step
    }

    /// The payload of the window at `offset`.
    pub(crate) fn window(&self, offset: usize) -> &[u8] {
        &self.bytes[offset..offset + self.size]
    }
}

/// Appends random characters that take exactly `length` bytes of UTF-8.
fn push_characters(bytes: &mut Vec<u8>, length: usize, random: &mut Random) {
    let mut left = length;
    while left > 0 {
        let width = random.between(1, left.min(4) as u32);
        let scalar = match width {
            1 => random.between(0x20, 0x7e),
            2 => random.between(0x80, 0x7ff),
            // Below the surrogates, which are not characters.
            3 => random.between(0x800, 0xd7ff),
            _ => random.between(0x1_0000, 0x10_ffff),
        };
        let character = char::from_u32(scalar).expect("the ranges hold scalar values only");
        left -= character.len_utf8();
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_windows_are_valid_utf8_of_the_asked_size() {
        for size in (0..70).chain([1000, 65_536, 65_537]) {
            let mut random = Random::new(1, 0);
            let pool = Pool::new(Kind::Text, size, &mut random);
            for _ in 0..200 {
                let window = pool.window(pool.choose(random.bits()));
                assert_eq!(window.len(), size);
                assert!(std::str::from_utf8(window).is_ok(), "size {size}");
            }
        }
    }

    #[test]
    fn text_has_characters_of_every_width() {
        let pool = Pool::new(Kind::Text, 4096, &mut Random::new(2, 0));
        let text = std::str::from_utf8(pool.window(0)).unwrap();
        for width in 1..=4 {
            assert!(
                text.chars().any(|character| character.len_utf8() == width),
                "{width}"
            );
        }
    }

    #[test]
    fn a_seed_replays_and_streams_differ() {
        let bits = |seed, stream| Random::new(seed, stream).bits();
        assert_eq!(bits(7, 0), bits(7, 0));
        assert_ne!(bits(7, 0), bits(7, 1));
        assert_ne!(bits(7, 0), bits(8, 0));
    }
}

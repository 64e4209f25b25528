//! What a session answers: a window on the bytes it was lent, and what goes before and after it.

use std::ops::Range;

use crate::memory::slab::{Slab, SlabChain, SlabPool};

/// The longest piece kept inline, in bytes: a frame header (10) or a Close with its code (4) fits.
const INLINE_BYTES_MAX: usize = 15;

/// A few bytes, by value.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmallBytes {
    len: u8,
    bytes: [u8; INLINE_BYTES_MAX],
}

impl SmallBytes {
    /// Copies `bytes`.
    ///
    /// # Panics
    /// If there are more than fifteen.
    pub fn new(bytes: &[u8]) -> Self {
        let mut small = SmallBytes {
            len: bytes.len() as u8,
            bytes: [0; INLINE_BYTES_MAX],
        };
        small.bytes[..bytes.len()].copy_from_slice(bytes);
        small
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Bytes of a reply that are not in the lent memory.
#[derive(Debug, Default)]
pub enum Piece {
    /// Nothing.
    #[default]
    None,
    /// A header, a ping or a Close.
    Inline(SmallBytes),
    /// Slabs, whose ownership passes to whoever sends them.
    Slabs(SlabChain),
}

impl Piece {
    /// How many bytes it is.
    pub fn byte_count(&self) -> usize {
        match self {
            Piece::None => 0,
            Piece::Inline(small) => small.as_slice().len(),
            Piece::Slabs(chain) => chain.byte_count(),
        }
    }

    /// Appends a slab. What was inline moves in front of it.
    pub fn push(&mut self, mut slab: Box<Slab>) {
        match self {
            Piece::Slabs(chain) => return chain.push(slab),
            Piece::Inline(small) => slab.prepend(small.as_slice()),
            Piece::None => {}
        }
        let mut chain = SlabChain::default();
        chain.push(slab);
        *self = Piece::Slabs(chain);
    }

    /// Appends a slab, into the last one where it fits.
    pub(super) fn append_slab(&mut self, slab: Box<Slab>, slabs: &mut SlabPool) {
        if let Piece::Slabs(chain) = self
            && let Some(last) = chain.last_mut()
            && last.room() >= slab.len()
        {
            last.append(slab.bytes());
            slabs.give(slab);
            return;
        }
        self.push(slab);
    }

    /// Appends a few bytes, taking a slab from `pool` only where they do not stay inline.
    pub fn append(&mut self, bytes: &[u8], pool: &mut SlabPool) {
        match self {
            Piece::None if bytes.len() <= INLINE_BYTES_MAX => {
                *self = Piece::Inline(SmallBytes::new(bytes));
            }
            Piece::Slabs(chain) => chain.append(bytes, pool),
            Piece::None | Piece::Inline(_) => {
                let mut slab = pool.take(bytes.len());
                slab.append(bytes);
                self.push(slab);
            }
        }
    }
}

/// A reply, in sending order: `before`, the `window` of the lent bytes, `after`.
#[derive(Debug, Default)]
pub struct Reply {
    /// What completes or precedes the lent bytes: a held frame, a header, a 101, a prefixed answer.
    pub before: Piece,
    /// The part of the lent bytes that is now the reply, rewritten in place.
    pub window: Range<usize>,
    /// A Close.
    pub after: Piece,
}

//! Compressed text, inflated (RFC 7692, section 7.2.2) to be looked at piece by piece. Nothing of it is kept: what
//! is echoed is what came.
//!
//! A message needs an inflater of its own from its first byte to its last. One that is whole in one receive borrows
//! it for that time; for one that is not, it is kept, counted as memory for unfinished input.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::close::Violation;
use crate::memory::slab::SlabPool;

/// The most compressed bytes that are inflated before it is seen whether the turn has done enough. They become half
/// a mebibyte at most.
pub const SLICE_BYTES_MAX: usize = 512;

/// What is inflated at a time, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// What an inflater counts for in the budget, in bytes: its window of 32 KiB and its tables, as allocated.
pub const INFLATER_COST: usize = 48 * 1024;

/// Inflaters kept warm after use.
const WARM_INFLATERS_MAX: usize = 4;

/// What the sender of a message leaves out at its end (RFC 7692, section 7.2.1).
const LEFT_OUT: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// An empty block that is the last of its stream (RFC 1951, section 3.2.4).
const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xFF, 0xFF];

/// Compressed bytes that are inflated next.
pub(super) struct Slice {
    bytes: [u8; SLICE_BYTES_MAX + LEFT_OUT.len()],
    len: usize,
    /// The message ends with them.
    ends: bool,
}

impl Slice {
    /// `count` bytes that `fill` writes; `ends` when the message ends with them.
    pub(super) fn new(count: usize, ends: bool, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut bytes = [0; SLICE_BYTES_MAX + LEFT_OUT.len()];
        fill(&mut bytes[..count]);
        Slice {
            bytes,
            len: count,
            ends,
        }
    }

    fn append_left_out(&mut self) {
        self.bytes[self.len..][..LEFT_OUT.len()].copy_from_slice(&LEFT_OUT);
        self.len += LEFT_OUT.len();
    }
}

/// What inflates one message.
pub struct Inflater {
    stream: Decompress,
    /// The last four bytes that came.
    last: [u8; 4],
    /// How many bytes the message has been inflated to.
    message_bytes: u64,
    /// It counts as unfinished input.
    is_kept: bool,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Inflater");
        debug.field("message_bytes", &self.message_bytes);
        debug
            .field("is_kept", &self.is_kept)
            .finish_non_exhaustive()
    }
}

impl Inflater {
    fn new() -> Box<Self> {
        Box::new(Inflater {
            stream: Decompress::new(false),
            last: [0; 4],
            message_bytes: 0,
            is_kept: false,
        })
    }

    /// How many bytes the message has been inflated to.
    pub(super) fn message_bytes(&self) -> u64 {
        self.message_bytes
    }

    /// Whether no byte has come since the message, or the stream after one that ended, began.
    fn is_fresh(&self) -> bool {
        self.stream.total_in() == 0
    }

    /// A stream has ended, or the message has.
    fn reset(&mut self) {
        if !self.is_fresh() {
            self.stream.reset(false);
        }
    }

    /// Inflates `slice` and shows the text to `look`, in pieces that may be empty.
    ///
    /// A stream may end within a message (section 7.2.3.4); what follows is another. A message that ends with such
    /// an end is whole. So is one whose sender did not leave out what may be left out.
    ///
    /// # Errors
    /// Where it is no DEFLATE data, or the message ends within a block; and whatever `look` says.
    pub(super) fn inflate(
        &mut self,
        mut slice: Slice,
        piece: &mut [u8],
        mut look: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let came = slice.len;
        self.remember(&slice.bytes[..came]);
        if slice.ends && self.last != LEFT_OUT {
            slice.append_left_out();
        }
        let mut rest = &slice.bytes[..slice.len];
        loop {
            let is_at_end = slice.ends && rest.len() == slice.len - came;
            if is_at_end && self.is_fresh() {
                return Ok(());
            }
            let before = (self.stream.total_in(), self.stream.total_out());
            let inflated = self.stream.decompress(rest, piece, FlushDecompress::None);
            let taken = (self.stream.total_in() - before.0) as usize;
            let made = (self.stream.total_out() - before.1) as usize;
            rest = &rest[taken..];
            self.message_bytes = self.message_bytes.saturating_add(made as u64);
            look(&piece[..made])?;
            let status = inflated.map_err(|_| Violation::Deflate)?;
            if status == Status::StreamEnd {
                self.reset();
                if rest.is_empty() {
                    return Ok(());
                }
            } else if made < piece.len() {
                // It takes in all that it is given unless it has no room for what comes of that.
                return match rest {
                    [] if slice.ends => self.end(piece),
                    [] => Ok(()),
                    _ => Err(Violation::Deflate),
                };
            }
        }
    }

    /// Whether the message ends between two blocks: there, and nowhere else, one that is empty and the last ends the
    /// stream. What else comes of it is not the sender's, and is no text.
    fn end(&mut self, piece: &mut [u8]) -> Result<(), Violation> {
        let before = (self.stream.total_in(), self.stream.total_out());
        let after = (before.0 + LAST_BLOCK.len() as u64, before.1);
        let ended = self
            .stream
            .decompress(&LAST_BLOCK, piece, FlushDecompress::None);
        let is_whole = matches!(ended, Ok(Status::StreamEnd))
            && (self.stream.total_in(), self.stream.total_out()) == after;
        is_whole.then_some(()).ok_or(Violation::Deflate)
    }

    fn remember(&mut self, bytes: &[u8]) {
        let count = bytes.len().min(self.last.len());
        self.last.rotate_left(count);
        let kept = self.last.len() - count;
        self.last[kept..].copy_from_slice(&bytes[bytes.len() - count..]);
    }

    /// It counts as unfinished input no more.
    pub(super) fn release(&mut self, slabs: &mut SlabPool) {
        if std::mem::take(&mut self.is_kept) {
            slabs.give_reserved(INFLATER_COST);
        }
    }
}

/// One worker's inflaters, made when they are first needed.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "an inflater moves as a pointer")]
pub struct Inflaters {
    warm: Vec<Box<Inflater>>,
    piece: Vec<u8>,
}

impl Inflaters {
    /// One for a message of which nothing has come.
    pub(super) fn take(&mut self) -> Box<Inflater> {
        self.warm.pop().unwrap_or_else(Inflater::new)
    }

    /// Room for what is inflated at a time.
    pub(super) fn piece(&mut self) -> &mut [u8] {
        if self.piece.is_empty() {
            self.piece = vec![0; PIECE_BYTES];
        }
        &mut self.piece
    }

    /// The message goes on with another receive: its inflater, or none if there is too little memory for that.
    pub(super) fn keep(
        &mut self,
        mut inflater: Box<Inflater>,
        slabs: &mut SlabPool,
    ) -> Option<Box<Inflater>> {
        inflater.is_kept = inflater.is_kept || slabs.reserve_to_hold(INFLATER_COST);
        if inflater.is_kept {
            return Some(inflater);
        }
        self.give(inflater, slabs);
        None
    }

    /// Takes one back whose message has ended.
    pub(super) fn give(&mut self, mut inflater: Box<Inflater>, slabs: &mut SlabPool) {
        inflater.release(slabs);
        if self.warm.len() < WARM_INFLATERS_MAX {
            inflater.reset();
            inflater.message_bytes = 0;
            inflater.last = [0; 4];
            self.warm.push(inflater);
        }
    }

    /// Gives the warm ones back to the allocator.
    pub fn cool(&mut self) {
        *self = Inflaters::default();
    }
}

//! Slabs: the only memory a connection ever takes for payload, and only for a while.
//!
//! A slab is an owned box, so the type system says who holds it: it cannot be given back twice, nor
//! used after it was. The pool keeps a few warm ones (no allocation on the warm path), knows how many
//! bytes are out, and returns the rest to the allocator, so memory falls again when a crowd has left.

use std::ops::Range;
use std::sync::Arc;

use super::budget::{Budget, Share};

/// The largest payload that is held until its frame is whole, in bytes. Larger frames are cut through
/// or fragmented. In fragments of this size a text of 256 MiB stays within the 16,384 that `ws` accepts.
pub const HOLD_BYTES_MAX: usize = 16 * 1024;

/// Room kept free at the front of a slab for the header of the frame whose payload it gathers: ten
/// bytes are the longest header a server writes (RFC 6455, section 5.2), a cache line keeps the payload
/// aligned.
pub const HEADROOM_BYTES: usize = 64;

/// The sizes of slabs, in bytes, headroom included: what is small is kept small. All are size classes of
/// the allocator, so that none costs more than is counted for it; the largest is the first that has room
/// for a payload of [`HOLD_BYTES_MAX`].
const CLASSES: [usize; 3] = [1024, 4 * 1024, 20 * 1024];

/// What one of the largest slabs counts for in a budget, in bytes.
pub const SLAB_COST_MAX: usize = CLASSES[CLASSES.len() - 1] + size_of::<Slab>();

/// Slabs of each size kept warm per pool after use.
const WARM_SLABS_MAX: usize = 64;

/// A piece of memory with bytes in the middle: `HEADROOM_BYTES` of room, then the bytes, then room.
#[derive(Debug)]
pub struct Slab {
    start: u32,
    end: u32,
    next: Option<Box<Slab>>,
    /// Which of [`CLASSES`] it is.
    class: u8,
    /// It counts as unfinished input.
    holds: bool,
    bytes: Box<[u8]>,
}

impl Slab {
    fn new(class: usize) -> Box<Self> {
        Box::new(Slab {
            start: HEADROOM_BYTES as u32,
            end: HEADROOM_BYTES as u32,
            next: None,
            class: class as u8,
            holds: false,
            bytes: vec![0; CLASSES[class]].into(),
        })
    }

    fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// What it counts for in a budget, in bytes.
    pub fn cost(&self) -> usize {
        CLASSES[usize::from(self.class)] + size_of::<Slab>()
    }

    /// The bytes it holds.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.range()]
    }

    /// The bytes it holds, to be rewritten in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let range = self.range();
        &mut self.bytes[range]
    }

    /// How many bytes it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.range().len()
    }

    /// Whether it holds nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes still fit behind those it holds.
    #[inline]
    pub fn room(&self) -> usize {
        self.bytes.len() - self.end as usize
    }

    /// The free space behind the bytes; what is written there counts after [`Slab::grow`].
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end as usize..]
    }

    /// Counts `count` bytes of the spare space as held.
    ///
    /// # Panics
    /// If `count` is more than [`Slab::room`].
    #[inline]
    pub fn grow(&mut self, count: usize) {
        assert!(count <= self.room(), "a slab grows only into its own room");
        self.end += count as u32;
    }

    /// Appends as many of `bytes` as fit and says how many did.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.spare()[..count].copy_from_slice(&bytes[..count]);
        self.end += count as u32;
        count
    }

    /// Writes `header` directly in front of the bytes.
    ///
    /// # Panics
    /// If the room in front is spent: at most [`HEADROOM_BYTES`] in all.
    #[inline]
    pub fn prepend(&mut self, header: &[u8]) {
        let end = self.start as usize;
        let start = end - header.len();
        self.bytes[start..end].copy_from_slice(header);
        self.start = start as u32;
    }

    /// Drops `count` bytes from the front: they have been sent.
    ///
    /// # Panics
    /// If it holds fewer.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "only bytes that are held can be sent");
        self.start += count as u32;
    }

    /// Drops all but the first `len` bytes.
    ///
    /// # Panics
    /// If it holds fewer.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len(), "only bytes that are held can be dropped");
        self.end = self.start + len as u32;
    }

    fn clear(&mut self) {
        self.start = HEADROOM_BYTES as u32;
        self.end = HEADROOM_BYTES as u32;
    }
}

/// Memory that is no slab, as a pool counts it ([`SlabPool::recount`]).
#[derive(Debug, Default)]
pub struct Counted {
    unfinished: usize,
    queued: usize,
}

impl Counted {
    /// How much of it counts as what is to be sent, in bytes.
    pub fn queued(&self) -> usize {
        self.queued
    }
}

/// Slabs in order. A chain is short (a reply's, or the input a session would not take yet).
#[derive(Debug, Default)]
pub struct SlabChain {
    first: Option<Box<Slab>>,
}

impl SlabChain {
    /// Appends a slab.
    pub fn push(&mut self, slab: Box<Slab>) {
        let mut place = &mut self.first;
        while let Some(held) = place {
            place = &mut held.next;
        }
        *place = Some(slab);
    }

    /// Puts a slab back at the front.
    pub fn push_front(&mut self, mut slab: Box<Slab>) {
        slab.next = self.first.take();
        self.first = Some(slab);
    }

    /// Takes the first slab.
    pub fn pop(&mut self) -> Option<Box<Slab>> {
        let mut first = self.first.take()?;
        self.first = first.next.take();
        Some(first)
    }

    /// The last slab, to append to.
    pub fn last_mut(&mut self) -> Option<&mut Slab> {
        let mut last = self.first.as_deref_mut()?;
        while last.next.is_some() {
            last = last.next.as_deref_mut()?;
        }
        Some(last)
    }

    /// How many bytes are in all its slabs.
    pub fn byte_count(&self) -> usize {
        self.slabs().map(Slab::len).sum()
    }

    /// What all its slabs count for in a budget, in bytes.
    pub fn cost(&self) -> usize {
        self.slabs().map(Slab::cost).sum()
    }

    fn slabs(&self) -> impl Iterator<Item = &Slab> {
        std::iter::successors(self.first.as_deref(), |slab| slab.next.as_deref())
    }

    /// Appends `bytes`, taking slabs from `pool` as needed.
    pub fn append(&mut self, mut bytes: &[u8], pool: &mut SlabPool) {
        if let Some(last) = self.last_mut() {
            let count = last.append(bytes);
            bytes = &bytes[count..];
        }
        while !bytes.is_empty() {
            let mut slab = pool.take(bytes.len());
            let count = slab.append(bytes);
            bytes = &bytes[count..];
            self.push(slab);
        }
    }

    /// Gives every slab back.
    pub fn clear(&mut self, pool: &mut SlabPool) {
        while let Some(slab) = self.pop() {
            pool.give(slab);
        }
    }
}

/// One worker's slabs.
///
/// The budget bounds what may be *kept* across a wait for a peer. Memory that is used and returned within
/// one turn may pass it, for holding is a courtesy and sending is not.
#[derive(Debug)]
#[expect(
    clippy::vec_box,
    reason = "a slab is a link of a chain, and moves as one"
)]
pub struct SlabPool {
    warm: [Vec<Box<Slab>>; CLASSES.len()],
    budget: Arc<Budget>,
    queued: Share,
    unfinished: Share,
}

impl SlabPool {
    /// A budget for `workers` pools whose connections may together keep `bytes` of memory, or one of the
    /// largest slabs for each worker and use if that is more.
    pub fn budget(bytes: usize, workers: usize) -> Arc<Budget> {
        Budget::new(bytes, workers, SLAB_COST_MAX)
    }

    /// A pool that draws on `budget`.
    pub fn new(budget: Arc<Budget>) -> Self {
        SlabPool {
            warm: Default::default(),
            budget,
            queued: Share::default(),
            unfinished: Share::default(),
        }
    }

    /// An empty slab, always: for bytes that must be sent. It has room for `len` of them, or is the largest
    /// there is. Who keeps it across a wait asks [`SlabPool::overdraft`] and makes room by other means if so.
    pub fn take(&mut self, len: usize) -> Box<Slab> {
        let slab = self.make(class_for(len));
        self.queued.take(slab.cost(), &self.budget.queued);
        slab
    }

    /// An empty slab to hold `len` bytes in until more arrive, or none if there is too little memory for
    /// unfinished input.
    ///
    /// # Panics
    /// If no slab has that much room: at most [`HOLD_BYTES_MAX`].
    pub fn take_to_hold(&mut self, len: usize) -> Option<Box<Slab>> {
        assert!(len <= HOLD_BYTES_MAX, "only so much is held");
        let class = class_for(len);
        let cost = CLASSES[class] + size_of::<Slab>();
        if !self.unfinished.try_take(cost, &self.budget.unfinished) {
            return None;
        }
        let mut slab = self.make(class);
        slab.holds = true;
        Some(slab)
    }

    /// A slab that holds `bytes`, which somebody held already, with room for `len` in all; none if no slab has
    /// that much room. Where memory for unfinished input is short, it counts as what is to be sent.
    pub fn hold_again(&mut self, bytes: &[u8], len: usize) -> Option<Box<Slab>> {
        let len = len.max(bytes.len()).min(HOLD_BYTES_MAX);
        let slab = self.take_to_hold(len);
        let mut slab = slab.unwrap_or_else(|| self.take(len));
        if slab.append(bytes) < bytes.len() {
            self.give(slab);
            return None;
        }
        Some(slab)
    }

    /// A slab with the bytes of `slab`, which holds something, and room for `more`; none, and `slab` is given
    /// back, if there is too little memory.
    pub fn enlarge(&mut self, slab: Box<Slab>, more: usize) -> Option<Box<Slab>> {
        if slab.room() >= more {
            return Some(slab);
        }
        let mut larger = self.take_to_hold(slab.len() + more);
        if let Some(larger) = &mut larger {
            larger.append(slab.bytes());
        }
        self.give(slab);
        larger
    }

    /// Counts memory that is no slab and that cannot be done without: `counted` takes so many bytes from now on. It is
    /// unfinished input; where memory for that is short, it counts as what is to be sent.
    pub fn recount(&mut self, counted: &mut Counted, bytes: usize) {
        let before = std::mem::take(counted);
        self.unfinished
            .give(before.unfinished, &self.budget.unfinished);
        self.queued.give(before.queued, &self.budget.queued);
        if self.unfinished.try_take(bytes, &self.budget.unfinished) {
            counted.unfinished = bytes;
        } else {
            self.queued.take(bytes, &self.budget.queued);
            counted.queued = bytes;
        }
    }

    /// What was held is whole, and is to be sent: it counts as that from here on.
    pub fn finish(&mut self, slab: &mut Slab) {
        if std::mem::take(&mut slab.holds) {
            let cost = slab.cost();
            self.unfinished.give(cost, &self.budget.unfinished);
            self.queued.take(cost, &self.budget.queued);
        }
    }

    /// Counts `bytes` of memory that is no slab as unfinished input, if at least half of what there is for that is
    /// free: whoever asks can do without, and a frame or a head cannot.
    pub fn reserve_to_hold(&mut self, bytes: usize) -> bool {
        let pot = &self.budget.unfinished;
        self.unfinished.free(pot) >= pot.half_bytes() && self.unfinished.try_take(bytes, pot)
    }

    /// Takes back what [`SlabPool::reserve_to_hold`] counted.
    pub fn give_reserved(&mut self, bytes: usize) {
        self.unfinished.give(bytes, &self.budget.unfinished);
    }

    fn make(&mut self, class: usize) -> Box<Slab> {
        self.warm[class].pop().unwrap_or_else(|| Slab::new(class))
    }

    /// Takes a slab back.
    pub fn give(&mut self, mut slab: Box<Slab>) {
        match std::mem::take(&mut slab.holds) {
            true => self.unfinished.give(slab.cost(), &self.budget.unfinished),
            false => self.queued.give(slab.cost(), &self.budget.queued),
        }
        let warm = &mut self.warm[usize::from(slab.class)];
        if warm.len() < WARM_SLABS_MAX {
            slab.clear();
            warm.push(slab);
        }
    }

    /// Gives the warm slabs back to the allocator: each may keep a page of its from the system.
    pub fn cool(&mut self) {
        self.warm = Default::default();
    }

    /// By how many bytes more is out, to be sent, than may be kept.
    pub fn overdraft(&mut self) -> usize {
        self.queued.overdraft(&self.budget.queued)
    }

    /// How many bytes could still be kept for what is to be sent, by whichever worker takes them first.
    pub fn free_bytes(&self) -> usize {
        self.queued.free(&self.budget.queued)
    }

    /// How many bytes are out.
    pub fn out_bytes(&self) -> usize {
        self.queued.out() + self.unfinished.out()
    }
}

/// The smallest class with room for `len` bytes, or the largest.
fn class_for(len: usize) -> usize {
    let fits = CLASSES
        .iter()
        .position(|bytes| len + HEADROOM_BYTES <= *bytes);
    fits.unwrap_or(CLASSES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_is_no_larger_than_it_need_be() {
        let mut pool = SlabPool::new(SlabPool::budget(1 << 20, 1));
        for (len, least) in [
            (1, 1),
            (960, 960),
            (961, 4032),
            (4033, HOLD_BYTES_MAX),
            (1 << 20, HOLD_BYTES_MAX),
        ] {
            let slab = pool.take(len);
            assert!(
                slab.room() >= least && slab.room() < 5 * least.max(960),
                "{len}"
            );
            pool.give(slab);
        }
        assert_eq!(pool.out_bytes(), 0);
    }

    #[test]
    fn neither_kind_of_waiting_takes_the_others_memory() {
        let mut pool = SlabPool::new(SlabPool::budget(1 << 20, 1));
        let mut held: Vec<_> = std::iter::from_fn(|| pool.take_to_hold(1)).collect();
        assert!(
            held.len() > 200,
            "small things are held in little: {}",
            held.len()
        );
        assert!(pool.out_bytes() <= 1 << 18);
        assert_eq!(pool.overdraft(), 0);
        let queued: Vec<_> = (0..100).map(|_| pool.take(HOLD_BYTES_MAX)).collect();
        assert!(pool.overdraft() > 0);
        pool.give(held.pop().unwrap());
        let mut again = pool.take_to_hold(1).unwrap();
        let before = pool.overdraft();
        pool.finish(&mut again);
        assert!(pool.overdraft() > before);
        held.push(again);
        held.into_iter()
            .chain(queued)
            .for_each(|slab| pool.give(slab));
        assert_eq!((pool.out_bytes(), pool.overdraft()), (0, 0));
    }
}

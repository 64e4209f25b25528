//! Slabs: the only memory a connection ever takes for payload, and only for a while.
//!
//! A slab is an owned box, so the type system says who holds it: it cannot be given back twice, nor
//! used after it was. The pool keeps a few warm ones (no allocation on the warm path), knows how many
//! are out, and returns the rest to the allocator, so memory falls again when a crowd has left.

/// The largest payload that is held until its frame is whole, in bytes. Larger frames are cut through
/// or fragmented. In fragments of this size a text of 256 MiB stays within the 16,384 that `ws` accepts.
pub const HOLD_BYTES_MAX: usize = 16 * 1024;

/// Room kept free at the front of a slab for the header of the frame whose payload it gathers: ten
/// bytes are the longest header a server writes (RFC 6455, section 5.2), a cache line keeps the payload
/// aligned.
pub const HEADROOM_BYTES: usize = 64;

const SLAB_BYTES: usize = HEADROOM_BYTES + HOLD_BYTES_MAX;

/// Slabs kept warm per pool after use.
const WARM_SLABS_MAX: usize = 64;

/// A fixed piece of memory with bytes in the middle: `HEADROOM_BYTES` of room, then the bytes, then room.
#[derive(Debug)]
pub struct Slab {
    start: usize,
    end: usize,
    next: Option<Box<Slab>>,
    /// It was taken to hold something until more comes.
    holds: bool,
    bytes: [u8; SLAB_BYTES],
}

impl Slab {
    fn new() -> Box<Self> {
        Box::new(Slab {
            start: HEADROOM_BYTES,
            end: HEADROOM_BYTES,
            next: None,
            holds: false,
            bytes: [0; SLAB_BYTES],
        })
    }

    /// The bytes it holds.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The bytes it holds, to be rewritten in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// How many bytes it holds.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it holds nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes still fit behind those it holds.
    #[inline]
    pub fn room(&self) -> usize {
        SLAB_BYTES - self.end
    }

    /// The free space behind the bytes; what is written there counts after [`Slab::grow`].
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// Counts `count` bytes of the spare space as held.
    ///
    /// # Panics
    /// If `count` is more than [`Slab::room`].
    #[inline]
    pub fn grow(&mut self, count: usize) {
        assert!(count <= self.room(), "a slab grows only into its own room");
        self.end += count;
    }

    /// Appends as many of `bytes` as fit and says how many did.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.spare()[..count].copy_from_slice(&bytes[..count]);
        self.end += count;
        count
    }

    /// Writes `header` directly in front of the bytes.
    ///
    /// # Panics
    /// If the room in front is spent: at most [`HEADROOM_BYTES`] in all.
    #[inline]
    pub fn prepend(&mut self, header: &[u8]) {
        let start = self.start - header.len();
        self.bytes[start..self.start].copy_from_slice(header);
        self.start = start;
    }

    /// Drops `count` bytes from the front: they have been sent.
    ///
    /// # Panics
    /// If it holds fewer.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "only bytes that are held can be sent");
        self.start += count;
    }

    fn clear(&mut self) {
        self.start = HEADROOM_BYTES;
        self.end = HEADROOM_BYTES;
        self.holds = false;
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
        let mut total = 0;
        let mut slab = self.first.as_deref();
        while let Some(held) = slab {
            total += held.len();
            slab = held.next.as_deref();
        }
        total
    }

    /// How many slabs it is.
    pub fn slabs(&self) -> usize {
        std::iter::successors(self.first.as_deref(), |slab| slab.next.as_deref()).count()
    }

    /// Appends `bytes`, taking slabs from `pool` as needed.
    pub fn append(&mut self, mut bytes: &[u8], pool: &mut SlabPool) {
        if let Some(last) = self.last_mut() {
            let count = last.append(bytes);
            bytes = &bytes[count..];
        }
        while !bytes.is_empty() {
            let mut slab = pool.take();
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
/// `limit` bounds what may be *kept* across a wait for a peer. Memory that is used and returned within
/// one turn may pass it, for holding is a courtesy and sending is not. Of what may be kept, half is for
/// what waits to be sent: whoever leaves frames or requests unfinished cannot take that.
#[derive(Debug)]
pub struct SlabPool {
    warm: Vec<Box<Slab>>,
    out: usize,
    holding: usize,
    limit: usize,
}

impl SlabPool {
    /// A pool whose connections may together keep `limit_bytes` of memory.
    pub fn new(limit_bytes: usize) -> Self {
        SlabPool {
            warm: Vec::with_capacity(WARM_SLABS_MAX),
            out: 0,
            holding: 0,
            limit: (limit_bytes / SLAB_BYTES).max(1),
        }
    }

    /// An empty slab, always: for bytes that must be sent. Who keeps it across a wait asks
    /// [`SlabPool::is_spent`] and makes room by other means if so.
    pub fn take(&mut self) -> Box<Slab> {
        self.out += 1;
        self.warm.pop().unwrap_or_else(Slab::new)
    }

    /// An empty slab to hold bytes in until more arrive, or none if the budget is spent.
    pub fn take_to_hold(&mut self) -> Option<Box<Slab>> {
        if self.out >= self.limit || self.holding >= self.limit.div_ceil(2) {
            return None;
        }
        self.holding += 1;
        let mut slab = self.take();
        slab.holds = true;
        Some(slab)
    }

    /// Takes a slab back.
    pub fn give(&mut self, mut slab: Box<Slab>) {
        debug_assert!(self.out > 0, "a slab came back that never left");
        self.out -= 1;
        self.holding -= usize::from(slab.holds);
        if self.warm.len() < WARM_SLABS_MAX {
            slab.clear();
            self.warm.push(slab);
        }
    }

    /// Whether more is out than may be kept.
    pub fn is_spent(&self) -> bool {
        self.out > self.limit
    }

    /// How many slabs are out.
    pub fn out(&self) -> usize {
        self.out
    }
}

//! Receive buffers that the kernel fills: their memory, and the ring that they are provided through.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::shard::Lease;

/// The buffer group: there is one per ring.
pub(super) const GROUP: u16 = 0;

/// `IOU_PBUF_RING_INC`: buffers are filled piece by piece (6.12).
const INCREMENTAL: u16 = 2;

/// How the buffers are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many; a power of two.
    pub(super) count: u16,
    /// The size of each, in bytes.
    pub(super) bytes: u32,
    /// Whether they are filled piece by piece.
    pub(super) incremental: bool,
}

/// Anonymous memory, page-aligned and zeroed.
struct Region {
    start: NonNull<u8>,
    len: usize,
}

impl Region {
    fn new(len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping where the kernel likes; it aliases nothing.
        let start = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::POPULATE,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Region { start, len })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length and not handed to anyone who outlives it: the ring
        // is closed before its buffers are dropped (see `Buffers`).
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The memory that the kernel fills.
pub(super) struct Memory {
    regions: Vec<Region>,
}

impl Memory {
    /// The bytes that the kernel has just delivered.
    ///
    /// # Safety
    /// `lease` must say what the kernel has just reported, and nothing of it may have been lent on.
    pub(super) unsafe fn filled(&mut self, lease: &Lease) -> &mut [u8] {
        let region = &self.regions[lease.buffer() as usize];
        let bytes = lease.bytes();
        assert!(bytes.end <= region.len);
        // SAFETY: within the region by the assertion; initialised, since mapped memory is zeroed.
        // Exclusive by the contract.
        unsafe {
            let start = region.start.as_ptr().add(bytes.start);
            std::slice::from_raw_parts_mut(start, bytes.len())
        }
    }

    /// The bytes of a claim.
    ///
    /// # Safety
    /// `lease` must be a claim that is counted and not handed back: it keeps its part of the buffer from the
    /// kernel.
    pub(super) unsafe fn claimed(&self, lease: &Lease) -> &[u8] {
        let region = &self.regions[lease.buffer() as usize];
        let bytes = lease.bytes();
        assert!(bytes.end <= region.len);
        // SAFETY: within the region by the assertion; the kernel does not write here by the contract, and
        // nobody else writes to a reply once it is made.
        unsafe {
            let start = region.start.as_ptr().add(bytes.start);
            std::slice::from_raw_parts(start, bytes.len())
        }
    }
}

/// A worker's receive buffers. To be dropped after the ring they are registered with.
pub(super) struct Buffers {
    layout: Layout,
    memory: Memory,
    /// The ring that they are provided through.
    entries: Region,
    mask: u16,
    tail: u16,
}

impl Buffers {
    /// Maps the memory: all of it present, so that serving touches no new pages.
    ///
    /// # Errors
    /// Where there is not that much.
    pub(super) fn new(layout: Layout) -> io::Result<Self> {
        let mut buffers = Buffers {
            layout,
            memory: Memory {
                regions: Vec::new(),
            },
            entries: Region::new(usize::from(layout.count) * size_of::<BufRingEntry>())?,
            mask: layout.count - 1,
            tail: 0,
        };
        for buffer in 0..layout.count {
            let region = Region::new(layout.bytes as usize)?;
            buffers.memory.regions.push(region);
            buffers.provide(buffer);
        }
        Ok(buffers)
    }

    /// Has the kernel draw from them.
    ///
    /// # Errors
    /// `EINVAL` where the kernel does not know such rings (before 5.19), or not incremental ones.
    pub(super) fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.entries.start.as_ptr() as u64;
        let flags = if self.layout.incremental {
            INCREMENTAL
        } else {
            0
        };
        // SAFETY: the entries stay mapped until `self` is dropped, which is after the ring is closed.
        unsafe { submitter.register_buf_ring_with_flags(address, self.mask + 1, GROUP, flags) }
    }

    /// How they are laid out.
    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Their memory.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Their memory.
    pub(super) fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Puts a buffer at the end of the ring.
    pub(super) fn provide(&mut self, buffer: u16) {
        let address = self.memory.regions[usize::from(buffer)].start.as_ptr() as u64;
        let base = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the ring has `mask + 1` entries, all within `entries`; the kernel reads an entry only
        // after the tail has passed it. The tail lies in bytes of the first entry that no setter of an
        // entry touches.
        unsafe {
            let entry = &mut *base.add(usize::from(self.tail & self.mask));
            entry.set_addr(address);
            entry.set_len(self.layout.bytes);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(base).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

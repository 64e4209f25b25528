//! Receive buffers that the kernel fills and the shard rewrites in place.
//!
//! The buffers of a worker form a ring that the kernel draws from in order (5.19). Incremental buffers
//! (6.12) are filled piece by piece:
//!
//! ```text
//! buffer  | lent to A ..... | lent to B .. | lent to A ....... | to be filled ........ |
//!                                                              ^ filled
//! ```
//!
//! A buffer returns to the ring when it is full and every claim on it has been handed back. Claims are
//! short: a send that does not go at once has its bytes copied (see `Shard::spill`).

use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::shard::Lease;
use crate::shard::completion::Lender;

/// The buffer group: there is one per ring.
pub(super) const GROUP: u16 = 0;

/// `IOU_PBUF_RING_INC`: buffers are filled piece by piece (6.12).
const INCREMENTAL: u16 = 2;

/// How many times more buffers than at first there may be, if the kernel runs out of them.
const GROWTH_MAX: u16 = 8;

/// The most entries that a buffer ring has.
const RING_ENTRIES_MAX: u16 = 1 << 15;

/// How the buffers are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many at first; a power of two.
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

/// What is known of a buffer.
#[derive(Debug, Default)]
struct Account {
    /// Claims on it.
    claims: u32,
    /// Up to where the kernel has filled it, in bytes.
    filled: u32,
    /// The kernel is done with it.
    full: bool,
}

/// The memory that the kernel fills.
pub(super) struct Memory {
    regions: Vec<Region>,
}

impl Memory {
    /// The bytes that the kernel has just delivered.
    ///
    /// # Safety
    /// `lease` must come from [`Accounts::fill`], and nothing of it may have been lent on.
    pub(super) unsafe fn filled(&mut self, lease: &Lease) -> &mut [u8] {
        let region = &self.regions[usize::from(lease.buffer)];
        let bytes = &lease.bytes;
        assert!(bytes.start <= bytes.end && bytes.end as usize <= region.len);
        // SAFETY: within the region by the assertion; initialised, since mapped memory is zeroed.
        // Exclusive by the contract.
        unsafe {
            let start = region.start.as_ptr().add(bytes.start as usize);
            std::slice::from_raw_parts_mut(start, bytes.len())
        }
    }

    /// The bytes of a claim.
    pub(super) fn claimed(&self, lease: &Lease) -> &[u8] {
        let region = &self.regions[usize::from(lease.buffer)];
        assert!(lease.bytes.start <= lease.bytes.end && lease.bytes.end as usize <= region.len);
        // SAFETY: within the region by the assertion. A claim keeps its part of the buffer from the
        // kernel, and nobody writes to a reply once it is made.
        unsafe {
            let start = region.start.as_ptr().add(lease.bytes.start as usize);
            std::slice::from_raw_parts(start, lease.bytes.len())
        }
    }
}

/// The ring of buffers, and who claims what.
pub(super) struct Accounts {
    entries: Region,
    mask: u16,
    tail: u16,
    layout: Layout,
    accounts: Vec<Account>,
    /// Where each buffer begins.
    addresses: Vec<u64>,
    /// Buffers that the kernel may still fill.
    available: usize,
}

impl Accounts {
    /// Takes note that the kernel has put `count` bytes into `buffer`, claims them, and says where they
    /// are. `more`: the kernel will fill it further.
    pub(super) fn fill(&mut self, buffer: u16, count: u32, more: bool) -> Lease {
        let account = &mut self.accounts[usize::from(buffer)];
        let start = account.filled;
        account.filled += count;
        account.claims += 1;
        if !more {
            account.full = true;
            self.available -= 1;
        }
        Lease {
            buffer,
            bytes: start..start + count,
        }
    }

    /// Claims a part of what `lent` claims.
    pub(super) fn lend(&mut self, lent: &Lease, window: Range<usize>) -> Lease {
        self.accounts[usize::from(lent.buffer)].claims += 1;
        let start = lent.bytes.start;
        Lease {
            buffer: lent.buffer,
            bytes: start + window.start as u32..start + window.end as u32,
        }
    }

    /// Takes a claim back.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a claim is handed back, not shown"
    )]
    pub(super) fn release(&mut self, lease: Lease) {
        let account = &mut self.accounts[usize::from(lease.buffer)];
        account.claims -= 1;
        if account.full && account.claims == 0 {
            *account = Account::default();
            self.provide(lease.buffer);
        }
    }

    /// Whether the kernel has a buffer to fill.
    pub(super) fn is_available(&self) -> bool {
        self.available > 0
    }

    /// Puts a buffer at the end of the ring.
    fn provide(&mut self, buffer: u16) {
        let base = self.entries.start.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the ring has `mask + 1` entries, all within `entries`; the kernel reads an entry only
        // after the tail has passed it. The tail lies in bytes of the first entry that no setter of an
        // entry touches.
        unsafe {
            let entry = &mut *base.add(usize::from(self.tail & self.mask));
            entry.set_addr(self.addresses[usize::from(buffer)]);
            entry.set_len(self.layout.bytes);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(base).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
        self.available += 1;
    }
}

/// Claims on what has just been received.
pub(super) struct Desk<'a> {
    pub(super) accounts: &'a mut Accounts,
    pub(super) lent: &'a Lease,
}

impl Lender for Desk<'_> {
    #[inline]
    fn lend(&mut self, window: Range<usize>) -> Lease {
        self.accounts.lend(self.lent, window)
    }
}

/// A worker's receive buffers. To be dropped after the ring they are registered with.
pub(super) struct Buffers {
    pub(super) memory: Memory,
    pub(super) accounts: Accounts,
}

impl Buffers {
    /// Maps the memory: all of it present, so that serving touches no new pages.
    ///
    /// # Errors
    /// Where there is not that much.
    pub(super) fn new(layout: Layout) -> io::Result<Self> {
        let capacity = layout
            .count
            .saturating_mul(GROWTH_MAX)
            .min(RING_ENTRIES_MAX);
        let accounts = Accounts {
            entries: Region::new(usize::from(capacity) * size_of::<BufRingEntry>())?,
            mask: capacity - 1,
            tail: 0,
            layout,
            accounts: Vec::with_capacity(usize::from(capacity)),
            addresses: Vec::with_capacity(usize::from(capacity)),
            available: 0,
        };
        let mut buffers = Buffers {
            memory: Memory {
                regions: Vec::new(),
            },
            accounts,
        };
        for _ in 0..layout.count {
            buffers.add()?;
        }
        Ok(buffers)
    }

    /// Has the kernel draw from them.
    ///
    /// # Errors
    /// `EINVAL` where the kernel does not know such rings (before 5.19), or not incremental ones.
    pub(super) fn register(&self, ring: &IoUring) -> io::Result<()> {
        let accounts = &self.accounts;
        let address = accounts.entries.start.as_ptr() as u64;
        let flags = if accounts.layout.incremental {
            INCREMENTAL
        } else {
            0
        };
        // SAFETY: the entries stay mapped until `self` is dropped, which is after the ring is closed.
        unsafe {
            let submitter = ring.submitter();
            submitter.register_buf_ring_with_flags(address, accounts.mask + 1, GROUP, flags)
        }
    }

    /// Whether they are filled piece by piece.
    pub(super) fn is_incremental(&self) -> bool {
        self.accounts.layout.incremental
    }

    /// Adds a buffer, if there may be more; false if not.
    pub(super) fn grow(&mut self) -> bool {
        self.accounts.accounts.len() <= usize::from(self.accounts.mask) && self.add().is_ok()
    }

    fn add(&mut self) -> io::Result<()> {
        let region = Region::new(self.accounts.layout.bytes as usize)?;
        let buffer = self.accounts.accounts.len() as u16;
        self.accounts.addresses.push(region.start.as_ptr() as u64);
        self.accounts.accounts.push(Account::default());
        self.memory.regions.push(region);
        self.accounts.provide(buffer);
        Ok(())
    }
}

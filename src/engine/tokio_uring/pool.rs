//! A worker's read buffers, and who claims what.
//!
//! Every pending read owns a buffer, so what an idle connection costs is the size of the small ones. A
//! connection that fills one gets large ones as long as it is busy, if there are some left.
//!
//! A buffer whose replies are on their way is kept here until the last claim on it is handed back.

use std::ops::Range;

use crate::shard::Lease;
use crate::shard::completion::Lender;

/// A small buffer: a request head or some tens of small messages.
pub(super) const SMALL_BYTES: usize = 2 * 1024;

/// A large buffer: a message of 64 KiB with its header, or some thousands of small ones.
const LARGE_BYTES: usize = 68 * 1024;

/// Buffers of each size that are kept for the next reads.
const WARM_SMALL_MAX: usize = 256;
const WARM_LARGE_MAX: usize = 32;

/// A buffer whose replies are on their way. Vacant without claims.
#[derive(Debug, Default)]
struct Account {
    buffer: Vec<u8>,
    claims: u32,
}

/// The buffers of a worker.
#[derive(Debug)]
pub(super) struct Pool {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    /// How many bytes may still be had: all large buffers are counted, and small ones while there are claims on
    /// them.
    left: usize,
    accounts: Vec<Account>,
    vacant: Vec<u32>,
}

impl Pool {
    /// A pool of at most `bytes_max`, and of a small buffer for each read under way.
    pub(super) fn new(bytes_max: usize) -> Self {
        Pool {
            small: Vec::new(),
            large: Vec::new(),
            left: bytes_max,
            accounts: Vec::new(),
            vacant: Vec::new(),
        }
    }

    /// A buffer to read into; a large one for a busy connection, if there is one.
    pub(super) fn take(&mut self, busy: bool) -> Vec<u8> {
        if busy {
            if let Some(buffer) = self.large.pop() {
                return buffer;
            }
            if self.left >= LARGE_BYTES {
                self.left -= LARGE_BYTES;
                return vec![0; LARGE_BYTES];
            }
        }
        self.small.pop().unwrap_or_else(|| vec![0; SMALL_BYTES])
    }

    /// Takes a buffer back.
    pub(super) fn give(&mut self, buffer: Vec<u8>) {
        let (warm, max) = match buffer.len() {
            SMALL_BYTES => (&mut self.small, WARM_SMALL_MAX),
            _ => (&mut self.large, WARM_LARGE_MAX),
        };
        if warm.len() < max {
            warm.push(buffer);
        } else if buffer.len() == LARGE_BYTES {
            self.left += LARGE_BYTES;
        }
    }

    /// Gives the warm buffers back to the allocator: each may keep a page of its from the system.
    pub(super) fn cool(&mut self) {
        self.small = Vec::new();
        self.left += self.large.len() * LARGE_BYTES;
        self.large = Vec::new();
    }

    /// Claims on what has just been read into a buffer of `buffer_bytes`.
    pub(super) fn desk(&mut self, buffer_bytes: usize) -> Desk<'_> {
        Desk {
            pool: self,
            is_small: buffer_bytes == SMALL_BYTES,
            number: None,
            claims: 0,
        }
    }

    /// The bytes of a claim.
    pub(super) fn bytes(&self, lease: &Lease) -> &[u8] {
        &self.accounts[lease.buffer() as usize].buffer[lease.bytes()]
    }

    /// How many claims there are.
    pub(super) fn claims(&self) -> usize {
        let claims = self.accounts.iter().map(|account| account.claims as usize);
        claims.sum()
    }

    /// Takes a claim back.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a claim is handed back, not shown"
    )]
    pub(super) fn release(&mut self, lease: Lease) {
        let account = &mut self.accounts[lease.buffer() as usize];
        account.claims -= 1;
        if account.claims == 0 {
            let buffer = std::mem::take(&mut account.buffer);
            if buffer.len() == SMALL_BYTES {
                self.left += SMALL_BYTES;
            }
            self.vacant.push(lease.buffer());
            self.give(buffer);
        }
    }
}

/// Claims on one buffer.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pool: &'a mut Pool,
    is_small: bool,
    number: Option<u32>,
    claims: u32,
}

impl Desk<'_> {
    /// Keeps the buffer as long as there are claims on it.
    pub(super) fn close(self, buffer: Vec<u8>) {
        let Desk {
            pool,
            number,
            claims,
            ..
        } = self;
        match number {
            Some(number) => pool.accounts[number as usize] = Account { buffer, claims },
            None => pool.give(buffer),
        }
    }
}

impl Lender for Desk<'_> {
    #[inline]
    fn lend(&mut self, window: Range<usize>) -> Option<Lease> {
        if self.is_small && self.number.is_none() {
            self.pool.left = self.pool.left.checked_sub(SMALL_BYTES)?;
        }
        let Pool {
            accounts, vacant, ..
        } = &mut *self.pool;
        let number = *self.number.get_or_insert_with(|| {
            vacant.pop().unwrap_or_else(|| {
                accounts.push(Account::default());
                accounts.len() as u32 - 1
            })
        });
        self.claims += 1;
        Some(Lease::new(number, window.start as u32..window.end as u32))
    }
}

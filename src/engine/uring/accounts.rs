//! Who claims what of the receive buffers.
//!
//! The buffers of a worker form a queue that the kernel draws from in order (5.19). Incremental buffers
//! (6.12) are filled piece by piece:
//!
//! ```text
//! buffer  | lent to A ..... | lent to B .. | lent to A ....... | to be filled ........ |
//!                                                              ^ filled
//! ```
//!
//! A buffer returns to the queue when it is full and every claim on it has been handed back. Claims are
//! short: a send that does not go at once has its bytes copied (see `Handle::spill`).

use std::ops::Range;

use crate::shard::Lease;
use crate::shard::completion::Lender;

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

/// The claims on a worker's receive buffers.
#[derive(Debug)]
pub struct Accounts {
    accounts: Vec<Account>,
    /// The size of each buffer, in bytes.
    buffer_bytes: u32,
    /// What the kernel may still fill, in bytes.
    free_bytes: usize,
    /// Claims on all of them.
    claims: usize,
}

impl Accounts {
    /// For `count` buffers of `buffer_bytes` each, all of which the kernel may fill.
    pub fn new(count: u16, buffer_bytes: u32) -> Self {
        let accounts = (0..count).map(|_| Account::default());
        Accounts {
            accounts: accounts.collect(),
            buffer_bytes,
            free_bytes: usize::from(count) * buffer_bytes as usize,
            claims: 0,
        }
    }

    /// Takes note that the kernel has put `count` bytes into `buffer`, claims them, and says where they
    /// are. `more`: the kernel will fill it further.
    #[inline]
    pub fn fill(&mut self, buffer: u16, count: u32, more: bool) -> Lease {
        let account = &mut self.accounts[usize::from(buffer)];
        let start = account.filled;
        account.filled += count;
        account.claims += 1;
        account.full = !more;
        self.claims += 1;
        let taken = if more {
            count
        } else {
            self.buffer_bytes - start
        };
        self.free_bytes -= taken as usize;
        Lease::new(u32::from(buffer), start..start + count)
    }

    /// Takes a claim back. A buffer that nobody claims any more is named: it is to be provided again.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a claim is handed back, not shown"
    )]
    #[inline]
    #[must_use]
    pub fn release(&mut self, lease: Lease) -> Option<u16> {
        let account = &mut self.accounts[lease.buffer() as usize];
        account.claims -= 1;
        self.claims -= 1;
        if !account.full || account.claims > 0 {
            return None;
        }
        *account = Account::default();
        self.free_bytes += self.buffer_bytes as usize;
        Some(lease.buffer() as u16)
    }

    /// The size of all buffers, in bytes.
    pub fn total_bytes(&self) -> usize {
        self.accounts.len() * self.buffer_bytes as usize
    }

    /// What the kernel may still fill, in bytes.
    pub fn free_bytes(&self) -> usize {
        self.free_bytes
    }

    /// Whether `lease` reaches the end of its buffer, so that it says nothing of whether there was more to
    /// receive.
    pub fn reaches_end(&self, lease: &Lease) -> bool {
        lease.bytes().end == self.buffer_bytes as usize
    }

    /// All claims there are.
    pub fn claims(&self) -> usize {
        self.claims
    }
}

/// Claims on what has just been received.
pub(super) struct Desk<'a> {
    pub(super) accounts: &'a mut Accounts,
    pub(super) lent: &'a Lease,
}

impl Lender for Desk<'_> {
    #[inline]
    fn lend(&mut self, window: Range<usize>) -> Option<Lease> {
        let lent = self.lent.bytes();
        assert!(window.start <= window.end && window.end <= lent.len());
        self.accounts.accounts[self.lent.buffer() as usize].claims += 1;
        self.accounts.claims += 1;
        let start = lent.start + window.start;
        let end = lent.start + window.end;
        Some(Lease::new(self.lent.buffer(), start as u32..end as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_returns_with_the_last_claim() {
        let mut accounts = Accounts::new(2, 100);
        let first = accounts.fill(0, 60, true);
        let last = accounts.fill(0, 40, false);
        assert_eq!((accounts.free_bytes(), accounts.claims()), (100, 2));
        assert!(!accounts.reaches_end(&first) && accounts.reaches_end(&last));
        assert_eq!(accounts.release(last), None);
        assert_eq!(accounts.release(first), Some(0));
        assert_eq!((accounts.free_bytes(), accounts.claims()), (200, 0));
    }

    #[test]
    #[should_panic(expected = "window.end <= lent.len()")]
    fn no_more_is_lent_than_was_received() {
        let mut accounts = Accounts::new(1, 100);
        let lent = accounts.fill(0, 10, true);
        let mut desk = Desk {
            accounts: &mut accounts,
            lent: &lent,
        };
        let _ = desk.lend(5..11);
    }
}

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
//! short: a send that does not go at once has its bytes copied (see `Shard::spill`).

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
    /// Buffers that the kernel may still fill.
    available: usize,
}

impl Accounts {
    /// For `count` buffers, all of which the kernel may fill.
    pub fn new(count: u16) -> Self {
        let mut accounts = Accounts {
            accounts: Vec::new(),
            available: 0,
        };
        (0..count).for_each(|_| accounts.add());
        accounts
    }

    /// There is one more, which the kernel may fill.
    pub fn add(&mut self) {
        self.accounts.push(Account::default());
        self.available += 1;
    }

    /// Takes note that the kernel has put `count` bytes into `buffer`, claims them, and says where they
    /// are. `more`: the kernel will fill it further.
    #[inline]
    pub fn fill(&mut self, buffer: u16, count: u32, more: bool) -> Lease {
        let account = &mut self.accounts[usize::from(buffer)];
        let start = account.filled;
        account.filled += count;
        account.claims += 1;
        if !more {
            account.full = true;
            self.available -= 1;
        }
        Lease {
            buffer: u32::from(buffer),
            bytes: start..start + count,
        }
    }

    /// Takes a claim back. A buffer that nobody claims any more is named: it is to be provided again.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a claim is handed back, not shown"
    )]
    #[inline]
    #[must_use]
    pub fn release(&mut self, lease: Lease) -> Option<u16> {
        let account = &mut self.accounts[lease.buffer as usize];
        account.claims -= 1;
        if !account.full || account.claims > 0 {
            return None;
        }
        *account = Account::default();
        self.available += 1;
        Some(lease.buffer as u16)
    }

    /// Whether the kernel has a buffer to fill.
    pub fn is_available(&self) -> bool {
        self.available > 0
    }

    /// All claims there are.
    pub fn claims(&self) -> usize {
        let claims = self.accounts.iter().map(|account| account.claims as usize);
        claims.sum()
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
        self.accounts.accounts[self.lent.buffer as usize].claims += 1;
        let start = self.lent.bytes.start;
        Lease {
            buffer: self.lent.buffer,
            bytes: start + window.start as u32..start + window.end as u32,
        }
    }
}

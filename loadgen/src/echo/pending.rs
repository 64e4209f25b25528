//! A message that waits for its reply: 24 bytes of it, since there may be millions.

use super::workload::Workload;
use crate::payload::Kind;

/// Time of a message that is queued and not yet given to the kernel.
pub(super) const UNSENT: u64 = u64::MAX;

/// A message that waits for its reply.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    /// When it was due, in nanoseconds since the caller's epoch; [`UNSENT`] for one that is due when
    /// it is sent.
    pub(super) due: u64,
    /// When it was given to the kernel, or [`UNSENT`].
    pub(super) sent: u64,
    /// Its window of the pool.
    pub(super) window: u32,
    /// Payload bytes (31 bits) and, on top, whether it is text.
    size_and_kind: u32,
}

const TEXT_BIT: u32 = 1 << 31;

impl Pending {
    pub(super) fn new(due: u64, window: usize, size: usize, kind: Kind) -> Pending {
        let text = if kind == Kind::Text { TEXT_BIT } else { 0 };
        Pending {
            due,
            sent: UNSENT,
            window: window as u32,
            size_and_kind: size as u32 | text,
        }
    }

    pub(super) fn size(self) -> usize {
        (self.size_and_kind & !TEXT_BIT) as usize
    }

    pub(super) fn kind(self) -> Kind {
        match self.size_and_kind & TEXT_BIT {
            0 => Kind::Binary,
            _ => Kind::Text,
        }
    }

    /// The payload that was sent.
    pub(super) fn payload(self, workload: &Workload) -> &[u8] {
        let window = self.window as usize;
        workload.pool.window(self.kind(), window, self.size())
    }
}

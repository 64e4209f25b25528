//! What every connection of a load sends, and how fast.

use std::sync::Arc;

use super::dialogue::Dialogue;
use crate::payload::size::Sizes;
use crate::payload::{Kinds, Pool};
use crate::target::Protocol;

/// Of so many messages, one is compared byte for byte when only a sample is.
pub(crate) const SAMPLE_OF: u64 = 16;

/// Most messages of one thread that wait for their replies, unless the loop is closed: what a server
/// that never answers can make a thread remember, at 24 bytes each.
const IN_FLIGHT_PER_THREAD: usize = 1 << 20;

/// Most and fewest of one connection.
const IN_FLIGHT_MAX: usize = 65_536;
const IN_FLIGHT_MIN: usize = 16;

/// Most bytes of one thread that are queued and not yet taken by the kernel, unless the loop is closed.
const QUEUED_BYTES_PER_THREAD: usize = 256 << 20;

/// Most and fewest of one connection. A message is queued whole wherever less than this is.
const QUEUED_BYTES_MAX: usize = 256 << 10;
const QUEUED_BYTES_MIN: usize = 4 << 10;

/// What decides when a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Closed loop: this many in flight.
    Depth(usize),
    /// Open loop: when the caller says so.
    Scheduled,
    /// Full duplex: whenever there is room.
    Duplex,
}

/// What every connection sends.
#[derive(Clone)]
pub(crate) struct Workload {
    /// WebSocket messages or raw bytes.
    pub(crate) protocol: Protocol,
    /// Text or binary; raw bytes only differ in content.
    pub(crate) kinds: Kinds,
    /// How long messages are.
    pub(crate) sizes: Sizes,
    /// Where payloads come from.
    pub(crate) pool: Arc<Pool>,
    /// When they are sent.
    pub(crate) pace: Pace,
    /// Frames of each message.
    pub(crate) fragments: usize,
    /// Whether every byte of every reply is compared, or of a sample only.
    pub(crate) verify_all: bool,
    /// Whether wrong replies are counted, instead of ending the load.
    pub(crate) keep_going: bool,
    /// What there is to it beyond a byte-exact echo.
    pub(crate) dialogue: Option<Arc<Dialogue>>,
    /// Limits of one connection, unless the loop is closed.
    pub(crate) limits: Limits,
}

/// What one connection may have under way, so that memory is bounded whatever the server does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Messages that wait for their replies.
    pub(crate) in_flight_max: usize,
    /// Bytes that wait for the kernel, beyond one message.
    pub(crate) queued_bytes_max: usize,
}

impl Limits {
    /// For a thread with so many connections.
    pub(crate) fn for_connections(connections: usize) -> Limits {
        let share = |all: usize| all / connections.max(1);
        Limits {
            in_flight_max: share(IN_FLIGHT_PER_THREAD).clamp(IN_FLIGHT_MIN, IN_FLIGHT_MAX),
            queued_bytes_max: share(QUEUED_BYTES_PER_THREAD)
                .clamp(QUEUED_BYTES_MIN, QUEUED_BYTES_MAX),
        }
    }
}

impl Workload {
    /// One message of `bytes` at a time, one in flight, every byte compared: what a sample echo or a
    /// session sends.
    pub(crate) fn simple(protocol: Protocol, bytes: usize, pool: Arc<Pool>) -> Workload {
        Workload {
            protocol,
            kinds: Kinds::Binary,
            sizes: Sizes::fixed(bytes),
            pool,
            pace: Pace::Depth(1),
            fragments: 1,
            verify_all: true,
            keep_going: false,
            dialogue: None,
            limits: Limits::for_connections(1),
        }
    }
}

//! What the fake server saw and did.

use std::time::{Duration, Instant};

/// One message, and its reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// Ordinal of its connection, in the order of acceptance.
    pub(crate) connection: usize,
    /// Ordinal on its connection.
    pub(crate) number: u64,
    /// 1 for text, 2 for binary; 0 for raw bytes.
    pub(crate) opcode: u8,
    /// Frames that it came in.
    pub(crate) frames: usize,
    pub(crate) payload_bytes: usize,
    /// Masking key of its first frame.
    pub(crate) key: [u8; 4],
    /// When its last byte had been read.
    pub(crate) received: Instant,
    /// When the reply was about to be given to the kernel.
    pub(crate) sent: Instant,
}

impl Record {
    /// How long the server really had it: less than the generator can have waited.
    pub(crate) fn held(&self) -> Duration {
        self.sent - self.received
    }
}

/// A reply whose content was changed.
#[derive(Clone, Debug)]
pub(crate) struct Alteration {
    pub(crate) connection: usize,
    pub(crate) number: u64,
    /// What was received.
    pub(crate) right: Vec<u8>,
    /// What was sent back.
    pub(crate) wrong: Vec<u8>,
}

/// All that happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Replies in the order of sending.
    pub(crate) records: Vec<Record>,
    pub(crate) alterations: Vec<Alteration>,
    /// Requests for an upgrade, in the order of acceptance.
    pub(crate) requests: Vec<String>,
    /// Ordinals of the connections that pings came from, in the order of arrival.
    pub(crate) pings: Vec<usize>,
    /// Connections that answered the ping which came first.
    pub(crate) pongs: usize,
    /// Payloads of the Closes that clients sent.
    pub(crate) closes: Vec<Vec<u8>>,
    /// Connections that the client had left before the server ended its stream.
    pub(crate) left: usize,
    /// When the server stood still.
    pub(crate) stall: Option<(Instant, Instant)>,
    /// What the client did against RFC 6455.
    pub(crate) complaints: Vec<String>,
}

impl Log {
    /// How long replies were held, in nanoseconds, the shortest first.
    pub(crate) fn held_ns(&self) -> Vec<u64> {
        let held = self.records.iter().map(|record| record.held().as_nanos());
        let mut held: Vec<u64> = held.map(|held| held as u64).collect();
        held.sort_unstable();
        held
    }

    /// Distances between the arrivals of messages, of all connections together, in nanoseconds.
    pub(crate) fn arrival_distances_ns(&self) -> Vec<f64> {
        let mut arrivals: Vec<Instant> =
            self.records.iter().map(|record| record.received).collect();
        arrivals.sort_unstable();
        let distances = arrivals
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_nanos() as f64);
        distances.collect()
    }

    /// Messages that connection `connection` sent.
    pub(crate) fn messages_of(&self, connection: usize) -> usize {
        let of = self
            .records
            .iter()
            .filter(|record| record.connection == connection);
        of.count()
    }
}

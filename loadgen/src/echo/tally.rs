//! What one thread counted.

use hdrhistogram::Histogram;

use crate::wire::failure::Mismatch;

/// Highest latency told apart from higher ones: one hour, in nanoseconds.
const LATENCY_NANOSECONDS_MAX: u64 = 3_600_000_000_000;

/// Significant decimal digits kept by latency histograms.
pub(crate) const LATENCY_DIGITS: u8 = 3;

/// Most wrong replies of one thread that are described.
const DESCRIBED_MAX: usize = 20;

/// An empty latency histogram: 1 ns to one hour, three significant digits.
pub(crate) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOSECONDS_MAX, LATENCY_DIGITS)
        .expect("the bounds are constants that hdrhistogram accepts")
}

/// Counters of one thread since its load began.
pub(crate) struct Tally {
    /// Nanoseconds from when each message was due to its reply; of a loop without a schedule, from
    /// when it was sent. Taken away slice by slice.
    pub(crate) latency: Histogram<u64>,
    /// Only of a loop with a schedule: from when each message was given to the kernel.
    pub(crate) service: Option<Histogram<u64>>,
    /// Only of a loop with a schedule: from when a message was due to when it was taken up.
    pub(crate) lateness: Option<Histogram<u64>>,
    /// The latest of those in this slice, in nanoseconds.
    pub(crate) lateness_max: u64,
    /// From each ping to its pong.
    pub(crate) ping: Option<Histogram<u64>>,
    /// Messages due at or after this time count for those; `u64::MAX` before the window.
    pub(crate) counts_from: u64,
    /// Messages whose reply was right.
    pub(crate) messages: u64,
    /// Messages whose reply was wrong, where the load goes on all the same.
    pub(crate) wrong: u64,
    /// The first of them, with the number of their connection.
    pub(crate) mismatches: Vec<(usize, Mismatch)>,
    /// Payload bytes of the right ones, one way.
    pub(crate) payload_bytes: u64,
    /// Bytes that were compared and found right.
    pub(crate) compared_bytes: u64,
    /// Pings the server sent, each answered.
    pub(crate) pings: u64,
    /// Pongs the server sent unasked.
    pub(crate) pongs: u64,
    /// Messages whose reply came in more than one frame.
    pub(crate) fragmented: u64,
    /// Messages whose reply came compressed.
    pub(crate) compressed: u64,
    /// What was compressed to be sent.
    pub(crate) deflated: Deflated,
}

/// Messages on both sides of a compressor.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deflated {
    payload_bytes: u64,
    compressed_bytes: u64,
}

impl Deflated {
    /// Counts one more.
    pub(crate) fn count(&mut self, payload: &[u8], compressed: &[u8]) {
        self.add(Deflated {
            payload_bytes: payload.len() as u64,
            compressed_bytes: compressed.len() as u64,
        });
    }

    /// Counts those of another thread, too.
    pub(crate) fn add(&mut self, other: Deflated) {
        self.payload_bytes += other.payload_bytes;
        self.compressed_bytes += other.compressed_bytes;
    }

    /// What a byte of payload became, in bytes; `None` if there was none.
    pub(crate) fn ratio(self) -> Option<f64> {
        let ratio = self.compressed_bytes as f64 / self.payload_bytes as f64;
        (self.payload_bytes > 0).then_some(ratio)
    }
}

impl Tally {
    /// All zero; nothing counts for latency yet.
    pub(crate) fn new() -> Tally {
        Tally {
            latency: latency_histogram(),
            service: None,
            lateness: None,
            lateness_max: 0,
            ping: None,
            counts_from: u64::MAX,
            messages: 0,
            wrong: 0,
            mismatches: Vec::new(),
            payload_bytes: 0,
            compared_bytes: 0,
            pings: 0,
            pongs: 0,
            fragmented: 0,
            compressed: 0,
            deflated: Deflated::default(),
        }
    }

    /// The same for a loop with a schedule.
    pub(crate) fn scheduled(mut self) -> Tally {
        self.service = Some(latency_histogram());
        self.lateness = Some(latency_histogram());
        self
    }

    /// Counts one message that came back right.
    pub(crate) fn answered(&mut self, due: u64, sent: u64, now: u64, payload_bytes: u64) {
        self.messages += 1;
        self.payload_bytes += payload_bytes;
        if due >= self.counts_from {
            self.latency
                .saturating_record(now.saturating_sub(due).max(1));
            if let Some(service) = &mut self.service {
                service.saturating_record(now.saturating_sub(sent).max(1));
            }
        }
    }

    /// Counts one message of connection `connection` whose reply was wrong.
    pub(crate) fn wrong(&mut self, connection: usize, describe: impl FnOnce() -> Mismatch) {
        self.wrong += 1;
        if self.mismatches.len() < DESCRIBED_MAX {
            self.mismatches.push((connection, describe()));
        }
    }

    /// Counts the answer to a ping that was sent at `sent`.
    pub(crate) fn ponged(&mut self, sent: u64, now: u64) {
        if sent >= self.counts_from {
            self.ping
                .get_or_insert_with(latency_histogram)
                .saturating_record(now.saturating_sub(sent).max(1));
        }
    }

    /// Counts that a message due at `due` was taken up now, which could have been done at `since`.
    pub(crate) fn taken_up(&mut self, due: u64, since: u64, now: u64) {
        if let Some(lateness) = &mut self.lateness
            && due >= self.counts_from
        {
            let late = now.saturating_sub(since).max(1);
            lateness.saturating_record(late);
            self.lateness_max = self.lateness_max.max(late);
        }
    }

    /// Counts `count` messages, due at `due`, that have not been answered by `now` and never will be: they
    /// took that long at least.
    pub(crate) fn given_up(&mut self, due: u64, now: u64, count: u64) {
        if due >= self.counts_from {
            self.latency
                .saturating_record_n(now.saturating_sub(due).max(1), count);
        }
    }
}

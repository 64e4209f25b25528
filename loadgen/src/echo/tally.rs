//! What one thread counted.

use hdrhistogram::Histogram;

/// Highest latency told apart from higher ones: one hour, in nanoseconds.
const LATENCY_NANOSECONDS_MAX: u64 = 3_600_000_000_000;

/// Significant decimal digits kept by latency histograms.
pub(crate) const LATENCY_DIGITS: u8 = 3;

/// An empty latency histogram: 1 ns to one hour, three significant digits.
pub(crate) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOSECONDS_MAX, LATENCY_DIGITS)
        .expect("the bounds are constants that hdrhistogram accepts")
}

/// Counters of one thread since its load began.
pub(crate) struct Tally {
    /// Latency in nanoseconds of the messages that count: sent and answered in the window.
    pub(crate) latency: Histogram<u64>,
    /// Messages sent at or after this time count for latency; `u64::MAX` before the window.
    pub(crate) latency_from_nanoseconds: u64,
    /// Messages whose reply was wholly verified.
    pub(crate) messages: u64,
    /// Payload bytes of those messages, one way.
    pub(crate) payload_bytes: u64,
    /// Pings the server sent, each answered.
    pub(crate) pings: u64,
    /// Pongs the server sent unasked.
    pub(crate) pongs: u64,
    /// Messages whose reply came in more than one frame.
    pub(crate) fragmented: u64,
}

impl Tally {
    /// All zero; nothing counts for latency yet.
    pub(crate) fn new() -> Tally {
        Tally {
            latency: latency_histogram(),
            latency_from_nanoseconds: u64::MAX,
            messages: 0,
            payload_bytes: 0,
            pings: 0,
            pongs: 0,
            fragmented: 0,
        }
    }

    /// Counts one verified message.
    pub(crate) fn answered(&mut self, sent: u64, now: u64, payload_bytes: u64) {
        self.messages += 1;
        self.payload_bytes += payload_bytes;
        if sent >= self.latency_from_nanoseconds {
            self.latency
                .saturating_record(now.saturating_sub(sent).max(1));
        }
    }
}

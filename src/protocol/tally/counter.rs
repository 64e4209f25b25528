//! A number that one worker writes, and how long things took.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::table::{Counted, Sample, Value};

/// A number that only its own worker changes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`. Only the owning worker may call this.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// Takes `count` away, of a number of what is there now. Only the owning worker may call this.
    #[inline]
    pub fn sub(&self, count: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_sub(count), Relaxed);
    }

    /// The value now, or a moment ago.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counted for Counter {
    const LABELS: &'static [&'static str] = &[];

    fn samples(&self) -> Vec<Sample> {
        vec![Sample::new([], Value::Whole(self.get()))]
    }
}

/// The longest of some spans of time.
#[derive(Debug, Default)]
pub struct Peak(Counter);

impl Peak {
    /// Takes note of a span. Only the owning worker may call this.
    pub fn note(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        if nanos > self.0.get() {
            self.0.0.store(nanos, Relaxed);
        }
    }

    /// The longest so far.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.get())
    }
}

impl Counted for Peak {
    const LABELS: &'static [&'static str] = &[];

    fn samples(&self) -> Vec<Sample> {
        vec![Sample::new([], Value::Real(self.get().as_secs_f64()))]
    }
}

/// Into how many buckets durations are sorted, those above the last bound included.
pub const DURATION_BUCKETS: usize = 16;

/// The bound of the first bucket, in nanoseconds; each of the others is four times the one before it, up to 4.5
/// minutes.
const FIRST_BOUND_NANOS: u64 = 1_000;

/// How long things took.
#[derive(Debug, Default)]
pub struct Durations {
    counts: [Counter; DURATION_BUCKETS],
    sum_nanos: Counter,
}

impl Durations {
    /// Takes note of a span. Only the owning worker may call this.
    pub fn note(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let bucket = (0..DURATION_BUCKETS - 1).find(|bucket| nanos <= bound_nanos(*bucket));
        self.counts[bucket.unwrap_or(DURATION_BUCKETS - 1)].add(1);
        self.sum_nanos.add(nanos);
    }
}

fn bound_nanos(bucket: usize) -> u64 {
    FIRST_BOUND_NANOS << (2 * bucket)
}

impl Counted for Durations {
    const LABELS: &'static [&'static str] = &[];

    fn samples(&self) -> Vec<Sample> {
        let bound = |bucket: usize| {
            if bucket == DURATION_BUCKETS - 1 {
                f64::INFINITY
            } else {
                bound_nanos(bucket) as f64 / 1e9
            }
        };
        let counts = self.counts.iter().enumerate();
        let histogram = Value::Histogram {
            buckets: counts
                .map(|(bucket, count)| (bound(bucket), count.get()))
                .collect(),
            sum: self.sum_nanos.get() as f64 / 1e9,
        };
        vec![Sample {
            labels: Vec::<Cow<'static, str>>::new(),
            value: histogram,
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_counted_once_in_the_least_bucket_that_takes_it() {
        let durations = Durations::default();
        let spans = [0, 1_000, 1_001, 4_000, 10_000_000, u64::MAX];
        for nanos in spans {
            durations.note(Duration::from_nanos(nanos));
        }
        let samples = durations.samples();
        let Value::Histogram { buckets, .. } = &samples[0].value else {
            panic!("a histogram");
        };
        assert_eq!(buckets[0], (1e-6, 2));
        assert_eq!(buckets[1], (4e-6, 2));
        assert_eq!(buckets[DURATION_BUCKETS - 1], (f64::INFINITY, 1));
        let count: u64 = buckets.iter().map(|(_, count)| count).sum();
        assert_eq!(count, spans.len() as u64);
    }
}

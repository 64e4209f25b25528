//! A distribution of times, as every document holds it.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::output::histogram;

/// A distribution of nanoseconds: its summary, and the histogram that it sums up.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Latency {
    /// Values recorded.
    pub count: u64,
    pub min_ns: u64,
    pub mean_ns: f64,
    pub stdev_ns: f64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p99_9_ns: u64,
    pub p99_99_ns: u64,
    pub max_ns: u64,
    /// HDR histogram of nanoseconds: V2, deflated, base64.
    pub histogram_v2_deflate_base64: String,
}

impl Latency {
    /// Sums up a histogram of nanoseconds.
    pub fn of(latency: &Histogram<u64>) -> Latency {
        Latency {
            count: latency.len(),
            min_ns: latency.min(),
            mean_ns: latency.mean(),
            stdev_ns: latency.stdev(),
            p50_ns: latency.value_at_quantile(0.5),
            p90_ns: latency.value_at_quantile(0.9),
            p99_ns: latency.value_at_quantile(0.99),
            p99_9_ns: latency.value_at_quantile(0.999),
            p99_99_ns: latency.value_at_quantile(0.9999),
            max_ns: latency.max(),
            histogram_v2_deflate_base64: histogram::encode(latency),
        }
    }

    /// The histogram that was summed up. The error says what is wrong with its text.
    pub fn histogram(&self) -> anyhow::Result<Histogram<u64>> {
        histogram::decode(&self.histogram_v2_deflate_base64)
    }
}

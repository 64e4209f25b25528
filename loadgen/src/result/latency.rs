//! A distribution of times, as every document holds it.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The field that has the histogram: HDR, version 2, deflated, in base64.
pub const HISTOGRAM: &str = "histogram_v2_deflate_base64";

/// A distribution of nanoseconds: its summary, and the histogram that it sums up.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
            histogram_v2_deflate_base64: encode(latency),
        }
    }

    /// The histogram that was summed up. The error says what is wrong with its text.
    pub fn histogram(&self) -> anyhow::Result<Histogram<u64>> {
        decode(&self.histogram_v2_deflate_base64)
    }
}

/// The histogram as HDR V2, deflated, in base64: one entry of an HDR log, `HISTFAAA...`.
pub(crate) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a vector takes any number of bytes");
    STANDARD.encode(bytes)
}

/// The histogram that [`encode`] wrote. The error says what is wrong with the text.
pub(crate) fn decode(text: &str) -> anyhow::Result<Histogram<u64>> {
    let bytes = STANDARD
        .decode(text)
        .context("a histogram is not written in base64")?;
    Deserializer::new()
        .deserialize(&mut &bytes[..])
        .context("a histogram is not HDR V2")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;

    #[test]
    fn what_is_encoded_can_be_read_back() {
        let mut histogram = latency_histogram();
        (1..1000).for_each(|value| histogram.saturating_record(value * 1000));
        let text = encode(&histogram);
        assert!(text.starts_with("HISTFAAA"), "{text}");
        assert_eq!(decode(&text).unwrap(), histogram);
        assert!(decode("HISTFAAA").is_err() && decode("?").is_err());
    }
}

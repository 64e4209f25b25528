//! What the conductor has told so far.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::quantity::{grouped, time};
use crate::result::figures::Slice;

/// Quantiles that are shown, before the highest value.
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// Upper bounds of the latencies' buckets; above them is one more.
pub(super) const BOUNDS: usize = 19;

/// In nanoseconds: 10 µs, 20 µs, 50 µs, 100 µs and so on, to 10 s.
pub(super) fn bound_ns(index: usize) -> u64 {
    [10_000, 20_000, 50_000][index % 3] * 10u64.pow(index as u32 / 3)
}

/// How far it is, and what the slices came to.
#[derive(Clone, Default)]
pub(super) struct Seen {
    pub(super) stage: &'static str,
    /// What there is to say of the stage.
    pub(super) message: String,
    began: Option<Instant>,
    /// How long the stage takes, as far as one can tell.
    whole_seconds: Option<f64>,
    pub(super) connected: usize,
    /// Those that are over.
    pub(super) slices: Vec<Slice>,
    /// Seconds into the window; p50, p99, p99.9 and the highest latency in nanoseconds by then.
    pub(super) latencies: Vec<(f64, [u64; 4])>,
    pub(super) buckets: [u64; BOUNDS + 1],
    pub(super) latency_sum_ns: u64,
    /// The latest that the generator itself was in the latest slice.
    pub(super) send_lag_ns: u64,
}

impl Seen {
    /// `share` of a stage is over.
    pub(super) fn stage(&mut self, stage: &'static str, share: f64) {
        if stage != self.stage {
            (self.stage, self.began) = (stage, Some(Instant::now()));
        }
        let over = self.began.map(|began| began.elapsed().as_secs_f64());
        let over = over.filter(|_| share > 0.0);
        self.whole_seconds = over.map(|over| over / share.min(1.0));
    }

    /// How much of the stage is over by `now`, and how many seconds are left, as far as one can tell.
    pub(super) fn progress(&self, now: Instant) -> (f64, Option<f64>) {
        let Some((began, whole)) = self.began.zip(self.whole_seconds) else {
            return (0.0, None);
        };
        let over = now.saturating_duration_since(began).as_secs_f64();
        let share = (over / whole.max(1e-9)).min(1.0);
        (share, Some((whole - over).max(0.0)))
    }

    /// A slice more is over: the last of `slices`. `latency` is of the one before.
    pub(super) fn add(&mut self, slices: &[Slice], latency: &Histogram<u64>, send_lag_ns: u64) {
        slices.clone_into(&mut self.slices);
        self.send_lag_ns = send_lag_ns;
        if !latency.is_empty() {
            let [p50, p99, p99_9] = QUANTILES.map(|quantile| latency.value_at_quantile(quantile));
            let until = self.before().until_seconds;
            self.latencies
                .push((until, [p50, p99, p99_9, latency.max()]));
        }
        for value in latency.iter_recorded() {
            let count = value.count_since_last_iteration();
            let value = value.value_iterated_to();
            let bucket = (0..BOUNDS).find(|index| value <= bound_ns(*index));
            self.buckets[bucket.unwrap_or(BOUNDS)] += count;
            let sum = value.saturating_mul(count);
            self.latency_sum_ns = self.latency_sum_ns.saturating_add(sum);
        }
    }

    /// The latest slice; one of nothing before there is one.
    fn latest(&self) -> Slice {
        self.slices.last().cloned().unwrap_or_default()
    }

    /// The slice before the latest: the load threads tell of one after its end.
    pub(super) fn before(&self) -> Slice {
        self.slices.iter().rev().nth(1).cloned().unwrap_or_default()
    }

    /// Messages, or sessions, per second of each slice.
    pub(super) fn rates(&self) -> Vec<u64> {
        let rate = |slice: &Slice| (slice.completed as f64 / slice.seconds.max(1e-9)).round();
        self.slices.iter().map(|slice| rate(slice) as u64).collect()
    }

    /// What the schedule asked for per second of the latest slice; `None` without a schedule.
    pub(super) fn offered(&self) -> Option<f64> {
        let latest = self.latest();
        Some(latest.offered? / latest.seconds.max(1e-9))
    }

    /// A rate, and what was asked for.
    pub(super) fn of_offered(&self, rate: &str) -> String {
        let offered = self.offered().map(|it| grouped(it.round() as u64));
        offered.map_or_else(
            || format!("{rate}/s"),
            |offered| format!("{rate}/s of {offered}/s"),
        )
    }

    /// The latest slice, in a line.
    pub(super) fn in_a_line(&self, [wrong, errors]: [u64; 2]) -> String {
        let rate = self.rates().last().copied().unwrap_or_default();
        let mut text = self.of_offered(&grouped(rate));
        if let Some((_, [p50, p99, _, max])) = self.latencies.last() {
            let [p50, p99, max] = [p50, p99, max].map(|value| time(*value as f64));
            text += &format!(", p50 {p50}, p99 {p99}, max {max}");
        }
        for (count, what) in [(wrong, "wrong replies"), (errors, "errors")] {
            if count > 0 {
                text += &format!(", {} {what}", grouped(count));
            }
        }
        if self.offered().is_some() {
            text += &format!(", backlog {}", grouped(self.before().backlog));
        }
        text + ", CPU " + &self.cpus()
    }

    /// CPU time of both sides in the latest slice.
    pub(super) fn cpus(&self) -> String {
        let latest = self.latest();
        let percent = |cpu_ns: u64| cpu_ns as f64 / latest.seconds.max(1e-9) / 1e7;
        let mut text = format!("generator {:.0} %", percent(latest.generator_cpu_ns));
        if let Some(server) = latest.server_cpu_ns {
            text += &format!(", server {:.0} %", percent(server));
        }
        text
    }
}

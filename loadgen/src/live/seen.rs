//! What the conductor has told so far.

use std::time::Instant;

use hdrhistogram::Histogram;

use super::{MEASURING, Picture};
use crate::quantity::{grouped, time};

/// Quantiles that are shown, before the highest value.
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// Upper bounds of the latencies' buckets in nanoseconds; above them is one more.
pub(super) const BOUNDS_NS: [u64; 19] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// How far it is, and what the slices came to.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) stage: &'static str,
    /// When the stage began, and how much of it is over.
    began: Instant,
    told: Instant,
    share: f64,
    pub(super) connected: usize,
    /// What the connections that are being made wait for.
    pub(super) connecting: String,
    /// Completed per second, slice by slice.
    pub(super) rates: Vec<u64>,
    /// Seconds into the window; p50, p99, p99.9 and the highest latency in nanoseconds by then.
    pub(super) latencies: Vec<(f64, [u64; 4])>,
    /// Of the latest slice: offered per second, and CPU time in percent of one CPU.
    pub(super) offered: Option<f64>,
    pub(super) generator_percent: f64,
    pub(super) server_percent: Option<f64>,
    pub(super) send_lag_ns: u64,
    pub(super) backlog: u64,
    pub(super) in_flight: u64,
    /// Since the window opened.
    seconds: f64,
    pub(super) generator_cpu_ns: u64,
    pub(super) server_cpu_ns: Option<u64>,
    pub(super) buckets: [u64; BOUNDS_NS.len() + 1],
    pub(super) latency_sum_ns: u64,
}

impl Seen {
    /// Nothing yet.
    pub(super) fn new() -> Seen {
        let now = Instant::now();
        Seen {
            stage: "",
            began: now,
            told: now,
            share: 0.0,
            connected: 0,
            connecting: String::new(),
            rates: Vec::new(),
            latencies: Vec::new(),
            offered: None,
            generator_percent: 0.0,
            server_percent: None,
            send_lag_ns: 0,
            backlog: 0,
            in_flight: 0,
            seconds: 0.0,
            generator_cpu_ns: 0,
            server_cpu_ns: None,
            buckets: [0; BOUNDS_NS.len() + 1],
            latency_sum_ns: 0,
        }
    }

    /// `share` of a stage is over.
    pub(super) fn stage(&mut self, stage: &'static str, share: f64) {
        self.told = Instant::now();
        if stage != self.stage {
            (self.stage, self.began) = (stage, self.told);
        }
        self.share = share.clamp(0.0, 1.0);
    }

    /// How much of the stage is over by `now`, and how many seconds are left, as far as one can tell.
    pub(super) fn progress(&self, now: Instant) -> (f64, Option<f64>) {
        if self.share <= 0.0 {
            return (0.0, None);
        }
        let whole = self.told.duration_since(self.began).as_secs_f64() / self.share;
        let over = now.saturating_duration_since(self.began).as_secs_f64();
        let share = (over / whole.max(1e-9)).min(1.0);
        (share, Some((whole - over).max(0.0)))
    }

    /// A slice is over; for `buckets`, its latencies are counted as well.
    pub(super) fn add(&mut self, picture: &Picture<'_>, send_lag_ns: u64, buckets: bool) {
        self.stage(MEASURING, picture.share);
        let seconds = picture.seconds.max(1e-9);
        let percent = |cpu_ns: u64| cpu_ns as f64 / seconds / 1e7;
        self.rates
            .push((picture.completed as f64 / seconds).round() as u64);
        self.offered = picture.offered.map(|offered| offered / seconds);
        self.generator_percent = percent(picture.generator_cpu_ns);
        self.server_percent = picture.server_cpu_ns.map(percent);
        self.generator_cpu_ns += picture.generator_cpu_ns;
        if let Some(cpu_ns) = picture.server_cpu_ns {
            *self.server_cpu_ns.get_or_insert(0) += cpu_ns;
        }
        self.send_lag_ns = send_lag_ns;
        (self.backlog, self.in_flight) = (picture.backlog, picture.in_flight);
        let latency = picture.latency;
        if !latency.is_empty() {
            let [p50, p99, p99_9] = QUANTILES.map(|quantile| latency.value_at_quantile(quantile));
            let values = [p50, p99, p99_9, latency.max()];
            self.latencies.push((self.seconds, values));
        }
        self.seconds += picture.seconds;
        if buckets {
            self.count(latency);
        }
    }

    fn count(&mut self, latency: &Histogram<u64>) {
        for value in latency.iter_recorded() {
            let (bound, count) = (
                value.value_iterated_to(),
                value.count_since_last_iteration(),
            );
            self.buckets[BOUNDS_NS.partition_point(|it| *it < bound)] += count;
            self.latency_sum_ns = self
                .latency_sum_ns
                .saturating_add(bound.saturating_mul(count));
        }
    }

    /// The latest slice, in a line.
    pub(super) fn in_a_line(&self, [wrong, errors]: [u64; 2]) -> String {
        let rate = self.rates.last().copied().unwrap_or_default();
        let mut text = format!("{}/s", grouped(rate));
        if let Some(offered) = self.offered {
            text += &format!(" of {}/s", grouped(offered.round() as u64));
        }
        if let Some((_, [p50, p99, _, max])) = self.latencies.last() {
            let [p50, p99, max] = [p50, p99, max].map(|value| time(*value as f64));
            text += &format!(", p50 {p50}, p99 {p99}, max {max}");
        }
        for (count, what) in [(wrong, "wrong replies"), (errors, "errors")] {
            if count > 0 {
                text += &format!(", {} {what}", grouped(count));
            }
        }
        if self.offered.is_some() {
            text += &format!(", backlog {}", grouped(self.backlog));
        }
        text + ", CPU " + &self.cpus()
    }

    /// CPU time of both sides.
    pub(super) fn cpus(&self) -> String {
        let mut text = format!("generator {:.0} %", self.generator_percent);
        if let Some(server) = self.server_percent {
            text += &format!(", server {server:.0} %");
        }
        text
    }
}

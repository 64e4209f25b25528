//! The window in slices: what is read at each edge, and what the load threads hand over.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;

use crate::control::Control;
use crate::echo::tally::latency_histogram;
use crate::observe::others::Others;
use crate::output::hdr_log::HdrLog;
use crate::result::figures::Slice;
use crate::run::window::{Observed, Snapshot, Window, others_between};
use crate::schedule::Timeline;

/// Slices of a short window, and the length of those of a longer one.
const SLICES: u32 = 10;
const SLICE: Duration = Duration::from_secs(1);

/// Shortest slice: a look at the kernel's accounts costs a part of a millisecond.
const SLICE_MIN: Duration = Duration::from_millis(20);

/// Most slices of a window, so that a result stays small however long it took.
const SLICES_MAX: u32 = 600;

/// Longest time that an edge of the window may take to read, and how often to try.
const SNAPSHOT_NS_MAX: u64 = 2_000_000;
const SNAPSHOT_TRIES: usize = 5;

/// Reads everything in one go: once more if this thread had to wait for a CPU in between.
fn snapshot(control: &Control, observed: &Observed) -> Snapshot {
    let mut tries = 1;
    loop {
        let before = control.clock.now();
        let snapshot = Snapshot::take(control, observed);
        if control.clock.now() - before <= SNAPSHOT_NS_MAX || tries == SNAPSHOT_TRIES {
            return snapshot;
        }
        tries += 1;
    }
}

/// How long the slices of a window are.
pub(crate) fn slice_length(window: Duration) -> Duration {
    (window / SLICES)
        .clamp(SLICE_MIN, SLICE)
        .max(window / SLICES_MAX)
}

/// What is known of the window so far.
pub(crate) struct Series<'a> {
    control: &'a Control,
    observed: &'a Observed,
    timeline: Option<&'a Timeline>,
    /// At the window's opening, and at the end of each slice.
    edges: Vec<Snapshot>,
    slices: Vec<Slice>,
    /// A row for each slice, if somebody asked for a log; or why it could not be written.
    log: anyhow::Result<Option<HdrLog>>,
    /// Latencies in nanoseconds of all slices that were handed over.
    pub(crate) latency: Histogram<u64>,
    /// Those that belong to no slice.
    rest: Histogram<u64>,
    /// Those of the last slice.
    pub(crate) latest: Histogram<u64>,
}

impl<'a> Series<'a> {
    /// Opens the window.
    pub(crate) fn open(
        control: &'a Control,
        observed: &'a Observed,
        timeline: Option<&'a Timeline>,
        log: Option<&Path>,
    ) -> Series<'a> {
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64();
        let log = log.map(|path| HdrLog::create(path, now)).transpose();
        let from = snapshot(control, observed);
        control.open_window(from.at);
        Series {
            control,
            observed,
            timeline,
            edges: vec![from],
            slices: Vec::new(),
            log,
            latency: latency_histogram(),
            rest: latency_histogram(),
            latest: latency_histogram(),
        }
    }

    /// Ends a slice. The threads hand over their part of it at their next turn.
    pub(super) fn end_slice(&mut self) {
        let edge = Snapshot::glance(self.control, self.observed);
        self.add_slice(edge);
    }

    fn add_slice(&mut self, edge: Snapshot) {
        self.collect();
        self.control.next_slice();
        let (first, last) = (&self.edges[0], &self.edges[self.edges.len() - 1]);
        let slice = Window::between(self.control, last, &edge);
        self.slices.push(Slice {
            until_seconds: (edge.at - first.at) as f64 / 1e9,
            seconds: slice.seconds,
            completed: slice.messages,
            offered: self.offered(last.at, edge.at),
            generator_cpu_ns: slice.generator.iter().map(|task| task.cpu_ns).sum(),
            server_cpu_ns: slice.server_cpu_ns,
            ..Slice::default()
        });
        self.edges.push(edge);
    }

    /// Closes the window at the end of the last slice.
    pub(crate) fn close(&mut self) {
        self.add_slice(snapshot(self.control, self.observed));
        self.control
            .close_window(self.edges[self.edges.len() - 1].at);
    }

    /// Takes what the threads have handed over of the last slice.
    pub(crate) fn collect(&mut self) {
        let slice = &mut self.latest;
        slice.reset();
        let (mut backlog, mut in_flight) = (0, 0);
        for line in &self.control.lines {
            let Ok(mut handed) = line.handed.lock() else {
                continue;
            };
            backlog += handed.backlog;
            in_flight += handed.in_flight;
            if slice.is_empty() {
                std::mem::swap(slice, &mut handed.latency);
            } else {
                // All histograms have the same bounds, so adding cannot fail.
                let _ = slice.add(&handed.latency);
                handed.latency.reset();
            }
        }
        let _ = self.latency.add(&*slice);
        if let Some(last) = self.slices.last_mut() {
            last.backlog = backlog;
            last.in_flight = in_flight;
            if let Ok(Some(log)) = &mut self.log {
                let start = last.until_seconds - last.seconds;
                if let Err(error) = log.append(start, last.seconds, slice) {
                    self.log = Err(error);
                }
            }
            if !slice.is_empty() {
                last.p50_ns = slice.value_at_quantile(0.5);
                last.p99_ns = slice.value_at_quantile(0.99);
                last.max_ns = slice.max();
            }
        }
    }

    /// Counts latencies that belong to no slice: those of messages answered after the window.
    pub(crate) fn add(&mut self, latency: &Histogram<u64>) {
        let _ = self.latency.add(latency);
        let _ = self.rest.add(latency);
    }

    /// Ends the log with a row for what belongs to no slice: messages that were answered, or given up,
    /// after the window. The error is that of any row.
    pub(crate) fn finish_log(&mut self) -> anyhow::Result<()> {
        let Some(mut log) = std::mem::replace(&mut self.log, Ok(None))? else {
            return Ok(());
        };
        let (first, last) = (self.edges[0].at, self.edges[self.edges.len() - 1].at);
        if !self.rest.is_empty() {
            let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
            let length = seconds(self.control.clock.now() - last);
            log.append(seconds(last - first), length, &self.rest)?;
        }
        log.finish()
    }

    /// The whole window so far.
    pub(crate) fn window(&self) -> Window {
        let last = &self.edges[self.edges.len() - 1];
        Window::between(self.control, &self.edges[0], last)
    }

    /// What others used of `cpus` in the window so far.
    pub(crate) fn others(&self, cpus: &BTreeSet<usize>) -> Option<Others> {
        let last = &self.edges[self.edges.len() - 1];
        others_between(self.observed, cpus, &self.edges[0], last)
    }

    /// Messages per second that the schedule asked for in the window so far.
    pub(crate) fn offered_per_second(&self) -> Option<f64> {
        let (from, to) = (self.edges[0].at, self.edges[self.edges.len() - 1].at);
        let seconds = (to - from) as f64 / 1e9;
        self.offered(from, to).map(|offered| match seconds > 0.0 {
            true => offered / seconds,
            false => 0.0,
        })
    }

    /// When the window opened, in seconds since 1970.
    pub(crate) fn start_unix_seconds(&self) -> f64 {
        self.edges[0].unix_seconds
    }

    /// The slices so far.
    pub(crate) fn slices(&self) -> &[Slice] {
        &self.slices
    }

    fn offered(&self, from: u64, to: u64) -> Option<f64> {
        let timeline = self.timeline?;
        let start = self.control.load_start();
        let due_by = |at: u64| timeline.due_by(at.saturating_sub(start));
        Some(due_by(to) - due_by(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_few_and_not_too_short() {
        let length = |seconds: f64| slice_length(Duration::from_secs_f64(seconds)).as_secs_f64();
        assert!((length(0.05) - 0.02).abs() < 1e-9);
        assert!((length(5.0) - 0.5).abs() < 1e-9);
        assert!((length(60.0) - 1.0).abs() < 1e-9);
        assert!((length(3600.0) - 6.0).abs() < 1e-9);
    }
}

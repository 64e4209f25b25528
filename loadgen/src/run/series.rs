//! The window in slices: what is read at each edge, and what the load threads hand over.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::unix_seconds;
use super::window::{Observed, Snapshot, Window};
use crate::control::{Control, pour};
use crate::echo::tally::latency_histogram;
use crate::output::hdr_log::HdrLog;
use crate::result::figures::Slice;
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
    pub(super) observed: &'a Observed,
    timeline: Option<&'a Timeline>,
    /// In seconds since 1970.
    pub(super) opened_unix_seconds: f64,
    /// At the window's opening, and at the end of the last slice.
    pub(super) first: Snapshot,
    pub(super) last: Snapshot,
    pub(super) slices: Vec<Slice>,
    /// A row for each slice, if somebody asked for a log; or why it could not be written.
    log: anyhow::Result<Option<HdrLog>>,
    /// Latencies in nanoseconds of all slices that were handed over.
    pub(crate) latency: Histogram<u64>,
    /// Those that belong to no slice.
    rest: Histogram<u64>,
    /// Those of the last slice.
    pub(super) latest: Histogram<u64>,
}

impl<'a> Series<'a> {
    /// Opens the window.
    pub(super) fn open(
        control: &'a Control,
        observed: &'a Observed,
        timeline: Option<&'a Timeline>,
        log: Option<&Path>,
    ) -> Series<'a> {
        let log = log
            .map(|path| HdrLog::create(path, unix_seconds()))
            .transpose();
        let first = snapshot(control, observed);
        control.open_window(first.at);
        Series {
            control,
            observed,
            timeline,
            opened_unix_seconds: unix_seconds(),
            last: first.clone(),
            first,
            slices: Vec::new(),
            log,
            latency: latency_histogram(),
            rest: latency_histogram(),
            latest: latency_histogram(),
        }
    }

    /// Ends a slice. The threads hand over their part of it at their next turn.
    pub(super) fn end_slice(&mut self) {
        self.add_slice(Snapshot::glance(self.control, self.observed));
    }

    /// Closes the window at the end of the last slice.
    pub(super) fn close(&mut self) {
        self.add_slice(snapshot(self.control, self.observed));
        self.control.close_window(self.last.at);
    }

    fn add_slice(&mut self, edge: Snapshot) {
        self.collect();
        self.control.next_slice();
        let slice = Window::between(self.control, &self.last, &edge);
        self.slices.push(Slice {
            until_seconds: seconds(edge.at - self.first.at),
            seconds: slice.seconds,
            completed: slice.messages,
            offered: self.offered(self.last.at, edge.at),
            generator_cpu_ns: slice.generator_cpu_ns(),
            server_cpu_ns: slice.server_cpu_ns,
            ..Slice::default()
        });
        self.last = edge;
    }

    /// Takes what the threads have handed over of the last slice.
    pub(super) fn collect(&mut self) {
        let slice = &mut self.latest;
        slice.reset();
        let (mut backlog, mut in_flight) = (0, 0);
        for line in &self.control.lines {
            let Ok(mut handed) = line.handed.lock() else {
                continue;
            };
            backlog += handed.backlog;
            in_flight += handed.in_flight;
            pour(&mut handed.latency, slice);
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
        let (first, last) = (self.first.at, self.last.at);
        if !self.rest.is_empty() {
            let length = seconds(self.control.clock.now() - last);
            log.append(seconds(last - first), length, &self.rest)?;
        }
        log.finish()
    }

    /// The whole window so far.
    pub(crate) fn window(&self) -> Window {
        Window::between(self.control, &self.first, &self.last)
    }

    /// Whether a process of the server's ended before the window did.
    pub(super) fn has_lost_server(&self) -> bool {
        !self.observed.server_pids.is_empty() && self.window().server.is_none()
    }

    /// How many the schedule asked for in the window so far.
    pub(super) fn due(&self) -> Option<f64> {
        self.offered(self.first.at, self.last.at)
    }

    fn offered(&self, from: u64, to: u64) -> Option<f64> {
        let timeline = self.timeline?;
        let start = self.control.load_start();
        let due_by = |at: u64| timeline.due_by(at.saturating_sub(start));
        Some(due_by(to) - due_by(from))
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
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

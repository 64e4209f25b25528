//! What the conductor tells those who watch.

use super::series::Series;
use crate::live::Picture;

impl Series<'_> {
    /// The slice that has just ended, `share` of the window being over.
    pub(super) fn picture(&self, share: f64) -> Picture<'_> {
        let slices = self.slices();
        let before = slices.iter().rev().nth(1);
        let last = slices.last();
        Picture {
            share,
            seconds: last.map_or(0.0, |slice| slice.seconds),
            completed: last.map_or(0, |slice| slice.completed),
            offered: last.and_then(|slice| slice.offered),
            generator_cpu_ns: last.map_or(0, |slice| slice.generator_cpu_ns),
            server_cpu_ns: last.and_then(|slice| slice.server_cpu_ns),
            latency: &self.latest,
            backlog: before.map_or(0, |slice| slice.backlog),
            in_flight: before.map_or(0, |slice| slice.in_flight),
        }
    }
}

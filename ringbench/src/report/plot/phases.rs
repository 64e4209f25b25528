//! Phases of a storm: for each server a line from the median to the 99th percentile of each phase.

use maud::html;

use super::axis::Axis;
use super::{BASELINE, Look, MARGIN, Plot, WIDTH, cut, legend, legend_height, px, room, tick_ns};

const ROW: f64 = 34.0;

/// Between the lines of a server.
const APART: f64 = 9.0;

/// Above the rows, and below them.
const TOP: f64 = 6.0;
const BELOW: f64 = 48.0;

/// One phase, over all servers.
pub(in crate::report) struct Stretch {
    pub(in crate::report) name: &'static str,
    /// Median and 99th percentile in nanoseconds by server, where there is one.
    pub(in crate::report) p50_p99_ns: Vec<Option<(f64, f64)>>,
}

/// Draws the phases of the servers `labels`, the first on top, on a logarithmic axis.
pub(in crate::report) fn phases(
    title: &str,
    labels: &[String],
    stretches: &[Stretch],
) -> Option<Plot> {
    let times = || {
        stretches
            .iter()
            .flat_map(|stretch| stretch.p50_p99_ns.iter().flatten())
    };
    times().next()?;
    let least = times().map(|(p50, _)| *p50).fold(f64::MAX, f64::min);
    let most = times().map(|(_, p99)| *p99).fold(1.0, f64::max);
    let left = 2.0 * MARGIN + room(labels.iter().map(|label| cut(label)));
    let across = Axis::logarithmic((least.max(1.0), most * 1.2), (left, WIDTH - 2.0 * MARGIN));
    let bottom = TOP + ROW * labels.len() as f64;
    let middle = |row: usize| TOP + ROW * (row as f64 + 0.5);
    let entries: Vec<(Look, &str)> = stretches
        .iter()
        .enumerate()
        .map(|(at, stretch)| (Look::of(at), stretch.name))
        .collect();
    let body = html! {
        (across.below((TOP, bottom), "from p50 to p99", tick_ns))
        @for (row, label) in labels.iter().enumerate() {
            text x=(px(left - MARGIN)) y=(px(middle(row) + BASELINE)) text-anchor="end" { (cut(label)) }
        }
        @for (at, stretch) in stretches.iter().enumerate() {
            @for (row, times) in stretch.p50_p99_ns.iter().enumerate() {
                @if let Some((p50, p99)) = times {
                    @let y = middle(row) + APART * (at as f64 - 1.0);
                    line x1=(px(across.at(p50.max(1.0)))) x2=(px(across.at(p99.max(1.0)))) y1=(px(y)) y2=(px(y))
                        stroke=(Look::of(at).color()) stroke-width="2" {}
                    (Look::of(at).mark(across.at(p50.max(1.0)), y, stretch.name))
                }
            }
        }
        (legend(&entries, bottom + BELOW + 6.0))
    };
    Some(Plot {
        title: title.to_owned(),
        height: bottom + BELOW + legend_height(entries.len()),
        body,
    })
}

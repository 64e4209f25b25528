//! Phases of a storm: for each server a line from the median to the 99th percentile of each phase.

use std::sync::Arc;

use kuva::plot::{MarkerShape, ScatterPlot};
use kuva::prelude::{Layout, LinePlot, Plot as Series, TickFormat};

use super::{Plot, draw, label, tick_ns};

const ROW: f64 = 34.0;
const FRAME: f64 = 112.0;

/// One phase, over all servers.
pub(in crate::report) struct Stretch {
    pub(in crate::report) name: &'static str,
    /// Median and 99th percentile in nanoseconds by server, where there is one.
    pub(in crate::report) p50_p99_ns: Vec<Option<(f64, f64)>>,
}

/// Draws the phases of the servers `labels`, the first on top, on a logarithmic axis.
pub(in crate::report) fn phases(
    name: &str,
    title: &str,
    labels: &[String],
    stretches: &[Stretch],
) -> Option<Plot> {
    let markers = [
        MarkerShape::Circle,
        MarkerShape::Square,
        MarkerShape::Triangle,
    ];
    let mut series: Vec<Series> = Vec::new();
    let mut right: f64 = 1.0;
    for (at, stretch) in stretches.iter().enumerate() {
        let color = format!("var(--s{})", [1, 2, 3][at % 3]);
        // Three lines a row, the first phase on top.
        let apart = 0.25 - 0.25 * at as f64;
        let mut medians = Vec::new();
        for (row, times) in stretch.p50_p99_ns.iter().enumerate() {
            let Some((p50, p99)) = times else { continue };
            let y = labels.len() as f64 - row as f64 + apart;
            medians.push((p50.max(1.0), y));
            right = right.max(*p99);
            let line = vec![(p50.max(1.0), y), (p99.max(1.0), y)];
            let line = LinePlot::new().with_data(line).with_color(color.clone());
            series.push(line.with_stroke_width(2.0).into());
        }
        if medians.is_empty() {
            continue;
        }
        series.push(
            ScatterPlot::new()
                .with_data(medians)
                .with_color(color)
                .with_marker(markers[at % 3])
                .with_size(4.5)
                .with_legend(stretch.name)
                .into(),
        );
    }
    if series.is_empty() {
        return None;
    }
    let layout = Layout::auto_from_plots(&series)
        .with_log_x()
        .with_x_axis_max(right * 1.5)
        .with_y_categories(labels.iter().rev().map(|text| label(text, 26)).collect())
        .with_y_axis_min(0.4)
        .with_y_axis_max(labels.len() as f64 + 0.6)
        .with_x_label("from p50 to p99")
        .with_x_tick_format(TickFormat::Custom(Arc::new(decade)))
        .with_legend_position(kuva::plot::LegendPosition::OutsideBottomColumns);
    Some(draw(
        name,
        title,
        series,
        layout,
        FRAME + ROW * labels.len() as f64,
    ))
}

/// Labels powers of ten only: there is no room for those between.
fn decade(ns: f64) -> String {
    let exponent = ns.log10();
    match (exponent - exponent.round()).abs() < 1e-6 {
        true => tick_ns(ns),
        false => String::new(),
    }
}

//! Curves: latency by percentile, and latency by offered rate.

use std::sync::Arc;

use hdrhistogram::Histogram;
use kuva::plot::{LinePlot, MarkerShape, ScatterPlot};
use kuva::prelude::{Layout, Plot as Series, TickFormat};

use super::{Look, Plot, draw, label, tick_count, tick_ns};
use crate::report::documents::Knee;

const HEIGHT: f64 = 330.0;

/// Points per halving of the distance to 100 %.
const POINTS_PER_HALF: u32 = 3;

/// A percentile is drawn if so many values lie beyond it.
const VALUES_BEYOND_MIN: u64 = 10;

/// Percentiles that get a mark, as 1/(1-p).
const MARKED: [f64; 5] = [2.0, 10.0, 100.0, 1_000.0, 10_000.0];

/// One server's curve.
pub(in crate::report) struct Curve<'a, T: ?Sized> {
    pub(in crate::report) label: &'a str,
    pub(in crate::report) look: Look,
    pub(in crate::report) of: &'a T,
}

/// Latency by percentile, with a logarithmic distance to 100 %: each nine as wide as the one before.
pub(in crate::report) fn spectrum(
    name: &str,
    title: &str,
    curves: &[Curve<'_, Histogram<u64>>],
    with_legend: bool,
) -> Option<Plot> {
    let mut series: Vec<Series> = Vec::new();
    let mut right: f64 = 100.0;
    for curve in curves {
        let points = quantiles(curve.of);
        let Some(last) = points.last() else { continue };
        right = right.max(last.0);
        let marks: Vec<(f64, f64)> = MARKED
            .into_iter()
            .filter(|at| *at <= last.0)
            .map(|at| (at, curve.of.value_at_quantile(1.0 - 1.0 / at).max(1) as f64))
            .collect();
        push(
            &mut series,
            curve.label,
            curve.look,
            points,
            marks,
            with_legend,
        );
    }
    if series.is_empty() {
        return None;
    }
    let layout = Layout::auto_from_plots(&series)
        .with_log_scale()
        .with_x_axis_min(1.0)
        .with_x_axis_max(right * 1.5)
        .with_x_label("percentile, % of the messages")
        .with_y_label("latency")
        .with_x_tick_format(TickFormat::Custom(Arc::new(percentile)))
        .with_y_tick_format(TickFormat::Custom(Arc::new(tick_ns)));
    Some(draw(
        name,
        title,
        series,
        legend(layout, with_legend),
        HEIGHT,
    ))
}

/// Latency by offered rate. Filled marks met the objective, crosses did not.
pub(in crate::report) fn knee(name: &str, title: &str, curves: &[Curve<'_, Knee>]) -> Option<Plot> {
    let mut series: Vec<Series> = Vec::new();
    for curve in curves {
        let mut points: Vec<(f64, f64, bool)> = curve
            .of
            .points
            .iter()
            .filter_map(|point| Some((point.rate, point.p99_ns?, point.meets)))
            .filter(|(rate, p99, _)| is_drawable(*rate) && is_drawable(*p99))
            .collect();
        if points.is_empty() {
            continue;
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let of = |meets: bool| -> Vec<(f64, f64)> {
            let those = points.iter().filter(|point| point.2 == meets);
            those.map(|(rate, p99, _)| (*rate, *p99)).collect()
        };
        let line = points.iter().map(|(rate, p99, _)| (*rate, *p99)).collect();
        push(&mut series, curve.label, curve.look, line, of(true), false);
        series.push(
            ScatterPlot::new()
                .with_data(of(false))
                .with_color(curve.look.color())
                .with_marker(MarkerShape::Cross)
                .with_marker_stroke_width(1.8)
                .with_size(4.0)
                .into(),
        );
    }
    if series.is_empty() {
        return None;
    }
    let layout = Layout::auto_from_plots(&series)
        .with_log_scale()
        .with_x_label("offered messages per second")
        .with_y_label("p99 latency")
        .with_x_tick_format(TickFormat::Custom(Arc::new(tick_count)))
        .with_y_tick_format(TickFormat::Custom(Arc::new(tick_ns)));
    Some(draw(name, title, series, layout, HEIGHT))
}

fn is_drawable(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

fn push(
    series: &mut Vec<Series>,
    name: &str,
    look: Look,
    line: Vec<(f64, f64)>,
    marks: Vec<(f64, f64)>,
    with_legend: bool,
) {
    let curve = LinePlot::new()
        .with_data(line)
        .with_color(look.color())
        .with_stroke_width(1.8)
        .with_line_style(look.line_style());
    series.push(curve.into());
    let tips: Vec<String> = marks
        .iter()
        .map(|(_, ns)| format!("{name}: {}", tick_ns(*ns)))
        .collect();
    let mut marked = ScatterPlot::new()
        .with_data(marks)
        .with_color(look.color())
        .with_marker(look.marker())
        .with_size(4.0)
        .with_marker_stroke_width(1.8)
        .with_tooltip_labels(tips);
    if with_legend {
        marked = marked.with_legend(label(name, 26));
    }
    series.push(marked.into());
}

fn legend(layout: Layout, with_legend: bool) -> Layout {
    match with_legend {
        true => layout.with_legend_position(kuva::plot::LegendPosition::OutsideBottomColumns),
        false => layout,
    }
}

/// Points of the curve: 1/(1-p), and the value of p in nanoseconds.
fn quantiles(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let total = histogram.len();
    let mut points = Vec::new();
    let mut count = 0;
    for step in histogram.iter_quantiles(POINTS_PER_HALF) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        if total - count < VALUES_BEYOND_MIN || quantile >= 1.0 {
            break;
        }
        points.push((
            1.0 / (1.0 - quantile),
            step.value_iterated_to().max(1) as f64,
        ));
    }
    points
}

/// 1/(1-p) as the percentile that it is.
fn percentile(x: f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / x);
    let digits = (x.log10().round() - 2.0).clamp(0.0, 6.0) as usize;
    format!("{percent:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_written_out() {
        let texts: Vec<String> = [1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e5]
            .map(percentile)
            .into();
        assert_eq!(texts, ["0", "50", "90", "99", "99.9", "99.99", "99.999"]);
    }

    #[test]
    fn a_curve_ends_where_too_few_values_are_left() {
        let mut histogram = Histogram::new_with_bounds(1, 1 << 40, 3).unwrap();
        for value in 1..=1000 {
            histogram.saturating_record(value * 1000);
        }
        let points = quantiles(&histogram);
        let (last, _) = points.last().unwrap();
        assert!((50.0..=100.0).contains(last), "{last}");
        assert!(
            points
                .windows(2)
                .all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1)
        );
        assert!(quantiles(&Histogram::new_with_bounds(1, 1 << 40, 3).unwrap()).is_empty());
    }
}

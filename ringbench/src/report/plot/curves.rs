//! Curves: latency by percentile, and latency by offered rate.

use hdrhistogram::Histogram;
use maud::{Markup, html};
use ringload::output::document::knee::KneeDocument;

use super::axis::Axis;
use super::{Look, MARGIN, Plot, WIDTH, legend, legend_height, px, tick_count, tick_ns};

/// Edges of the plot: beside the left one and below the lower one are the axes' texts.
const ACROSS: (f64, f64) = (58.0, WIDTH - 2.0 * MARGIN);
const UPWARD: (f64, f64) = (268.0, 24.0);

/// Height of the drawing, without a legend.
const HEIGHT: f64 = 312.0;

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

/// A curve as it is drawn: by what is on the axis below, nanoseconds.
struct Line<'a> {
    label: &'a str,
    look: Look,
    points: Vec<(f64, f64)>,
    /// Those that have the server's marker.
    marks: Vec<(f64, f64)>,
    /// Those that are crossed out.
    crosses: Vec<(f64, f64)>,
}

/// Latency by percentile, with a logarithmic distance to 100 %: each nine as wide as the one before.
pub(in crate::report) fn spectrum(
    title: &str,
    curves: &[Curve<'_, Histogram<u64>>],
    with_legend: bool,
) -> Option<Plot> {
    let lines = curves.iter().filter_map(|curve| {
        let points = quantiles(curve.of);
        let (last, _) = *points.last()?;
        let value = |at: f64| curve.of.value_at_quantile(1.0 - 1.0 / at).max(1) as f64;
        let marked = MARKED.into_iter().filter(|at| *at <= last);
        Some(Line {
            label: curve.label,
            look: curve.look,
            marks: marked.map(|at| (at, value(at))).collect(),
            points,
            crosses: Vec::new(),
        })
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let last = lines.iter().filter_map(|line| line.points.last());
    let right = last.map(|(at, _)| *at).fold(100.0, f64::max);
    let across = Axis::logarithmic((1.0, right * 1.5), ACROSS);
    let below = across.below(
        (UPWARD.1, UPWARD.0),
        "percentile, % of the messages",
        percentile,
    );
    chart(title, "latency", &lines, &across, &below, with_legend)
}

/// Latency by offered rate. Filled marks met the objective, crosses did not.
pub(in crate::report) fn knee(title: &str, curves: &[Curve<'_, KneeDocument>]) -> Option<Plot> {
    let lines = curves.iter().filter_map(|curve| {
        let points = curve.of.points.iter();
        let mut points: Vec<(f64, f64, bool)> = points
            .filter_map(|point| Some((point.rate, point.p99_ns? as f64, point.meets)))
            .filter(|(rate, p99, _)| is_drawable(*rate) && is_drawable(*p99))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let of = |is_in: &dyn Fn(bool) -> bool| -> Vec<(f64, f64)> {
            let those = points.iter().filter(|point| is_in(point.2));
            those.map(|(rate, p99, _)| (*rate, *p99)).collect()
        };
        (!points.is_empty()).then(|| Line {
            label: curve.label,
            look: curve.look,
            points: of(&|_| true),
            marks: of(&|meets| meets),
            crosses: of(&|meets| !meets),
        })
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let rates = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.0)
    };
    let bounds = (
        rates().fold(f64::MAX, f64::min),
        rates().fold(0.0, f64::max),
    );
    let across = Axis::logarithmic(bounds, ACROSS);
    let below = across.below(
        (UPWARD.1, UPWARD.0),
        "offered messages per second",
        tick_count,
    );
    chart(title, "p99 latency", &lines, &across, &below, false)
}

fn is_drawable(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// Draws `lines`; `None` if there is none.
fn chart(
    title: &str,
    axis: &str,
    lines: &[Line<'_>],
    across: &Axis,
    below: &Markup,
    with_legend: bool,
) -> Option<Plot> {
    let times = || {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.1)
    };
    if lines.is_empty() {
        return None;
    }
    let bounds = (
        times().fold(f64::MAX, f64::min),
        times().fold(0.0, f64::max),
    );
    let upward = Axis::logarithmic(bounds, UPWARD);
    let entries: Vec<(Look, &str)> = match with_legend {
        true => lines.iter().map(|line| (line.look, line.label)).collect(),
        false => Vec::new(),
    };
    let body = html! {
        (below)
        (upward.beside(ACROSS, axis, tick_ns))
        @for line in lines { (drawn(line, across, &upward)) }
        (legend(&entries, HEIGHT + 6.0))
    };
    Some(Plot {
        title: title.to_owned(),
        height: HEIGHT + legend_height(entries.len()),
        body,
    })
}

fn drawn(line: &Line<'_>, across: &Axis, upward: &Axis) -> Markup {
    let place = |(x, y): &(f64, f64)| (across.at(*x), upward.at(*y));
    let points = line.points.iter().map(|point| {
        let (x, y) = place(point);
        format!("{},{}", px(x), px(y))
    });
    let points = points.collect::<Vec<_>>().join(" ");
    html! {
        g class=(line.look.class()) {
            polyline points=(points) fill="none" stroke=(line.look.color()) stroke-width="1.8"
                stroke-dasharray=(line.look.dashes()) {}
            @for mark in &line.marks {
                @let (x, y) = place(mark);
                (line.look.mark(x, y, &format!("{}: {}", line.label, tick_ns(mark.1))))
            }
            @for cross in &line.crosses {
                @let (x, y) = place(cross);
                path transform={ "translate(" (px(x)) " " (px(y)) ")" } d="M-4,-4L4,4M-4,4L4,-4" stroke=(line.look.color())
                    stroke-width="1.8" {}
            }
        }
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

//! Bars from zero: the median of the rounds, a whisker over their range, a dot for each.

use std::sync::Arc;

use kuva::plot::{BarPlot, ScatterPlot};
use kuva::prelude::{Layout, Plot as Series, TextAnnotation, TickFormat};
use ringload::output::table;
use ringload::trial::spread::Spread;

use super::{Look, Plot, WIDTH, draw, label, short, tick_count};

/// Height of a bar with its gap.
const ROW: f64 = 30.0;

/// Height of everything else.
const FRAME: f64 = 72.0;

/// Characters of a server's title at a bar.
const LABEL_CHARACTERS_MAX: usize = 26;

/// Width of a character of a label and of a figure, roughly: the library asks for places in the units
/// of the axis, and what has to be kept apart is text.
const CHARACTER: f64 = 6.9;

/// Between a figure and what it stands behind.
const GAP: f64 = 9.0;

/// One server's bar.
pub(in crate::report) struct Bar {
    pub(in crate::report) label: String,
    pub(in crate::report) look: Look,
    /// One value per round.
    pub(in crate::report) rounds: Vec<f64>,
}

/// What the axis counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Unit {
    Count,
    Nanoseconds,
    Bytes,
}

impl Unit {
    /// One unit for a whole axis, from its largest value: its name, and the size of it.
    fn scale(self, max: f64) -> (&'static str, f64) {
        match self {
            Unit::Count => ("", 1.0),
            Unit::Nanoseconds => match max {
                max if max < 1e3 => ("ns", 1.0),
                max if max < 1e6 => ("µs", 1e3),
                max if max < 1e9 => ("ms", 1e6),
                _ => ("s", 1e9),
            },
            Unit::Bytes => match max {
                max if max < 1024.0 => ("B", 1.0),
                max if max < 1024.0 * 1024.0 => ("KiB", 1024.0),
                _ => ("MiB", 1024.0 * 1024.0),
            },
        }
    }
}

/// Draws a bar for each server, the first on top; `None` if there is nothing finite to draw.
pub(in crate::report) fn bars(
    name: &str,
    title: &str,
    axis: &str,
    unit: Unit,
    bars: &[Bar],
) -> Option<Plot> {
    // The library counts categories from the bottom.
    let drawn: Vec<(&Bar, Spread)> = bars
        .iter()
        .rev()
        .filter_map(|bar| Some((bar, Spread::of(bar.rounds.iter().copied())?)))
        .collect();
    let max = drawn
        .iter()
        .map(|(_, spread)| spread.max)
        .fold(0.0, f64::max);
    let min = drawn
        .iter()
        .map(|(_, spread)| spread.min)
        .fold(0.0, f64::min);
    if drawn.is_empty() {
        return None;
    }
    let (unit_name, size) = unit.scale(max.max(-min));
    let reach = if max > min { (max - min) / size } else { 1.0 };
    let longest = |texts: &mut dyn Iterator<Item = String>| {
        let lengths = texts.map(|text| text.chars().count());
        lengths.max().unwrap_or_default() as f64
    };
    let labels = longest(
        &mut bars
            .iter()
            .map(|bar| label(&bar.label, LABEL_CHARACTERS_MAX)),
    );
    let figures = longest(&mut drawn.iter().map(|(_, spread)| text(unit, spread.median)));
    let plot_width = WIDTH - 40.0 - CHARACTER * labels;
    let figure_width = CHARACTER * figures + 2.0 * GAP;
    // The axis goes on for as long as the longest figure, so that this one has its place too.
    let axis_length = reach * plot_width / (plot_width - figure_width).max(plot_width / 4.0);
    let per_pixel = axis_length / plot_width;
    let mut bodies = BarPlot::new().with_horizontal(true).with_width(0.62);
    let mut tips = Vec::new();
    let mut whiskers = Vec::new();
    let mut notes = Vec::new();
    for (row, (bar, spread)) in drawn.iter().enumerate() {
        let scaled = |value: f64| value / size;
        let text = text(unit, spread.median);
        bodies = bodies.with_colored_bar(
            label(&bar.label, LABEL_CHARACTERS_MAX),
            scaled(spread.median),
            bar.look.color(),
        );
        tips.push(format!("{}: {text}", bar.label));
        whiskers.push((
            scaled(spread.median - spread.min),
            scaled(spread.max - spread.median),
        ));
        // The text is centred on its place: half of it, and a gap, beyond the whisker and the dots.
        let half = GAP + CHARACTER * text.chars().count() as f64 / 2.0;
        notes.push(TextAnnotation::new(
            text,
            scaled(spread.max.max(0.0)) + half * per_pixel,
            row as f64 + 0.86,
        ));
    }
    let bodies = bodies
        .with_asymmetric_error(whiskers)
        .with_error_color("var(--ink)")
        .with_tooltip_labels(tips);
    let dots = drawn.iter().enumerate().flat_map(|(row, (bar, _))| {
        let finite = bar.rounds.iter().filter(|value| value.is_finite());
        // Rounds a little apart, so that equal ones can be counted.
        finite.enumerate().map(move |(round, value)| {
            let apart = [0.0, 0.12, -0.12, 0.2, -0.2][round % 5];
            (value / size, row as f64 + 1.0 + apart)
        })
    });
    let dots = ScatterPlot::new()
        .with_data(dots.collect::<Vec<_>>())
        .with_color("var(--ink)")
        .with_size(2.2);
    let series: Vec<Series> = vec![bodies.into(), dots.into()];
    let axis = match unit_name {
        "" => axis.to_owned(),
        unit_name => format!("{axis}, {unit_name}"),
    };
    let mut layout = Layout::auto_from_plots(&series)
        .with_x_label(label(&axis, 40))
        .with_x_axis_min(if min < 0.0 { min / size * 1.1 } else { 0.0 })
        .with_x_axis_max(max.max(0.0) / size + axis_length - reach)
        .with_ticks(5)
        .with_x_tick_format(TickFormat::Custom(Arc::new(tick_count)));
    for note in notes {
        layout = layout.with_annotation(note);
    }
    let height = FRAME + ROW * drawn.len() as f64;
    Some(draw(name, title, series, layout, height))
}

fn text(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count => table::grouped(value.round().max(0.0) as u64),
        Unit::Nanoseconds => {
            let (name, size) = unit.scale(value);
            format!("{} {name}", short(value / size))
        }
        Unit::Bytes if value < 0.0 => format!("−{}", table::bytes(-value)),
        Unit::Bytes => table::bytes(value),
    }
}

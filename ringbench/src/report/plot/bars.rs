//! Bars from zero: the median of the rounds, a whisker over their range, a dot for each.

use maud::{Markup, html};
use ringload::assess::spread::Spread;
use ringload::quantity;

use super::axis::Axis;
use super::{BASELINE, Look, MARGIN, Plot, WIDTH, cut, px, room, short, tick_count};

/// Height of a bar with its gap, and without.
const ROW: f64 = 30.0;
const THICKNESS: f64 = 18.0;

/// Above the bars, and below them.
const TOP: f64 = 6.0;
const BELOW: f64 = 48.0;

/// Between a text and what it stands beside.
const GAP: f64 = 8.0;

/// How far each round is off the middle, so that equal ones can be counted.
const APART: [f64; 5] = [0.0, 3.0, -3.0, 6.0, -6.0];

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
pub(in crate::report) fn bars(title: &str, axis: &str, unit: Unit, bars: &[Bar]) -> Option<Plot> {
    let drawn: Vec<(&Bar, Spread)> = bars
        .iter()
        .filter_map(|bar| Some((bar, Spread::of(bar.rounds.iter().copied())?)))
        .collect();
    if drawn.is_empty() {
        return None;
    }
    let spreads = || drawn.iter().map(|(_, spread)| spread);
    let max = spreads().map(|spread| spread.max).fold(0.0, f64::max);
    let min = spreads().map(|spread| spread.min).fold(0.0, f64::min);
    let (unit_name, size) = unit.scale(max.max(-min));
    let axis = match unit_name {
        "" => axis.to_owned(),
        unit_name => format!("{axis}, {unit_name}"),
    };
    let left = MARGIN + GAP + room(drawn.iter().map(|(bar, _)| cut(&bar.label)));
    // Behind the longest whisker its figure has its place, too.
    let right = WIDTH - MARGIN - GAP - room(spreads().map(|spread| text(unit, spread.median)));
    let across = Axis::linear((min / size, max / size), (left, right));
    let bottom = TOP + ROW * drawn.len() as f64;
    let body = html! {
        (across.below((TOP, bottom), &axis, tick_count))
        @for (row, (bar, spread)) in drawn.iter().enumerate() {
            (row_of(bar, spread, unit, TOP + ROW * (row as f64 + 0.5), &|value| across.at(value / size)))
            text x=(px(left - GAP)) y=(px(TOP + ROW * (row as f64 + 0.5) + BASELINE)) text-anchor="end" { (cut(&bar.label)) }
        }
    };
    Some(Plot {
        title: title.to_owned(),
        height: bottom + BELOW,
        body,
    })
}

/// A bar around `y`, with what is on it and behind it.
fn row_of(bar: &Bar, spread: &Spread, unit: Unit, y: f64, at: &dyn Fn(f64) -> f64) -> Markup {
    let (zero, middle) = (at(0.0), at(spread.median));
    let figure = text(unit, spread.median);
    let finite = bar.rounds.iter().filter(|value| value.is_finite());
    html! {
        rect x=(px(zero.min(middle))) y=(px(y - THICKNESS / 2.0)) width=(px((middle - zero).abs()))
            height=(px(THICKNESS)) fill=(bar.look.color()) { title { (bar.label) ": " (figure) } }
        line x1=(px(at(spread.min))) x2=(px(at(spread.max))) y1=(px(y)) y2=(px(y)) stroke="var(--ink)" {}
        @for (round, value) in finite.enumerate() {
            circle cx=(px(at(*value))) cy=(px(y + APART[round % APART.len()])) r="2.2" {}
        }
        text x=(px(at(spread.max.max(0.0)) + GAP)) y=(px(y + BASELINE)) { (figure) }
    }
}

fn text(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count => quantity::grouped(value.round().max(0.0) as u64),
        Unit::Nanoseconds => {
            let (name, size) = unit.scale(value);
            format!("{} {name}", short(value / size))
        }
        Unit::Bytes if value < 0.0 => format!("−{}", quantity::bytes(-value)),
        Unit::Bytes => quantity::bytes(value),
    }
}

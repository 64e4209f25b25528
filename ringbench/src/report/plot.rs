//! Drawings as SVG: bars, and curves of latency on a logarithmic axis. Text stays text, and every colour is a CSS
//! variable, so that one drawing suits light and dark pages and paper.

use maud::{Markup, PreEscaped, html};
use ringload::output::page::COLORS;

use super::figures::Unit;

/// Width of every drawing, in CSS pixels: what a phone shows without making text too small.
const WIDTH: f64 = 400.0;

/// Edges of the curves' field.
const LEFT: f64 = 62.0;
const RIGHT: f64 = WIDTH - 30.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 254.0;

/// Height of a bar with its gap, and of a line of a legend.
const ROW: f64 = 22.0;

/// Width of a character, roughly.
const CHARACTER: f64 = 6.9;

/// Characters of a title in a drawing.
const LABEL_CHARACTERS_MAX: usize = 24;

/// How far beyond the longest bar an interval may reach, in its lengths.
const REACH_MAX: f64 = 1.08;

/// Colours that differ, and patterns of dashes.
const COLORS_THAT_DIFFER: usize = 7;
const DASHES: [&str; 3] = ["none", "7 3", "2 3"];

/// Powers of ten on an axis from which on nothing between them has a tick.
const DECADES_MANY: f64 = 3.0;

/// A finished drawing: the caption, which is what a screen reader says, the height, and what is in it.
pub(super) struct Plot(pub(super) String, f64, Markup);

impl Plot {
    /// The element, to stand in a page that defines the colours.
    pub(super) fn inline(&self) -> Markup {
        self.element("")
    }

    /// A file of its own.
    pub(super) fn standalone(&self) -> String {
        let style = format!("{COLORS}svg{{background:var(--page)}}");
        self.element(&style).into_string()
    }

    fn element(&self, style: &str) -> Markup {
        html! {
            svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(self.0) fill="var(--ink)"
                viewBox={ "0 0 " (WIDTH) " " (self.1) } font-size="13" font-family="system-ui, sans-serif" {
                // Ours alone: no text of a result is in it.
                @if !style.is_empty() { style { (PreEscaped(style)) } }
                (self.2)
            }
        }
    }
}

/// One server's bar: its title, its value, the ends of its interval and its colour, a CSS variable.
pub(super) type Bar<'a> = (&'a str, f64, Option<[f64; 2]>, &'static str);

/// Draws bars from zero, the first on top, each with its figure and a line over its interval.
pub(super) fn bars(title: String, unit: Unit, bars: &[Bar<'_>]) -> Option<Plot> {
    let labels = bars.iter().map(|bar| cut(bar.0).chars().count());
    let texts = bars.iter().map(|bar| unit.text(bar.1).chars().count());
    let left = CHARACTER * labels.max()? as f64 + 12.0;
    let right = WIDTH - CHARACTER * texts.max()? as f64 - 24.0;
    let most = bars
        .iter()
        .map(|bar| bar.1)
        .fold(f64::MIN_POSITIVE, f64::max);
    let at = |value: f64| left + (right - left) * (value / most).clamp(0.0, REACH_MAX);
    let height = ROW * bars.len() as f64;
    let body = html! {
        @for (row, (label, value, interval, color)) in bars.iter().enumerate() {
            @let y = ROW * row as f64;
            @let [low, high] = interval.unwrap_or([*value, *value]);
            text x=(px(left - 6.0)) y=(px(y + 15.5)) text-anchor="end" { (cut(label)) }
            rect x=(px(left)) y=(px(y + 4.0)) width=(px(at(*value) - left)) height="14" fill=(color) {}
            path d={ "M" (px(at(low))) "," (px(y + 11.0)) "H" (px(at(high))) } stroke="var(--ink)" stroke-width="2" {}
            text x=(px(at(value.max(high)) + 6.0)) y=(px(y + 15.5)) { (unit.text(*value)) }
        }
        path d={ "M" (px(left)) ",0V" (px(height)) } stroke="var(--axis)" {}
    };
    Some(Plot(title, height, body))
}

/// From left to right: places, nanoseconds, and whether to cross it out.
pub(super) type Points = Vec<(f64, f64, bool)>;

/// One server's curve: its title, its number in the suite, by which it looks the same everywhere, and its points.
pub(super) type Curve<'a> = (&'a str, usize, Points);

/// Draws times by what is `across`, of which `ticks` names some places.
pub(super) fn curves(
    [title, across]: [&str; 2],
    ticks: &[(f64, String)],
    curves: &[Curve<'_>],
) -> Option<Plot> {
    let points = || curves.iter().flat_map(|curve| &curve.2);
    let [low, high] = ends(points().map(|point| point.1.log10()))?;
    let [first, last] = ends(points().map(|point| point.0))?;
    let x = |place: f64| LEFT + (place - first) / (last - first) * (RIGHT - LEFT);
    let y = |ns: f64| BOTTOM - (ns.log10() - low) / (high - low) * (BOTTOM - TOP);
    let place = |(at, ns, _): &(f64, f64, bool)| format!("{} {} ", px(x(*at)), px(y(*ns)));
    let body = html! {
        text x="0" y="13" { "latency" }
        @for (tick, text) in logarithmic([low, high], Unit::Nanoseconds) {
            @let y = BOTTOM - (tick - low) / (high - low) * (BOTTOM - TOP);
            path d={ "M" (LEFT) "," (px(y)) "H" (RIGHT) } stroke="var(--grid)" {}
            text x=(LEFT - 6.0) y=(px(y + 4.5)) text-anchor="end" { (text) }
        }
        @for (tick, text) in ticks.iter().filter(|(tick, _)| (first..=last).contains(tick)) {
            path d={ "M" (px(x(*tick))) "," (TOP) "V" (BOTTOM) } stroke="var(--grid)" {}
            text x=(px(x(*tick))) y=(BOTTOM + 17.0) text-anchor="middle" { (text) }
        }
        text x=(LEFT.midpoint(RIGHT)) y=(BOTTOM + 36.0) text-anchor="middle" { (across) }
        @for (at, (label, number, points)) in curves.iter().enumerate() {
            // Colour and dashes together are a server's, everywhere on the page.
            @let dashes = DASHES[number / COLORS_THAT_DIFFER % DASHES.len()];
            @let color = format!("var(--s{})", number % COLORS_THAT_DIFFER + 1);
            @let (left, top) = ((at % 2) as f64 * WIDTH / 2.0, BOTTOM + 56.0 + ROW * (at / 2) as f64);
            g stroke=(color) fill="none" stroke-width="2" {
                polyline points=(points.iter().map(place).collect::<String>()) stroke-dasharray=(dashes) {}
                @for point in points.iter().filter(|point| point.2) {
                    path transform={ "translate(" (place(point)) ")" } d="M-4,-4L4,4M-4,4L4,-4" {}
                }
                path d={ "M" (left) "," (top) "h24" } stroke-dasharray=(dashes) {}
            }
            text x=(left + 30.0) y=(top + 4.5) { (cut(label)) }
        }
    };
    let height = BOTTOM + 46.0 + ROW * curves.len().div_ceil(2) as f64;
    Some(Plot(title.to_owned(), height, body))
}

/// The least and the most, which differ: where all are the same there is an axis all the same.
pub(super) fn ends(values: impl Iterator<Item = f64> + Clone) -> Option<[f64; 2]> {
    let least = values.clone().min_by(f64::total_cmp)?;
    Some([least, values.fold(least + 0.1, f64::max)])
}

/// Places between the decimal logarithms `low` and `high` that are 1, 2 or 5 times a power of ten.
pub(super) fn logarithmic([low, high]: [f64; 2], unit: Unit) -> Vec<(f64, String)> {
    let is_many = high - low > DECADES_MANY;
    let within: &[f64] = if is_many { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let decades = low.floor() as i32..=high.ceil() as i32;
    let values = decades.flat_map(|decade| within.iter().map(move |it| it * 10f64.powi(decade)));
    let ticks = values.map(|value| (value.log10(), unit.text(value).replace(".00", "")));
    ticks
        .filter(|(at, _)| (low - 1e-9..=high + 1e-9).contains(at))
        .collect()
}

/// A coordinate.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// A title as a drawing has room for it.
fn cut(text: &str) -> String {
    if text.chars().count() <= LABEL_CHARACTERS_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(LABEL_CHARACTERS_MAX - 1).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |low: f64, high: f64| -> Vec<String> {
            let ticks = logarithmic([low.log10(), high.log10()], Unit::Nanoseconds);
            ticks.into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(ticks(1.0, 20.0), ["1 ns", "2 ns", "5 ns", "10 ns", "20 ns"]);
        assert_eq!(
            ticks(50.0, 2e6),
            ["100 ns", "1 µs", "10 µs", "100 µs", "1 ms"]
        );
        assert_eq!(ends([7.0].into_iter()), Some([7.0, 7.1]));
        assert_eq!(ends(std::iter::empty()), None);
    }
}

//! Plots as SVG. Text stays text, and every colour is a CSS variable, so that one drawing suits light and dark
//! pages and paper.

mod axis;
mod bars;
mod curves;
mod phases;

pub(super) use bars::{Bar, Unit, bars};
pub(super) use curves::{Curve, knee, spectrum};
pub(super) use phases::{Stretch, phases};

use maud::{Markup, PreEscaped, html};
use ringload::output::page::palette;

/// Width of every plot, in CSS pixels: what a phone shows without making text too small.
const WIDTH: f64 = 450.0;

/// Between a drawing and its edge.
const MARGIN: f64 = 12.0;

/// Width of a character, roughly.
const CHARACTER: f64 = 6.9;

/// From the middle of a row to the line that its text stands on.
const BASELINE: f64 = 4.5;

/// Characters of a server's title in a drawing.
const LABEL_CHARACTERS_MAX: usize = 26;

/// Height of a row of a legend.
const LEGEND_ROW: f64 = 20.0;

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";

/// A finished drawing.
pub(super) struct Plot {
    /// What a screen reader says.
    title: String,
    height: f64,
    body: Markup,
}

impl Plot {
    /// The element, to stand in a page that defines the palette.
    pub(super) fn inline(&self) -> Markup {
        self.element(None)
    }

    /// The element as a file of its own, with the palette in it.
    pub(super) fn standalone(&self) -> String {
        let style = format!("{}svg{{background:var(--page)}}", palette::css());
        self.element(Some(&style)).into_string()
    }

    fn element(&self, style: Option<&str>) -> Markup {
        html! {
            svg xmlns="http://www.w3.org/2000/svg" class="plot-box" role="img" aria-label=(self.title)
                viewBox={ "0 0 " (px(WIDTH)) " " (px(self.height)) } fill="var(--ink)" font-size="13" font-family=(FONT) {
                // Ours alone: no text of a result is in it.
                @if let Some(style) = style { style { (PreEscaped(style)) } }
                (self.body)
            }
        }
    }
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

/// Room for the longest of `texts`.
fn room(texts: impl Iterator<Item = String>) -> f64 {
    let longest = texts.map(|text| text.chars().count()).max();
    CHARACTER * longest.unwrap_or_default() as f64
}

/// What each look stands for, in two columns from `top` down.
fn legend(entries: &[(Look, &str)], top: f64) -> Markup {
    html! {
        @for (at, (look, text)) in entries.iter().enumerate() {
            @let x = MARGIN + (at % 2) as f64 * WIDTH / 2.0;
            @let y = top + LEGEND_ROW * (at / 2) as f64;
            line x1=(px(x)) x2=(px(x + 24.0)) y1=(px(y)) y2=(px(y)) stroke=(look.color()) stroke-width="1.8"
                stroke-dasharray=(look.dashes()) {}
            (look.mark(x + 12.0, y, text))
            text x=(px(x + 30.0)) y=(px(y + BASELINE)) { (cut(text)) }
        }
    }
}

/// Height of such a legend.
fn legend_height(entries: usize) -> f64 {
    LEGEND_ROW * entries.div_ceil(2) as f64
}

/// How the lines and marks of one server look, everywhere on the page: never by colour alone.
#[derive(Clone, Copy)]
pub(super) struct Look {
    number: usize,
}

impl Look {
    /// The look of the suite's server `number`.
    pub(super) fn of(number: usize) -> Look {
        Look {
            number: number % palette::SERIES,
        }
    }

    /// The CSS variable that holds its colour.
    pub(super) fn color(self) -> String {
        format!("var(--s{})", self.number + 1)
    }

    /// The pattern of its lines.
    pub(super) fn dashes(self) -> &'static str {
        ["none", "7 3", "2 3"][self.number / palette::COLORS % 3]
    }

    /// Which marker: another one with each round of colours, so that no two servers share both.
    fn shape(self) -> usize {
        (self.number + self.number / palette::COLORS) % 7
    }

    /// The marker's outline around 0,0 as an SVG path: the one that the plots draw, for a legend.
    pub(super) fn marker_path(self) -> &'static str {
        [
            "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
            "M-3.5,-3.5h7v7h-7z",
            "M0,-4.5L4,3.5H-4z",
            "M0,-4.5L4.5,0L0,4.5L-4.5,0z",
            "M-3.5,-3.5L3.5,3.5M3.5,-3.5L-3.5,3.5",
            "M-4.5,0H4.5M0,-4.5V4.5",
            "M0,4.5L4,-3.5H-4z",
        ][self.shape()]
    }

    /// What everything of one server in a drawing is marked as, so that a page can hide it.
    fn class(self) -> String {
        format!("s{}", self.number + 1)
    }

    /// The marker at a place, and what a pointer on it is told.
    fn mark(self, x: f64, y: f64, tip: &str) -> Markup {
        html! {
            path transform={ "translate(" (px(x)) " " (px(y)) ")" } d=(self.marker_path()) fill=(self.color())
                stroke=(self.color()) stroke-width="1.8" { title { (tip) } }
        }
    }
}

/// Nanoseconds on an axis.
fn tick_ns(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", short(value))
}

/// A count on an axis.
fn tick_count(count: f64) -> String {
    match count.abs() {
        size if size >= 1e12 => format!("{count:.0e}"),
        size if size >= 1e6 => format!("{}M", short(count / 1e6)),
        size if size >= 1e3 => format!("{}k", short(count / 1e3)),
        _ => short(count),
    }
}

/// At most three digits, and no zeros behind the point.
fn short(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short_and_have_units() {
        assert_eq!(tick_ns(1_000.0), "1 µs");
        assert_eq!(tick_ns(2_500_000.0), "2.5 ms");
        assert_eq!(tick_ns(0.0), "0 ns");
        assert_eq!(tick_count(150_000.0), "150k");
        assert_eq!(tick_count(0.0), "0");
        assert_eq!(tick_count(1_250_000.0), "1.25M");
    }

    #[test]
    fn no_two_servers_look_the_same_with_or_without_colours() {
        let looks: Vec<Look> = (0..palette::SERIES).map(Look::of).collect();
        for (at, one) in looks.iter().enumerate() {
            for other in &looks[..at] {
                let same_line = one.dashes() == other.dashes();
                let same_mark = one.marker_path() == other.marker_path();
                assert!(!(same_line && same_mark), "{at}");
            }
        }
    }

    #[test]
    fn labels_are_cut() {
        assert_eq!(cut("0123456789"), "0123456789");
        let long = "0123456789".repeat(3);
        assert_eq!(cut(&long), "0123456789012345678901234…");
    }
}

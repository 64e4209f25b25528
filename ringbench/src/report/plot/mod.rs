//! Plots as SVG, drawn by kuva. Text stays text; every colour is a CSS variable, so that one drawing
//! suits light and dark pages and paper.

mod bars;
mod curves;
mod phases;

pub(super) use bars::{Bar, Unit, bars};
pub(super) use curves::{Curve, knee, spectrum};
pub(super) use phases::{Stretch, phases};

use kuva::plot::{LineStyle, MarkerShape};
use kuva::prelude::{Layout, Plot as Series, SvgBackend, Theme, render_multiple};

use ringload::output::page::palette;

/// Width of every plot, in CSS pixels: what a phone shows without making text too small.
const WIDTH: f64 = 450.0;

/// A finished drawing.
pub(super) struct Plot {
    /// The element, without colours of its own, for a page that has them.
    svg: String,
}

impl Plot {
    /// The element, to stand in a page that defines the palette.
    pub(super) fn inline(&self) -> &str {
        &self.svg
    }

    /// The element as a file of its own, with the palette in it.
    pub(super) fn standalone(&self) -> String {
        let style = format!(
            "<style>{}svg{{background:var(--page)}}</style>",
            palette::css()
        );
        match self.svg.split_once('>') {
            Some((open, rest)) => format!("{open}>{style}{rest}"),
            None => self.svg.clone(),
        }
    }
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

    fn line_style(self) -> LineStyle {
        match self.dashes() {
            "none" => LineStyle::Solid,
            dashes => LineStyle::Custom(dashes.to_owned()),
        }
    }

    fn marker(self) -> MarkerShape {
        [
            MarkerShape::Circle,
            MarkerShape::Square,
            MarkerShape::Triangle,
            MarkerShape::Diamond,
            MarkerShape::Cross,
            MarkerShape::Plus,
            MarkerShape::TriangleDown,
        ][self.shape()]
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
}

/// Draws `series`; `name` must be the plot's own on its page, `title` is what a screen reader says.
fn draw(name: &str, title: &str, series: Vec<Series>, layout: Layout, height: f64) -> Plot {
    let layout = layout
        .with_theme(theme())
        .with_width(WIDTH)
        .with_height(height)
        .with_tick_size(13)
        .with_label_size(13)
        .with_body_size(13)
        .with_font_family(
            "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif",
        );
    let scene = render_multiple(series, layout);
    let (width, height) = (scene.width, scene.height);
    let svg = SvgBackend::new().render_scene(&scene);
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    // Marks that are cut at the edge of the axes need a name of their own on a page with many plots.
    let body = body.replace("kuva-clip-", &format!("{name}-clip-"));
    // The library puts its page colour first; the page has its own.
    let body = body.replacen(r#"<rect width="100%" height="100%" fill="none" />"#, "", 1);
    Plot {
        svg: format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot-box\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-label=\"{}\" fill=\"var(--ink)\" font-family=\"system-ui, -apple-system, 'Segoe UI', \
             Roboto, Helvetica, Arial, sans-serif\">{body}",
            attribute(title)
        ),
    }
}

/// Text inside double quotes.
fn attribute(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}

/// A label for the library, which takes `$...$` for a formula and knows nothing of control characters.
fn label(text: &str, characters_max: usize) -> String {
    let clean: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    let short = match clean.chars().count() > characters_max {
        true => {
            let start: String = clean
                .chars()
                .take(characters_max.saturating_sub(1))
                .collect();
            format!("{}…", start.trim_end())
        }
        false => clean,
    };
    short.replace('\\', "\\\\").replace('$', "\\$")
}

fn theme() -> Theme {
    Theme {
        background: "none".to_owned(),
        axis_color: "var(--axis)".to_owned(),
        grid_color: "var(--grid)".to_owned(),
        tick_color: "var(--axis)".to_owned(),
        text_color: "var(--ink)".to_owned(),
        legend_bg: "none".to_owned(),
        legend_border: "none".to_owned(),
        ..Theme::light()
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
    fn labels_are_cut_and_are_no_formula() {
        assert_eq!(label("a $x$ \n b", 30), "a \\$x\\$   b");
        assert_eq!(label("0123456789", 5), "0123…");
    }
}

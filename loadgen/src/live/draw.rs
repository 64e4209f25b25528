//! The picture, as lines for a terminal.

use std::fmt::Write as _;
use std::time::Instant;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Stylize as _};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, LineGauge, Sparkline, Widget};

use super::CONNECTING;
use super::seen::Seen;
use crate::quantity::{grouped, time};

/// Rows of the picture: an empty one, in which the cursor rests, the figures, and the chart.
const CHART_TOP: u16 = 7;
const CHART_ROWS: u16 = 10;
pub(super) const ROWS: u16 = CHART_TOP + CHART_ROWS;

/// Wider it is not drawn.
const COLUMNS_MAX: u16 = 100;

/// Where the rate's course begins.
const COURSE_COLUMN: u16 = 46;

/// What latencies are shown, each in its color.
const LATENCIES: [(&str, Color); 4] = [
    ("p50", Color::Green),
    ("p99", Color::Yellow),
    ("p99.9", Color::Magenta),
    ("max", Color::Red),
];

/// Draws what was `seen` at `now`, no larger than the terminal's `columns` and `rows`. `rate` is what was completed
/// in the last second; then come the replies that were wrong, and what failed besides.
pub(super) fn picture(
    seen: &Seen,
    rate: Option<f64>,
    [wrong, errors]: [u64; 2],
    now: Instant,
    (columns, rows): (u16, u16),
) -> Buffer {
    // Nothing stands in a terminal's last column or its last row: neither is to scroll.
    let width = columns.saturating_sub(1).min(COLUMNS_MAX);
    let rows = rows.saturating_sub(1);
    let height = if rows < ROWS {
        CHART_TOP.min(rows)
    } else {
        ROWS
    };
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let row = |number: u16| Rect::new(0, number, width, 1).intersection(area);
    stage(seen, now).render(row(1), &mut buffer);
    let figures = [
        Line::from(rates(seen, rate)),
        latencies(seen),
        Line::from(format!(
            "send lag   max {}   backlog {}   in flight {}",
            time(seen.send_lag_ns as f64),
            grouped(seen.backlog),
            grouped(seen.in_flight)
        )),
        Line::from(format!("CPU        {}", seen.cpus())),
        Line::from(format!(
            "wrong      {} replies   other errors {}",
            grouped(wrong),
            grouped(errors)
        )),
    ];
    for (number, line) in (2..).zip(figures) {
        line.render(row(number), &mut buffer);
    }
    Line::from("q stops")
        .right_aligned()
        .dim()
        .render(row(6), &mut buffer);
    let course = Rect::new(COURSE_COLUMN, 2, width.saturating_sub(COURSE_COLUMN), 1);
    let first = seen.rates.len().saturating_sub(usize::from(course.width));
    Sparkline::default()
        .data(&seen.rates[first..])
        .fg(Color::Cyan)
        .render(course.intersection(area), &mut buffer);
    chart(
        seen,
        Rect::new(0, CHART_TOP, width, CHART_ROWS).intersection(area),
        &mut buffer,
    );
    buffer
}

fn stage(seen: &Seen, now: Instant) -> LineGauge<'static> {
    let (share, left) = seen.progress(now);
    let label = match left {
        _ if seen.stage == CONNECTING => format!("{:<10} {}", seen.stage, seen.connecting),
        Some(left) => format!(
            "{:<10} {:.0} %, {left:.1} s left",
            seen.stage,
            100.0 * share
        ),
        None => format!("{:<10}", seen.stage),
    };
    LineGauge::default()
        .label(format!("{label:<32}"))
        .ratio(share)
        .filled_symbol("━")
        .unfilled_symbol("─")
        .filled_style(Color::Cyan)
        .unfilled_style(Color::DarkGray)
}

fn rates(seen: &Seen, rate: Option<f64>) -> String {
    let rate = rate.map_or_else(|| "-".to_owned(), |rate| grouped(rate.round() as u64));
    let mut text = format!("rate       {rate}/s");
    if let Some(offered) = seen.offered {
        let _ = write!(text, " of {}/s", grouped(offered.round() as u64));
    }
    text
}

fn latencies(seen: &Seen) -> Line<'static> {
    let mut spans = vec![Span::from("latency    ")];
    if let Some((_, values)) = seen.latencies.last() {
        spans.extend(
            LATENCIES.iter().zip(values).map(|((name, color), value)| {
                format!("{name} {}   ", time(*value as f64)).fg(*color)
            }),
        );
    }
    Line::from(spans)
}

/// The latencies' course, on a scale by decades.
fn chart(seen: &Seen, area: Rect, buffer: &mut Buffer) {
    let Some((until, _)) = seen.latencies.last() else {
        return;
    };
    let lines: [Vec<(f64, f64)>; 4] = std::array::from_fn(|which| {
        let points = seen.latencies.iter();
        points
            .map(|(at, values)| (*at, (values[which].max(1) as f64).log10()))
            .collect()
    });
    let lowest = lines[0]
        .iter()
        .map(|it| it.1)
        .fold(f64::MAX, f64::min)
        .floor();
    let highest = lines[3].iter().map(|it| it.1).fold(0.0, f64::max).ceil();
    let highest = highest.max(lowest + 1.0);
    let decades = (lowest as i32)..=(highest as i32);
    let start = seen.latencies[0].0;
    // From the highest to the lowest, so that the median is not painted over.
    let curves = lines.iter().zip(LATENCIES).rev().map(|(line, (_, color))| {
        Dataset::default()
            .data(line)
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .fg(color)
    });
    let seconds = |seconds: f64| format!("{seconds:.0} s");
    Chart::new(curves.collect())
        .legend_position(None)
        .x_axis(
            Axis::default()
                .bounds([start, until.max(start + 1e-3)])
                .labels([seconds(start), seconds(*until)])
                .fg(Color::DarkGray),
        )
        .y_axis(
            Axis::default()
                .bounds([lowest, highest])
                .labels(decades.map(decade))
                .fg(Color::DarkGray),
        )
        .render(area, buffer);
}

/// Ten to that power, in nanoseconds: a time without a fraction.
fn decade(power: i32) -> String {
    let text = time(10f64.powi(power));
    text.replace(".000", "").replace(".00", "")
}

/// A row each, with escape sequences for its colors unless it is to have none.
pub(super) fn lines(buffer: &Buffer, has_colors: bool) -> Vec<String> {
    let width = usize::from(buffer.area.width.max(1));
    let rows = buffer.content.chunks(width);
    rows.map(|cells| {
        let blank = cells.iter().rev().take_while(|cell| cell.symbol() == " ");
        let cells = &cells[..cells.len() - blank.count()];
        let (mut line, mut present) = (String::new(), Color::Reset);
        for cell in cells {
            if has_colors && cell.fg != present {
                present = cell.fg;
                let _ = write!(line, "\x1b[{}m", code(present));
            }
            line += cell.symbol();
        }
        if present != Color::Reset {
            line += "\x1b[0m";
        }
        line
    })
    .collect()
}

/// The parameter of SGR (ECMA-48, 8.3.117) that selects a color of those above.
fn code(color: Color) -> u8 {
    match color {
        Color::Red => 31,
        Color::Green => 32,
        Color::Yellow => 33,
        Color::Magenta => 35,
        Color::Cyan => 36,
        Color::DarkGray => 90,
        _ => 39,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;
    use crate::live::Picture;

    fn seen() -> Seen {
        let mut seen = Seen::new();
        let mut latency = latency_histogram();
        for slice in 1..=10u64 {
            seen.add(
                &Picture {
                    share: slice as f64 / 20.0,
                    seconds: 1.0,
                    completed: 1000 * slice,
                    offered: Some(20_000.0),
                    generator_cpu_ns: 420_000_000,
                    server_cpu_ns: Some(970_000_000),
                    latency: &latency,
                    backlog: 7,
                    in_flight: 64,
                },
                21_000,
                true,
            );
            latency.reset();
            latency.saturating_record_n(90_000 * slice, 1000);
            latency.saturating_record(30_000_000);
        }
        seen
    }

    #[test]
    fn the_picture_has_every_figure() {
        let buffer = picture(&seen(), Some(9_876.4), [3, 0], Instant::now(), (100, 40));
        let lines = lines(&buffer, false);
        assert_eq!(lines.len(), usize::from(ROWS));
        assert!(lines[0].is_empty(), "the cursor's row: {lines:#?}");
        let text = lines.join("\n");
        for figure in [
            "measuring  ",
            "9,876/s of 20,000/s",
            "▇█",
            "p50 810",
            "max 30.0",
            "send lag   max 21.00 µs   backlog 7   in flight 64",
            "generator 42 %, server 97 %",
            "wrong      3 replies",
            "q stops",
            "\n100 ms│",
            "\n10 µs ",
        ] {
            assert!(text.contains(figure), "{figure:?} is missing:\n{text}");
        }
    }

    #[test]
    fn a_terminal_of_any_size_is_never_filled_to_its_edges() {
        for columns in (0..=130).step_by(3) {
            for rows in 0..=24 {
                let buffer = picture(&seen(), None, [0; 2], Instant::now(), (columns, rows));
                let lines = lines(&buffer, false);
                assert!(lines.len() <= usize::from(rows.saturating_sub(1)));
                let widest = lines.iter().map(|line| line.chars().count()).max();
                assert!(widest.unwrap_or(0) <= usize::from(columns.saturating_sub(1)));
            }
        }
    }

    #[test]
    fn colors_end_with_their_line() {
        let buffer = picture(&seen(), None, [0; 2], Instant::now(), (80, 30));
        for line in lines(&buffer, true) {
            assert!(
                !line.contains('\x1b') || line.ends_with("\x1b[0m"),
                "{line:?}"
            );
        }
        assert!(!lines(&buffer, false).join("").contains('\x1b'));
    }
}

//! The picture, as lines for a terminal.

use std::iter;
use std::time::Instant;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Stylize as _};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, LineGauge, Paragraph, Sparkline, Widget};

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
    let row = |number, rows| Rect::new(0, number, width, rows).intersection(area);
    stage(seen, now).render(row(1, 1), &mut buffer);
    let before = seen.before();
    let rate = rate.map_or_else(|| "-".to_owned(), |rate| grouped(rate.round() as u64));
    let figures = vec![
        Line::from(format!("rate       {}", seen.of_offered(&rate))),
        latencies(seen),
        Line::from(format!(
            "send lag   max {}   backlog {}   in flight {}",
            time(seen.send_lag_ns as f64),
            grouped(before.backlog),
            grouped(before.in_flight)
        )),
        Line::from(format!("CPU        {}", seen.cpus())),
        Line::from(format!(
            "wrong      {} replies   other errors {}",
            grouped(wrong),
            grouped(errors)
        )),
    ];
    Paragraph::new(figures).render(row(2, 5), &mut buffer);
    let stops = Line::from("q stops").right_aligned().dim();
    stops.render(row(6, 1), &mut buffer);
    let course = Rect::new(COURSE_COLUMN, 2, width.saturating_sub(COURSE_COLUMN), 1);
    let rates = seen.rates();
    let first = rates.len().saturating_sub(usize::from(course.width));
    Sparkline::default()
        .data(&rates[first..])
        .fg(Color::Cyan)
        .render(course.intersection(area), &mut buffer);
    chart(seen, row(CHART_TOP, CHART_ROWS), &mut buffer);
    buffer
}

fn stage(seen: &Seen, now: Instant) -> LineGauge<'static> {
    let (share, left) = seen.progress(now);
    let says = match left {
        _ if seen.stage == CONNECTING => seen.message.clone(),
        Some(left) => format!("{:.0} %, {left:.1} s left", 100.0 * share),
        None => String::new(),
    };
    LineGauge::default()
        .label(format!("{:<32}", format!("{:<10} {says}", seen.stage)))
        .ratio(share)
        .filled_symbol("━")
        .unfilled_symbol("─")
        .filled_style(Color::Cyan)
        .unfilled_style(Color::DarkGray)
}

fn latencies(seen: &Seen) -> Line<'static> {
    let values = seen.latencies.last().map(|(_, values)| *values);
    let shown = LATENCIES.iter().zip(values.into_iter().flatten());
    let shown = shown.map(|((name, color), value)| {
        Span::from(format!("{name} {}   ", time(value as f64))).fg(*color)
    });
    iter::once(Span::from("latency    ")).chain(shown).collect()
}

/// The latencies' course, on a scale by decades.
fn chart(seen: &Seen, area: Rect, buffer: &mut Buffer) {
    let courses: [Vec<(f64, f64)>; 4] = std::array::from_fn(|which| {
        let points = seen.latencies.iter();
        let point = |(at, values): &(f64, [u64; 4])| (*at, (values[which].max(1) as f64).log10());
        points.map(point).collect()
    });
    let [Some((start, _)), Some((until, _))] = [courses[0].first(), courses[0].last()] else {
        return;
    };
    let values = |which: usize| courses[which].iter().map(|(_, value)| *value);
    let lowest = values(0).fold(f64::MAX, f64::min).floor();
    let highest = values(3).fold(lowest + 1.0, f64::max).ceil();
    let axis = |bounds, labels: Vec<String>| {
        let axis = Axis::default().bounds(bounds).labels(labels);
        axis.fg(Color::DarkGray)
    };
    // From the highest to the lowest, so that the median is not painted over.
    let courses = courses.iter().zip(LATENCIES).rev();
    let curves = courses.map(|(points, (_, color))| {
        let curve = Dataset::default().data(points).marker(Marker::Braille);
        curve.graph_type(GraphType::Line).fg(color)
    });
    let seconds = [start, until].map(|seconds| format!("{seconds:.0} s"));
    let decades = (lowest as i32)..=(highest as i32);
    Chart::new(curves.collect())
        .legend_position(None)
        .x_axis(axis([*start, until.max(start + 1e-3)], seconds.into()))
        .y_axis(axis([lowest, highest], decades.map(decade).collect()))
        .render(area, buffer);
}

/// Ten to that power, in nanoseconds: a time without a fraction.
fn decade(power: i32) -> String {
    let text = time(10f64.powi(power));
    text.replace(".000", "").replace(".00", "")
}

/// A row each, with escape sequences for its colors unless it is to have none.
pub(super) fn lines(buffer: &Buffer, has_colors: bool) -> Vec<String> {
    let rows = buffer.content.chunks(buffer.area.width.max(1).into());
    rows.map(|cells| {
        let blank = cells.iter().rev().take_while(|cell| cell.symbol() == " ");
        let cells = &cells[..cells.len() - blank.count()];
        let runs = cells.chunk_by(|one, next| one.fg == next.fg);
        runs.map(|run| {
            let text: String = run.iter().map(Cell::symbol).collect();
            match code(run[0].fg).filter(|_| has_colors) {
                Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
                None => text,
            }
        })
        .collect()
    })
    .collect()
}

/// The parameter of SGR (ECMA-48, 8.3.117) that selects a color of those above.
fn code(color: Color) -> Option<u8> {
    match color {
        Color::Red => Some(31),
        Color::Green => Some(32),
        Color::Yellow => Some(33),
        Color::Magenta => Some(35),
        Color::Cyan => Some(36),
        Color::DarkGray => Some(90),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::tally::latency_histogram;
    use crate::live::MEASURING;
    use crate::result::figures::Slice;

    fn seen() -> Seen {
        let mut seen = Seen::default();
        let mut latency = latency_histogram();
        let mut slices = Vec::new();
        for number in 1..=10u64 {
            slices.push(Slice {
                until_seconds: number as f64,
                seconds: 1.0,
                completed: 1000 * number,
                offered: Some(20_000.0),
                generator_cpu_ns: 420_000_000,
                server_cpu_ns: Some(970_000_000),
                backlog: 7,
                in_flight: 64,
                ..Slice::default()
            });
            seen.stage(MEASURING, number as f64 / 20.0);
            seen.add(&slices, &latency, 21_000);
            latency.reset();
            latency.saturating_record_n(90_000 * number, 1000);
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

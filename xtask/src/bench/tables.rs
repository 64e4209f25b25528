//! The summary as people read it: Markdown that is aligned enough for a terminal.

use super::environment::Environment;
use super::statistics::Spread;
use super::summary::{IdleRow, Row, Summary, Table};
use std::collections::BTreeMap;

const LEGEND: &str = "\
Figures are the median of the rounds and, in brackets, the smallest and the largest. Latency is the
round trip of one message in a closed loop. CPU is the server's own, user and system. Each × is a ratio
of CPU per message taken inside a round; below 1 is cheaper. `?` marks a ratio whose rounds disagree on
which side of 1 it lies, or are fewer than six: unresolved, not a result. `rfc862-*` echo bytes without WebSocket on the same
engine: the limit. `Saturated` is the side that had no CPU time left; where it is not the server,
throughput is a lower bound and CPU per message is the figure to read.";

/// The whole report.
pub(crate) fn report(environment: &Environment, summary: &Summary) -> String {
    let mut text = format!(
        "# Echo servers on {}, {}\n\n",
        environment.machine, environment.date_time
    );
    text.push_str(&circumstances(environment));
    for warning in environment.placement.warning.iter().chain(&summary.notes) {
        text.push_str(&format!("\n**Note:** {warning}\n"));
    }
    for table in &summary.tables {
        text.push_str(&format!("\n## {}\n\n", heading(table, environment)));
        text.push_str(&workload(table));
    }
    if !summary.tables.is_empty() {
        text.push_str(&format!("\n{LEGEND}\n"));
    }
    if !summary.idle.is_empty() {
        text.push_str("\n## Memory of idle connections\n\n");
        text.push_str(&idle(&summary.idle));
    }
    if !summary.failures.is_empty() {
        text.push_str("\n## Runs without figures\n\n");
        for failure in &summary.failures {
            text.push_str(&format!("- {}\n", failure.replace('\n', "\n  ")));
        }
    }
    text
}

fn heading(table: &Table, environment: &Environment) -> String {
    let warning = if environment.placement.is_shared() {
        " (one CPU: not comparable)"
    } else {
        ""
    };
    format!("{}{warning}", table.workload.title())
}

fn circumstances(environment: &Environment) -> String {
    let Environment {
        placement,
        versions,
        cpu,
        ..
    } = environment;
    let unknown = || "-".to_owned();
    let node = versions.node.as_ref().map_or_else(unknown, |node| {
        let bufferutil = node
            .bufferutil
            .as_ref()
            .map(|version| format!(", bufferutil {version}"));
        format!(
            "Node {} with ws {}{}",
            node.node,
            node.ws,
            bufferutil.unwrap_or_default()
        )
    });
    let commit = environment
        .source
        .git_commit
        .as_deref()
        .map_or("-", |commit| commit.get(..12).unwrap_or(commit));
    let dirty = if environment.source.git_dirty == Some(true) {
        " with changes"
    } else {
        ""
    };
    let virtual_machine = if cpu.hypervisor {
        ", virtual machine"
    } else {
        ""
    };
    format!(
        "- {}, CPUs: {}{virtual_machine}; server on CPU {}, generator on CPU {}, one worker each\n\
         - {}\n\
         - {}; {node}; commit {commit}{dirty}\n\
         - rounds: {}; each run {:?} after {:?} of warm-up, in random order (seed {})\n",
        cpu.model,
        cpu.online_count(),
        placement.server_cpu,
        placement.generator_cpu,
        environment.kernel,
        versions.ringback.clone().unwrap_or_else(unknown),
        environment.options.rounds,
        environment.options.duration,
        environment.options.warmup,
        environment.seed,
    )
}

fn workload(table: &Table) -> String {
    let header = [
        "server",
        "messages/s",
        "p50 µs",
        "p99 µs",
        "CPU µs/message",
        "× Node ws",
        "× with bufferutil",
        "× limit",
        "saturated",
    ];
    let cells = |row: &Row| {
        vec![
            row.server.to_owned(),
            with_range(row.messages_per_second),
            median_of(row.latency_p50_microseconds),
            median_of(row.latency_p99_microseconds),
            with_range(row.server_cpu_microseconds_per_message),
            ratio(row.ratio_to_node),
            ratio(row.ratio_to_node_bufferutil),
            ratio(row.ratio_to_limit),
            counts(&row.saturated),
        ]
    };
    grid(&header, &table.rows.iter().map(cells).collect::<Vec<_>>())
}

fn idle(rows: &[IdleRow]) -> String {
    let header = [
        "server",
        "connections",
        "bytes/connection",
        "before",
        "with them",
        "after them",
    ];
    let cells = |row: &IdleRow| {
        vec![
            row.server.to_owned(),
            row.idle.connections.to_string(),
            format!("{:.0}", row.idle.rss_bytes_per_connection),
            mebibytes(row.idle.rss_bytes_before),
            mebibytes(row.idle.rss_bytes_full),
            mebibytes(row.idle.rss_bytes_after),
        ]
    };
    let text = grid(&header, &rows.iter().map(cells).collect::<Vec<_>>());
    format!(
        "{text}\nGrowth of the resident set of a freshly started server, one measurement each; the \
         kernel's own\nmemory for sockets is not in it.\n"
    )
}

/// A Markdown table with padded cells; the first and the last column to the left, numbers to the
/// right.
fn grid(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let columns = header.len();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&header[column]]);
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_left = |column: usize| column == 0 || rows.iter().all(|row| is_word(&row[column]));
    let line = |cells: &[String]| {
        let padded: Vec<String> = (0..columns)
            .map(|column| {
                let (cell, width) = (&cells[column], widths[column]);
                if is_left(column) {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect();
        format!("| {} |\n", padded.join(" | "))
    };
    let rule: Vec<String> = (0..columns)
        .map(|column| {
            let dashes = "-".repeat(widths[column] - 1);
            if is_left(column) {
                format!(":{dashes}")
            } else {
                format!("{dashes}:")
            }
        })
        .collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}| {} |\n{body}", line(&header), rule.join(" | "))
}

fn is_word(cell: &str) -> bool {
    cell.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn with_range(spread: Option<Spread>) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |Spread {
             median, min, max, ..
         }| { format!("{} [{}–{}]", number(median), number(min), number(max)) },
    )
}

fn median_of(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| number(spread.median))
}

fn ratio(spread: Option<Spread>) -> String {
    let Some(spread) = spread else {
        return "-".to_owned();
    };
    let Spread {
        median, min, max, ..
    } = spread;
    let digits = if median < 0.1 { 3 } else { 2 };
    let mark = if !spread.is_resolved() { " ?" } else { "" };
    format!("{median:.digits$} [{min:.digits$}–{max:.digits$}]{mark}")
}

/// Three significant digits, with `k` and `M` for thousands and millions.
fn number(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 999_500.0 => (value / 1e6, " M"),
        value if value >= 9_995.0 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let digits = match scaled {
        scaled if scaled < 0.9995 => 3,
        scaled if scaled < 9.995 => 2,
        scaled if scaled < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.digits$}{unit}")
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// `server` when every round agrees, otherwise `server 3, generator 2`.
fn counts(saturated: &BTreeMap<String, u32>) -> String {
    if saturated.len() == 1 {
        return saturated.keys().cloned().collect();
    }
    let mut sides: Vec<_> = saturated.iter().collect();
    sides.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    sides
        .iter()
        .map(|(side, count)| format!("{side} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [
            0.35,
            4.712,
            9.996,
            63.4,
            240.4,
            9_234.0,
            9_999.0,
            58_231.0,
            2_859_000.0,
        ];
        let texts = numbers.map(number);
        let wanted = [
            "0.350", "4.71", "10.0", "63.4", "240", "9234", "10.0 k", "58.2 k", "2.86 M",
        ];
        assert_eq!(texts, wanted);
    }

    #[test]
    fn an_unresolved_ratio_is_marked() {
        assert_eq!(
            ratio(Spread::of([0.40, 0.41, 0.41, 0.41, 0.41, 0.42])),
            "0.41 [0.40–0.42]"
        );
        assert_eq!(ratio(Spread::of([0.40, 0.42, 0.41])), "0.41 [0.40–0.42] ?");
        assert_eq!(ratio(Spread::of([0.97, 1.02, 1.04])), "1.02 [0.97–1.04] ?");
        assert_eq!(ratio(Spread::of([0.0397])), "0.040 [0.040–0.040] ?");
        assert_eq!(ratio(None), "-");
    }

    #[test]
    fn columns_line_up_and_count_characters_not_bytes() {
        let rows = vec![
            vec!["a".to_owned(), "1 [1–2]".to_owned(), "server".to_owned()],
            vec!["bcd".to_owned(), "-".to_owned(), "both".to_owned()],
        ];
        let wanted = "\
| name |       µ | side   |
| :--- | ------: | :----- |
| a    | 1 [1–2] | server |
| bcd  |       - | both   |
";
        assert_eq!(grid(&["name", "µ", "side"], &rows), wanted);
    }

    #[test]
    fn saturation_is_counted_when_rounds_differ() {
        let once = BTreeMap::from([("server".to_owned(), 5)]);
        assert_eq!(counts(&once), "server");
        let mixed = BTreeMap::from([("generator".to_owned(), 2), ("server".to_owned(), 3)]);
        assert_eq!(counts(&mixed), "server 3, generator 2");
    }
}

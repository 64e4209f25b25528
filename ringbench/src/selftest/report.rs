//! The ceiling as a person reads it.

use std::fmt::Write as _;

use ringload::output::table::Table;
use ringload::quantity::{grouped, time};

use crate::selftest::document::{Case, SelftestDocument};

/// The table.
pub(super) fn table(document: &SelftestDocument) -> String {
    let mut table = Table::default();
    table.row("engine", &document.engine);
    table.row(
        "CPUs",
        format!(
            "generator on {}, peer on {}",
            cpus(&document.cpus),
            cpus(&document.peer_cpus)
        ),
    );
    table.row(
        "comparing",
        format!(
            "{:.1} ns a message of 32 B, {:.1} ns each further KiB",
            document.verify.ns_per_message, document.verify.ns_per_kibibyte
        ),
    );
    if let Some(schedule) = &document.schedule {
        table.row("schedule", &schedule.reason);
    }
    let noisy = document.cases.iter().filter(|case| case.noise.is_some());
    match noisy.count() {
        0 => {}
        noisy => table.row(
            "note",
            format!(
                "others took part in {noisy} of the {} cases; run it again when the machine is quiet",
                document.cases.len()
            ),
        ),
    }
    let mut text = table.into_text();
    if !document.cases.is_empty() {
        text.push('\n');
        text.push_str(&cases(&document.cases));
    }
    text
}

fn cpus(cpus: &[usize]) -> String {
    match cpus {
        [] => "any".to_owned(),
        cpus => cpus
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(","),
    }
}

fn cases(cases: &[Case]) -> String {
    let mut text = format!(
        "{:<14} {:>12} {:>12} {:>12} {:>16} {:>9}\n",
        "case", "messages/s", "CPU/message", "sampled", "thread's ceiling", "checking"
    );
    for case in cases {
        let per_second = |rate: f64| grouped(rate.round() as u64);
        let sampled = case.cpu_ns_per_message_unverified;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:>12} {:>12} {:>12} {:>14}/s {:>9}",
            case.name,
            per_second(case.messages_per_second),
            time(case.cpu_ns_per_message),
            sampled.map_or("-".to_owned(), time),
            per_second(case.ceiling_messages_per_second),
            sampled.map_or("-".to_owned(), |sampled| {
                let percent = 100.0 * (case.cpu_ns_per_message / sampled - 1.0);
                format!("{percent:+.1} %")
            })
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_a_row() {
        let case = Case {
            name: "64x32B-d1".to_owned(),
            connections: 64,
            depth: Some(1),
            rate: None,
            message_bytes: 32,
            messages_per_second: 123_456.0,
            cpu_ns_per_message: 2_200.0,
            cpu_ns_per_message_unverified: Some(2_000.0),
            ceiling_messages_per_second: 1e9 / 2_200.0,
            noise: None,
        };
        let text = cases(&[case]);
        let row = text.lines().nth(1).unwrap();
        for figure in [
            "64x32B-d1",
            "123,456",
            "2.20 µs",
            "2.00 µs",
            "454,545/s",
            "+10.0 %",
        ] {
            assert!(row.contains(figure), "{row}");
        }
    }
}

//! A comparison as a person reads it.

use std::fmt::Write as _;

use crate::assess::estimate::ROUNDS_TO_DECIDE;
use crate::assess::finding::Id;
use crate::assess::spread::Spread;
use crate::compare::document::{CompareDocument, Figures, Ratio};
use crate::compare::gate::{METRICS, Metric};
use crate::output::gate::line;

/// Both sides, the ratios, what they mean in words, and the gate.
pub(crate) fn table(document: &CompareDocument) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (name, one) in [("A", &document.a), ("B", &document.b)] {
        let version = one.version.as_ref().map(|version| format!("  ({version})"));
        let _ = writeln!(
            text,
            "{name}  {}{}",
            one.command,
            version.unwrap_or_default()
        );
    }
    let rounds = document.rounds.len();
    let asked = document.rounds_asked;
    let _ = writeln!(text, "{rounds} of {asked} rounds, seed {}\n", document.seed);
    if document.rounds.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "{:<22}{:>24}{:>24}  {:<24}",
        "", "A", "B", "B/A (interval)"
    );
    for metric in METRICS {
        row(&mut text, document, metric);
    }
    text.push('\n');
    for ratio in &document.ratios {
        let _ = writeln!(text, "{}", in_words(ratio));
    }
    if let Some(note) = disturbances(document) {
        let _ = writeln!(text, "{note}");
    }
    for result in &document.gate {
        let _ = writeln!(text, "--fail-if {}", line(result));
    }
    text
}

fn row(text: &mut String, document: &CompareDocument, metric: Metric) {
    let (title, divisor, decimals) = match metric {
        Metric::Throughput => ("messages/s", 1.0, 0),
        Metric::Cpu => ("CPU µs/message", 1e3, 3),
        Metric::P50 => ("p50 µs", 1e3, 1),
        Metric::P99 => ("p99 µs", 1e3, 1),
    };
    let side = |side: fn(&crate::compare::document::Round) -> &Figures| {
        let values = document
            .rounds
            .iter()
            .filter_map(|round| metric.of(side(round)));
        match Spread::of(values.map(|value| value / divisor)) {
            None => "-".to_owned(),
            Some(Spread {
                median, min, max, ..
            }) => {
                format!("{median:.decimals$} [{min:.decimals$}–{max:.decimals$}]")
            }
        }
    };
    let ratio = document
        .ratios
        .iter()
        .find(|ratio| ratio.metric == metric.name())
        .map_or("-".to_owned(), |ratio| {
            format!(
                "{:.3} [{:.3}, {:.3}]",
                ratio.estimate, ratio.low, ratio.high
            )
        });
    let _ = writeln!(
        text,
        "{title:<22}{:>24}{:>24}  {ratio}",
        side(|round| &round.a),
        side(|round| &round.b),
    );
}

/// What a ratio says, in a sentence.
fn in_words(ratio: &Ratio) -> String {
    let what = match ratio.metric.as_str() {
        "throughput" => "throughput",
        "cpu" => "CPU time per message",
        "p50" => "median latency",
        _ => "99th percentile of latency",
    };
    let percent = |ratio: f64| (ratio - 1.0).abs() * 100.0;
    let (estimate, low, high) = (ratio.estimate, ratio.low, ratio.high);
    match ratio.verdict.as_str() {
        "unresolved" if ratio.rounds < ROUNDS_TO_DECIDE => format!(
            "{what}: unresolved; it takes {ROUNDS_TO_DECIDE} rounds at least, and {} had it",
            ratio.rounds
        ),
        "unresolved" => format!(
            "{what}: unresolved; the rounds cannot tell A and B apart ({low:.3} to {high:.3})"
        ),
        verdict => {
            let mut ends = [percent(low), percent(high)];
            ends.sort_by(f64::total_cmp);
            format!(
                "{what}: {} by {:.1} % ({:.1} to {:.1} %)",
                verdict.replace("b is", "B is"),
                percent(estimate),
                ends[0],
                ends[1]
            )
        }
    }
}

/// What speaks against the figures of wall-clock time, if anything.
fn disturbances(document: &CompareDocument) -> Option<String> {
    let figures = || {
        document
            .rounds
            .iter()
            .flat_map(|round| [&round.a, &round.b])
    };
    let of = |ids: &[Id]| figures().filter(|figures| figures.has(ids)).count();
    let all = figures().count();
    let mut notes = Vec::new();
    let disturbed = of(&[Id::Steal, Id::CpuShared, Id::Unsteady]);
    if disturbed > 0 {
        notes.push(format!(
            "{disturbed} of {all} runs were disturbed: CPU time per message holds, the rest may not."
        ));
    }
    let bound = of(&[Id::GeneratorSaturated]);
    if bound > 0 {
        notes.push(format!(
            "In {bound} of {all} runs the generator was the limit: their throughput is a lower bound."
        ));
    }
    notes.extend(document.placement.warning.clone());
    (!notes.is_empty()).then(|| notes.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(verdict: &str, estimate: f64, low: f64, high: f64) -> Ratio {
        Ratio {
            metric: "cpu".to_owned(),
            estimate,
            low,
            high,
            confidence_percent: 95.0,
            rounds: 15,
            verdict: verdict.to_owned(),
        }
    }

    #[test]
    fn ratios_are_told_in_words() {
        assert_eq!(
            in_words(&ratio("b is lower", 0.75, 0.7, 0.8)),
            "CPU time per message: B is lower by 25.0 % (20.0 to 30.0 %)"
        );
        assert_eq!(
            in_words(&ratio("b is higher", 2.0, 1.5, 2.5)),
            "CPU time per message: B is higher by 100.0 % (50.0 to 150.0 %)"
        );
        assert_eq!(
            in_words(&ratio("unresolved", 1.0, 0.9, 1.1)),
            "CPU time per message: unresolved; the rounds cannot tell A and B apart (0.900 to 1.100)"
        );
    }
}

//! A comparison as a person reads it.

use crate::assess::estimate::ROUNDS_TO_DECIDE;
use crate::assess::finding::Id;
use crate::assess::spread::Spread;
use crate::compare::gate::{METRICS, Metric};
use crate::output::gate::line;
use crate::output::table::Table;
use crate::result::Document;
use crate::result::compare::{CompareResult, Ratio, Round, RoundFigures};

/// What it comes to, both sides, the figures with their ratios, and the gate.
pub(super) fn table(document: &Document, result: &CompareResult) -> Table {
    let mut table = Table::of(&document.summary);
    for (name, one) in [("A", &result.a), ("B", &result.b)] {
        let version = one.version.as_ref().map(|version| format!("  ({version})"));
        table.row(
            name,
            format!("{}{}", one.command, version.unwrap_or_default()),
        );
    }
    let (rounds, asked) = (result.rounds.len(), result.rounds_asked);
    let seed = document.load.seed;
    table.row("rounds", format!("{rounds} of {asked} rounds, seed {seed}"));
    let rows = METRICS.into_iter().filter_map(|metric| row(result, metric));
    table.grid(["", "A", "B", "B/A (interval)"], rows);
    for note in disturbances(result) {
        table.row("", note);
    }
    for result in &document.gate {
        table.row("--fail-if", line(result));
    }
    table
}

/// Medians of both with their whole range, and the ratio with its interval; `None` if no round has it.
fn row(result: &CompareResult, metric: Metric) -> Option<[String; 4]> {
    let is_it = |ratio: &&Ratio| ratio.metric == metric.name();
    let ratio = result.ratios.iter().find(is_it)?;
    let (divisor, decimals) = match metric {
        Metric::Throughput => (1.0, 0),
        Metric::Cpu => (1e3, 3),
        Metric::P50 | Metric::P99 => (1e3, 1),
    };
    let side = |side: fn(&Round) -> &RoundFigures| {
        let values = result.rounds.iter().filter_map(|it| metric.of(side(it)));
        let spread = Spread::of(values.map(|value| value / divisor))?;
        let Spread {
            median, min, max, ..
        } = spread;
        Some(format!(
            "{median:.decimals$} [{min:.decimals$}–{max:.decimals$}]"
        ))
    };
    let interval = format!(
        "{:.3} [{:.3}, {:.3}]",
        ratio.estimate, ratio.low, ratio.high
    );
    let (a, b) = (side(|round| &round.a)?, side(|round| &round.b)?);
    Some([metric.title().to_owned(), a, b, interval])
}

/// One sentence on all ratios: those that differ first.
pub(super) fn summary(ratios: &[Ratio]) -> String {
    if ratios.is_empty() {
        return "No round was finished.".to_owned();
    }
    let is_open = |ratio: &&Ratio| ratio.reason.is_some();
    let settled = ratios.iter().filter(|ratio| !is_open(ratio));
    let open = ratios.iter().filter(is_open);
    let words: Vec<_> = settled.chain(open).map(in_words).collect();
    words.join("; ") + "."
}

/// What a ratio says, in a phrase.
fn in_words(ratio: &Ratio) -> String {
    let what = match ratio.metric.as_str() {
        "throughput" => "throughput",
        "cpu" => "CPU time per message",
        "p50" => "median latency",
        _ => "99th percentile of latency",
    };
    let verdict = &ratio.verdict;
    if let Some(reason) = &ratio.reason {
        return format!("{what}: {verdict}, {reason}");
    }
    let percent = |ratio: f64| (ratio - 1.0).abs() * 100.0;
    let mut ends = [percent(ratio.low), percent(ratio.high)];
    ends.sort_by(f64::total_cmp);
    format!(
        "{what}: {} by {:.1} % ({:.1} to {:.1} %)",
        verdict.replace("b is", "B is"),
        percent(ratio.estimate),
        ends[0],
        ends[1]
    )
}

/// Why the rounds leave a ratio open.
pub(super) fn unresolved(low: f64, high: f64, rounds: usize) -> String {
    if rounds < ROUNDS_TO_DECIDE {
        format!("it takes {ROUNDS_TO_DECIDE} rounds at least, and {rounds} had it")
    } else {
        format!("the rounds cannot tell A and B apart ({low:.3} to {high:.3})")
    }
}

/// What speaks against the figures of wall-clock time, if anything.
fn disturbances(result: &CompareResult) -> Vec<String> {
    let figures = result.rounds.iter().flat_map(|round| [&round.a, &round.b]);
    let is_disturbed = |figures: &&RoundFigures| {
        let disturbing = [Id::Steal, Id::CpuShared, Id::Unsteady];
        let mut found = figures.findings.iter();
        found.any(|finding| disturbing.contains(&finding.id))
    };
    let disturbed = figures.filter(is_disturbed).count();
    let all = 2 * result.rounds.len();
    let note = (disturbed > 0).then(|| {
        format!(
            "{disturbed} of {all} runs were disturbed: CPU time per message holds, the rest may not"
        )
    });
    note.into_iter()
        .chain(result.placement.warning.clone())
        .collect()
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
            reason: (verdict == "unresolved").then(|| unresolved(low, high, 15)),
        }
    }

    #[test]
    fn ratios_are_told_in_words_and_what_differs_first() {
        let open = ratio("unresolved", 1.0, 0.9, 1.1);
        let lower = ratio("b is lower", 0.75, 0.7, 0.8);
        let higher = ratio("b is higher", 2.0, 1.5, 2.5);
        assert_eq!(
            summary(&[open, lower, higher]),
            "CPU time per message: B is lower by 25.0 % (20.0 to 30.0 %); \
             CPU time per message: B is higher by 100.0 % (50.0 to 150.0 %); \
             CPU time per message: unresolved, the rounds cannot tell A and B apart (0.900 to 1.100)."
        );
        assert_eq!(
            unresolved(1.0, 1.0, 2),
            "it takes 6 rounds at least, and 2 had it"
        );
    }
}

//! A comparison as a person reads it.

use crate::assess::spread::Spread;
use crate::compare::gate::{Metric, is_disturbing};
use crate::output::gate::line;
use crate::output::table::Table;
use crate::result::compare::{Ratio, Round, RoundFigures};
use crate::result::{Document, Outcome};

/// What it comes to, both sides, the figures with their ratios, what speaks against those of wall-clock time, and the
/// gate.
pub(super) fn table(document: &Document) -> Table {
    let mut table = Table::of(&document.summary);
    let Outcome::Compare(result) = &document.outcome else {
        return table;
    };
    for (name, one) in [("A", &result.a), ("B", &result.b)] {
        let version = one.version.as_ref().map(|version| format!("  ({version})"));
        table.row(name, one.command.clone() + &version.unwrap_or_default());
    }
    let (rounds, asked, seed) = (&result.rounds, result.rounds_asked, document.load.seed);
    let played = rounds.len();
    table.row("rounds", format!("{played} of {asked} rounds, seed {seed}"));
    let rows = result.ratios.iter().filter_map(|ratio| row(rounds, ratio));
    table.grid(["", "A", "B", "B/A (interval)"], rows);
    let runs = rounds.iter().flat_map(|round| [&round.a, &round.b]);
    let disturbed = runs.filter(|run| run.findings.iter().any(is_disturbing));
    let (disturbed, all) = (disturbed.count(), 2 * played);
    if disturbed > 0 {
        let what = "runs were disturbed: CPU time per message holds, the rest may not";
        table.row("", format!("{disturbed} of {all} {what}"));
    }
    if let Some(warning) = &result.placement.warning {
        table.row("", warning);
    }
    for result in &document.gate {
        table.row("--fail-if", line(result));
    }
    table
}

/// Medians of both with their whole range, and the ratio with its interval.
fn row(rounds: &[Round], ratio: &Ratio) -> Option<[String; 4]> {
    let metric = Metric::named(&ratio.metric)?;
    let (title, divisor, decimals) = metric.shown;
    let side = |side: fn(&Round) -> &RoundFigures| {
        let values = rounds.iter().filter_map(|it| (metric.of)(side(it)));
        let spread = Spread::of(values.map(|value| value / divisor))?;
        let (median, min, max) = (spread.median, spread.min, spread.max);
        Some(format!(
            "{median:.decimals$} [{min:.decimals$}–{max:.decimals$}]"
        ))
    };
    let (a, b) = (side(|round| &round.a)?, side(|round| &round.b)?);
    let (estimate, low, high) = (ratio.estimate, ratio.low, ratio.high);
    let interval = format!("{estimate:.3} [{low:.3}, {high:.3}]");
    Some([title.to_owned(), a, b, interval])
}

/// One sentence on all ratios: those that differ first.
pub(super) fn summary(ratios: &[Ratio]) -> String {
    if ratios.is_empty() {
        return "No round was finished.".to_owned();
    }
    let (open, settled): (Vec<_>, Vec<_>) = ratios.iter().partition(|it| it.reason.is_some());
    let words: Vec<_> = settled.into_iter().chain(open).map(in_words).collect();
    words.join("; ") + "."
}

/// What a ratio says, in a phrase.
fn in_words(ratio: &Ratio) -> String {
    let what = Metric::named(&ratio.metric).map_or("", |metric| metric.words);
    let verdict = ratio.verdict.replace("b is", "B is");
    if let Some(reason) = &ratio.reason {
        return format!("{what}: {verdict}, {reason}");
    }
    let ratios = [ratio.estimate, ratio.low, ratio.high];
    let [estimate, low, high] = ratios.map(|ratio| (ratio - 1.0).abs() * 100.0);
    let (least, most) = (low.min(high), low.max(high));
    format!("{what}: {verdict} by {estimate:.1} % ({least:.1} to {most:.1} %)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::estimate::Estimate;
    use crate::compare::gate::unresolved;

    fn told(low: f64, high: f64, rounds: usize) -> String {
        let ratio = 1.0;
        unresolved(&Estimate {
            ratio,
            low,
            high,
            rounds,
        })
    }

    fn ratio(verdict: &str, estimate: f64, low: f64, high: f64) -> Ratio {
        Ratio {
            metric: "cpu".to_owned(),
            estimate,
            low,
            high,
            confidence_percent: 95.0,
            rounds: 15,
            verdict: verdict.to_owned(),
            reason: (verdict == "unresolved").then(|| told(low, high, 15)),
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
            told(1.0, 1.0, 2),
            "it takes 6 rounds at least, and 2 had it"
        );
    }
}

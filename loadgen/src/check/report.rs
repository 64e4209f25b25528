//! What a person reads: little where all is well, all there is to know where it is not.

use std::fmt::Write as _;

use super::case::Case;
use super::verdict::{Level, Verdict};
use crate::check::document::{CaseResult, CheckDocument, Totals};

/// The cases, and what each rests on.
pub(super) fn list(cases: &[Case]) -> String {
    let width = cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for case in cases {
        let (level, rule) = (word(case.rule.level), &case.rule);
        let _ = writeln!(
            text,
            "{:width$}  {level:6}  {}: {}",
            case.id, rule.section, rule.says
        );
    }
    text
}

/// Groups and counts, then each case that did not pass; with `verbose`, each.
pub(super) fn table(document: &CheckDocument, verbose: bool) -> String {
    let mut text = format!("{}\n", document.url);
    let server = document
        .server
        .as_deref()
        .map(|name| format!("server {name:?}"));
    let greetings = (document.greetings > 0).then(|| {
        format!(
            "it sends {} message(s) unasked behind an upgrade, which are passed over",
            document.greetings
        )
    });
    let deflate = Some(if document.deflate {
        "agrees to permessage-deflate".to_owned()
    } else {
        "no permessage-deflate".to_owned()
    });
    let known: Vec<String> = [server, deflate, greetings].into_iter().flatten().collect();
    let _ = writeln!(text, "{}\n", known.join("; "));

    for group in groups(&document.cases) {
        let totals = Totals::of(group);
        let name = group[0].id.split('/').next().unwrap_or_default();
        let _ = writeln!(text, "  {name:10} {}", counts(totals));
    }
    let _ = writeln!(text, "  {:10} {}", "all", counts(document.totals));

    for case in &document.cases {
        if verbose || matches!(case.verdict, Verdict::Warn | Verdict::Fail) {
            text.push('\n');
            tell(&mut text, case);
        }
    }
    let skipped: Vec<_> = document
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Skip && !verbose)
        .collect();
    if !skipped.is_empty() {
        text.push('\n');
    }
    for alike in skipped.chunk_by(|one, other| one.happened == other.happened) {
        let (id, why) = (&alike[0].id, &alike[0].happened);
        let _ = match alike.len() - 1 {
            0 => writeln!(text, "SKIP {id}: {why}"),
            more => writeln!(text, "SKIP {id} and {more} more: {why}"),
        };
    }
    text
}

/// Cases one behind the other that have the same word before the slash.
pub(super) fn groups(cases: &[CaseResult]) -> impl Iterator<Item = &[CaseResult]> {
    let name = |case: &CaseResult| case.id.split('/').next().map(str::to_owned);
    cases.chunk_by(move |one, other| name(one) == name(other))
}

fn counts(totals: Totals) -> String {
    let mut text = format!("{:3} passed", totals.pass);
    for (count, word) in [
        (totals.warn, "warned"),
        (totals.fail, "failed"),
        (totals.skip, "skipped"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    text
}

fn tell(text: &mut String, case: &CaseResult) {
    let _ = writeln!(text, "{} {}", case.verdict.word(), case.id);
    let _ = writeln!(
        text,
        "  {}, {}: {}",
        word(case.level),
        case.section,
        case.requirement
    );
    let _ = writeln!(text, "  expected: {}", case.expected);
    let _ = writeln!(text, "  happened: {}", case.happened);
    for line in &case.transcript {
        let _ = writeln!(text, "    {line}");
    }
}

pub(super) fn word(level: Level) -> &'static str {
    match level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
    }
}

//! A check as one page that needs no network and runs no script.

use std::time::{Duration, UNIX_EPOCH};

use maud::{Markup, html};

use super::report::{groups, word};
use super::verdict::Verdict;
use crate::check::document::{CaseResult, CheckDocument, Totals};
use crate::output::page::{frame, theme};

const VERDICTS: [Verdict; 4] = [Verdict::Fail, Verdict::Warn, Verdict::Skip, Verdict::Pass];

/// What this page has beyond the dress of all.
const RULES: &str = "\
.verdict{display:inline-block;min-width:3.2rem;font-weight:700;font-size:.8rem}\
.FAIL{color:var(--bad)}.WARN{color:var(--s5)}.PASS{color:var(--good)}.SKIP{color:var(--quiet)}\
details.case{margin:.25rem 0}details.case summary{font-weight:400;overflow-wrap:anywhere}\
details.case>div{background:var(--panel);border-radius:8px;padding:.25rem 1rem;margin:.25rem 0 1rem}\
pre{overflow-x:auto;font:.8rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre-wrap;\
overflow-wrap:anywhere;margin:.5rem 0}\
body:has(#show-FAIL:not(:checked)) .case:has(.FAIL),body:has(#show-WARN:not(:checked)) .case:has(.WARN),\
body:has(#show-SKIP:not(:checked)) .case:has(.SKIP),body:has(#show-PASS:not(:checked)) .case:has(.PASS){display:none}";

/// The whole page.
pub(super) fn page(document: &CheckDocument) -> String {
    let title = format!("Check of {}", document.url);
    let body = html! {
        header {
            (theme())
            h1 { (title) }
            p.quiet { (circumstances(document)) }
        }
        main {
            p.lead { (sentence(document.totals)) }
            (overview(document))
            fieldset {
                legend { "Cases shown" }
                @for verdict in VERDICTS {
                    label {
                        input type="checkbox" id={ "show-" (verdict.word()) } checked;
                        " " (badge(verdict))
                    }
                }
            }
            @for cases in groups(&document.cases) {
                section id=(group(cases)) {
                    h2 { (group(cases)) }
                    @for case in cases { (entry(case)) }
                }
            }
        }
        footer {
            p { "Made by ringload " (document.environment.ringload_version) "." }
        }
    };
    frame(&title, RULES, &body)
}

fn circumstances(document: &CheckDocument) -> String {
    let written = UNIX_EPOCH + Duration::from_secs(document.environment.written_unix_seconds);
    let parts = [
        document
            .server
            .as_ref()
            .map(|server| format!("server {server}")),
        Some(if document.deflate {
            "agrees to permessage-deflate".to_owned()
        } else {
            "no permessage-deflate".to_owned()
        }),
        (document.greetings > 0).then(|| format!("{} greetings", document.greetings)),
        Some(humantime::format_rfc3339_seconds(written).to_string()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn sentence(totals: Totals) -> String {
    let Totals {
        pass,
        warn,
        fail,
        skip,
    } = totals;
    let all = pass + warn + fail + skip;
    format!("Of {all} cases {pass} passed, {warn} warned, {fail} failed and {skip} did not apply.")
}

/// Counts of each group, which leads to its cases.
fn overview(document: &CheckDocument) -> Markup {
    let row = |name: Markup, totals: Totals| {
        html! {
            tr {
                td { (name) }
                @for count in [totals.pass, totals.warn, totals.fail, totals.skip] { td.n { (count) } }
            }
        }
    };
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th { "group" }
                        @for name in ["passed", "warned", "failed", "skipped"] { th.n { (name) } }
                    }
                }
                tbody {
                    @for cases in groups(&document.cases) {
                        @let name = group(cases);
                        (row(html! { a href={ "#" (name) } { (name) } }, Totals::of(cases)))
                    }
                    (row(html! { strong { "all" } }, document.totals))
                }
            }
        }
    }
}

fn group(cases: &[CaseResult]) -> &str {
    cases[0].id.split('/').next().unwrap_or_default()
}

fn badge(verdict: Verdict) -> Markup {
    html! { span class={ "verdict " (verdict.word()) } { (verdict.word()) } }
}

/// One case: in a line what came of it, and below it all there is to know.
fn entry(case: &CaseResult) -> Markup {
    html! {
        details.case open[case.verdict == Verdict::Fail] {
            summary {
                (badge(case.verdict)) " " code { (case.id) } " "
                span.quiet { (case.happened) }
            }
            div {
                p { strong { (word(case.level)) } ", " (case.section) ": " (case.requirement) }
                p { "Expected: " (case.expected) }
                p { "Happened: " (case.happened) }
                @if !case.transcript.is_empty() {
                    pre {
                        @for line in &case.transcript { (line) "\n" }
                    }
                }
                p.quiet { (format!("{:.3} s", case.took_seconds)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::junit::tests::{NASTY, sample};

    #[test]
    fn everything_is_there_and_text_stays_text() {
        let text = page(&sample());
        for part in [
            "Of 4 cases 1 passed, 1 warned, 1 failed and 1 did not apply.",
            "ws://127.0.0.1:9/?a&amp;b",
            "<details class=\"case\" open>",
            "sent 2 bytes: 81 00 |..|",
            "&lt;script&gt;",
            "<a href=\"#frames\">frames</a>",
            "default-src 'none'",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert_eq!(text.matches("<details").count(), 4);
        for forbidden in [NASTY, "<script", " src=", "url("] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
        for element in [
            "details", "section", "div", "table", "tr", "td", "pre", "p", "span",
        ] {
            let opened = text.matches(&format!("<{element}>")).count()
                + text.matches(&format!("<{element} ")).count();
            assert_eq!(
                opened,
                text.matches(&format!("</{element}>")).count(),
                "{element}"
            );
        }
    }
}

//! A check as JUnit's XML, which every CI reads.
//!
//! A FAIL is a failure, a SKIP is skipped; a WARN passes, and says what it is about in its output.

use super::report::word;
use super::verdict::Verdict;
use crate::check::document::{CaseResult, CheckDocument};
use crate::output::junit::{self, Ending, TestCase};

/// The document: a suite for each group.
pub(super) fn junit(document: &CheckDocument) -> String {
    let cases: Vec<_> = document.cases.iter().map(test_case).collect();
    junit::junit(&format!("ringload check {}", document.url), &cases)
}

fn test_case(case: &CaseResult) -> TestCase {
    let (group, name) = split(case);
    let happened = case.happened.clone();
    TestCase {
        group: group.to_owned(),
        name: name.to_owned(),
        seconds: case.took_seconds,
        ending: match case.verdict {
            Verdict::Pass => Ending::Passed,
            Verdict::Skip => Ending::Skipped(happened),
            Verdict::Warn => Ending::PassedWith(format!("WARN: {}", story(case))),
            Verdict::Fail => Ending::Failed {
                kind: word(case.level),
                message: happened,
                story: story(case),
            },
        },
    }
}

fn split(case: &CaseResult) -> (&str, &str) {
    case.id.split_once('/').unwrap_or(("check", &case.id))
}

/// All there is to know about a case, a line each.
fn story(case: &CaseResult) -> String {
    let head = [
        format!("{}: {}", case.section, case.requirement),
        format!("expected: {}", case.expected),
        format!("happened: {}", case.happened),
    ];
    let lines: Vec<_> = head.iter().chain(&case.transcript).cloned().collect();
    lines.join("\n")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::check::document::{CHECK_SCHEMA, Totals};
    use crate::check::verdict::Level;
    use crate::result::{Environment, Status};

    /// Text that no form must take for its own.
    pub(in crate::check) const NASTY: &str =
        "<script>\"a\" & 'b'\u{0}\u{1b}\u{ffff}\n]]></x>\u{1f600}";

    pub(in crate::check) fn sample() -> CheckDocument {
        let case = |id: &str, verdict| CaseResult {
            id: id.to_owned(),
            level: Level::Must,
            section: "RFC 6455, 5.1".to_owned(),
            requirement: NASTY.to_owned(),
            expected: "Close 1002".to_owned(),
            verdict,
            happened: NASTY.to_owned(),
            transcript: vec!["sent 2 bytes: 81 00 |..|".to_owned(), NASTY.to_owned()],
            took_seconds: 0.25,
        };
        let cases = vec![
            case("frames/one", Verdict::Pass),
            case("frames/two", Verdict::Fail),
            case("close/one", Verdict::Warn),
            case("close/two", Verdict::Skip),
        ];
        CheckDocument {
            schema: CHECK_SCHEMA.to_owned(),
            status: Status::Failed,
            error: None,
            environment: Environment::read(),
            url: "ws://127.0.0.1:9/?a&b".to_owned(),
            server: Some(NASTY.to_owned()),
            greetings: 0,
            deflate: true,
            totals: Totals::of(&cases),
            cases,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = junit(&sample());
        let tree = roxmltree::Document::parse(&text).unwrap();
        let root = tree.root_element();
        assert_eq!(root.attribute("tests"), Some("4"));
        assert_eq!(root.attribute("time"), Some("1.000"));
        let suites: Vec<_> = root.children().filter(|node| node.is_element()).collect();
        let counted =
            |name| -> Vec<_> { suites.iter().filter_map(|s| s.attribute(name)).collect() };
        assert_eq!(counted("name"), ["frames", "close"]);
        assert_eq!(counted("tests"), ["2", "2"]);
        assert_eq!(counted("failures"), ["1", "0"]);
        assert_eq!(counted("skipped"), ["0", "1"]);
        let failure = tree
            .descendants()
            .find(|node| node.has_tag_name("failure"))
            .unwrap();
        let kept = NASTY.replace(['\0', '\u{1b}', '\u{ffff}'], "\u{fffd}");
        assert_eq!(failure.attribute("message"), Some(&*kept));
        assert!(failure.text().unwrap().contains(&kept));
        let warning = tree
            .descendants()
            .find(|node| node.has_tag_name("system-out"))
            .unwrap();
        assert!(warning.text().unwrap().starts_with("WARN: RFC 6455"));
    }
}

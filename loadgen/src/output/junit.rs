//! JUnit's XML, which every CI reads.

use std::fmt::Write as _;

/// A test case: something that was asked for, and what came of it.
pub(crate) struct TestCase {
    /// Cases of one group that stand together are a suite.
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) ending: Ending,
}

/// What came of a case.
pub(crate) enum Ending {
    Passed,
    /// It passed, and there is something to say of it.
    PassedWith(String),
    Skipped(String),
    Failed {
        kind: &'static str,
        /// One line.
        message: String,
        /// All there is to know.
        story: String,
    },
}

/// The document, under the name of what was run.
pub(crate) fn junit(name: &str, cases: &[TestCase]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<testsuites name=\"{}\" {}>",
        escaped(name),
        counts(cases)
    );
    for suite in cases.chunk_by(|a, b| a.group == b.group) {
        write_suite(&mut text, suite);
    }
    text.push_str("</testsuites>\n");
    text
}

fn write_suite(text: &mut String, cases: &[TestCase]) {
    let group = escaped(&cases[0].group);
    let _ = writeln!(text, "  <testsuite name=\"{group}\" {}>", counts(cases));
    for case in cases {
        let _ = write!(
            text,
            "    <testcase classname=\"{group}\" name=\"{}\" time=\"{:.3}\"",
            escaped(&case.name),
            case.seconds
        );
        let _ = match &case.ending {
            Ending::Passed => writeln!(text, "/>"),
            Ending::PassedWith(output) => {
                let output = escaped(output);
                writeln!(text, "><system-out>{output}</system-out></testcase>")
            }
            Ending::Skipped(why) => {
                let why = escaped(why);
                writeln!(text, "><skipped message=\"{why}\"/></testcase>")
            }
            Ending::Failed {
                kind,
                message,
                story,
            } => writeln!(
                text,
                "><failure type=\"{kind}\" message=\"{}\">{}</failure></testcase>",
                escaped(message),
                escaped(story)
            ),
        };
    }
    text.push_str("  </testsuite>\n");
}

/// Attributes that count.
fn counts(cases: &[TestCase]) -> String {
    let count = |is_one: fn(&Ending) -> bool| {
        let those = cases.iter().filter(|case| is_one(&case.ending));
        those.count()
    };
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{seconds:.3}\"",
        cases.len(),
        count(|ending| matches!(ending, Ending::Failed { .. })),
        count(|ending| matches!(ending, Ending::Skipped(_)))
    )
}

/// Text for an element or a quoted attribute. What XML cannot hold at all, not even escaped, is replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // In an attribute, a parser makes a space of them unless they are references.
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

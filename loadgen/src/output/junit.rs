//! JUnit's XML, which every CI reads.

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
    let suites = cases.chunk_by(|a, b| a.group == b.group);
    let suites: String = suites.map(test_suite).collect();
    let (name, counts) = (escaped(name), counts(cases));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites name=\"{name}\" {counts}>\n{suites}</testsuites>\n"
    )
}

fn test_suite(cases: &[TestCase]) -> String {
    let (group, counts) = (escaped(&cases[0].group), counts(cases));
    let cases: String = cases.iter().map(|case| test_case(&group, case)).collect();
    format!("  <testsuite name=\"{group}\" {counts}>\n{cases}  </testsuite>\n")
}

fn test_case(group: &str, case: &TestCase) -> String {
    let ending = match &case.ending {
        Ending::Passed => "/>".to_owned(),
        Ending::PassedWith(output) => {
            format!("><system-out>{}</system-out></testcase>", escaped(output))
        }
        Ending::Skipped(why) => format!("><skipped message=\"{}\"/></testcase>", escaped(why)),
        Ending::Failed {
            kind,
            message,
            story,
        } => {
            let (message, story) = (escaped(message), escaped(story));
            format!("><failure type=\"{kind}\" message=\"{message}\">{story}</failure></testcase>")
        }
    };
    let (name, seconds) = (escaped(&case.name), case.seconds);
    format!("    <testcase classname=\"{group}\" name=\"{name}\" time=\"{seconds:.3}\"{ending}\n")
}

/// Attributes that count.
fn counts(cases: &[TestCase]) -> String {
    let endings = || cases.iter().map(|case| &case.ending);
    let failures = endings().filter(|it| matches!(it, Ending::Failed { .. }));
    let skipped = endings().filter(|it| matches!(it, Ending::Skipped(_)));
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{seconds:.3}\"",
        cases.len(),
        failures.count(),
        skipped.count()
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
                escaped.push_str(&format!("&#{};", u32::from(c)));
            }
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

//! `--fail-if` on every command that measures: what it fails, and what is said of it.

mod support;

use serde_json::Value;
use support::client::{ringload, stderr};
use support::{Habit, serve};

/// What each command is told so that it is over soon.
fn commands() -> [(&'static str, String); 4] {
    let pid = std::process::id();
    [
        ("run", "-c 2 -d 300ms --warmup 0s".to_owned()),
        ("churn", "-c 2 -d 300ms --warmup 0s".to_owned()),
        (
            "idle",
            format!("-c 5 --hold 0s --settle 0s --server-pid {pid}"),
        ),
        (
            "capacity",
            "-c 2 --step 1s --warmup 0s --slo max<60s --from 200 --to 200".to_owned(),
        ),
    ]
}

#[test]
fn a_condition_that_holds_is_status_3_with_its_value_in_a_line() {
    for (command, arguments) in commands() {
        let url = format!("ws://{}", serve(Habit::Right));
        let (fails, passes, name) = match command {
            "idle" => ("connections<6", "errors>0", "connections is 5"),
            _ => ("rate<900M", "p99<0ns", "rate is "),
        };
        let line = format!(
            "{command} {url} {arguments} --json - --quiet --fail-if {fails} --fail-if {passes}"
        );
        let output = ringload(&line);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{line}: {told}");
        let expected = format!("ringload: --fail-if {fails}: {name}");
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["status"], "missed");
        assert_eq!(document["gate"][0]["outcome"], "failed");
        assert_eq!(document["gate"][1]["outcome"], "passed", "{document:#}");

        let line = format!("{command} {url} {arguments} --fail-if {passes}");
        let output = ringload(&line);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = format!("{passes}: passed: ");
        assert!(table.contains(&expected), "{table}");
    }
}

/// Both files, whatever came of it; the summary is appended to.
#[test]
fn a_summary_and_test_cases_are_written_of_what_passed_and_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    for (command, arguments) in commands() {
        let url = format!("ws://{}", serve(Habit::Right));
        let [summary, junit] =
            ["md", "xml"].map(|end| folder.path().join(format!("{command}.{end}")));
        std::fs::write(&summary, "before\n").unwrap();
        let (fails, passes) = match command {
            "idle" => ("connections<6", "errors>0"),
            _ => ("rate<900M", "p99<0ns"),
        };
        let line = format!(
            "{command} {url} {arguments} --quiet --fail-if {fails} --fail-if {passes} --summary {} --junit {}",
            summary.display(),
            junit.display()
        );
        assert_eq!(ringload(&line).status.code(), Some(3), "{line}");
        let text = std::fs::read_to_string(&summary).unwrap();
        assert!(text.starts_with("before\n### ringload "), "{text}");
        assert!(
            text.contains("FAILED: what was asked for is not met"),
            "{text}"
        );
        assert!(text.contains("\n| | |\n|---|---|\n"), "{text}");
        assert!(
            text.contains("\\<6: FAILED") || text.contains("\\<900M: FAILED"),
            "{text}"
        );
        let text = std::fs::read_to_string(&junit).unwrap();
        let tree = roxmltree::Document::parse(&text).unwrap();
        let root = tree.root_element();
        assert_eq!(root.attribute("tests"), Some("3"));
        assert_eq!(root.attribute("failures"), Some("1"));
        let named = |name| {
            tree.descendants()
                .find(|node| node.attribute("name") == Some(name))
        };
        let failed = named(fails).unwrap();
        assert!(failed.children().any(|node| node.has_tag_name("failure")));
        assert!(!named(passes).unwrap().has_children());
    }
}

/// A run that went wrong is a test case that failed, though no condition did.
#[test]
fn what_went_wrong_is_a_failed_test_case() {
    let folder = tempfile::tempdir().unwrap();
    let junit = folder.path().join("junit.xml");
    let url = format!("ws://{}", serve(Habit::CorruptFirst(3)));
    let line = format!(
        "run {url} -c 1 -d 200ms --quiet --junit {}",
        junit.display()
    );
    assert_eq!(ringload(&line).status.code(), Some(1));
    let text = std::fs::read_to_string(&junit).unwrap();
    let tree = roxmltree::Document::parse(&text).unwrap();
    assert_eq!(
        tree.root_element().attribute("failures"),
        Some("1"),
        "{text}"
    );
    let no_folder = format!("{}/", folder.path().join("none").display());
    for (option, file) in [
        ("--summary", "/nowhere/file"),
        ("--junit", "/nowhere/file"),
        ("--junit", no_folder.as_str()),
        ("--json", no_folder.as_str()),
    ] {
        let line = format!("run {url} {option} {file}");
        let output = ringload(&line);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains("cannot be written"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_figure_that_is_not_known_fails_and_says_so() {
    let url = format!("ws://{}", serve(Habit::Right));
    for (command, arguments) in commands() {
        if command == "idle" {
            continue;
        }
        let line = format!("{command} {url} {arguments} --quiet --fail-if cpu>1s");
        let output = ringload(&line);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert_eq!(
            told.trim_end(),
            "ringload: --fail-if cpu>1s: cpu is not known: it was not measured (it needs --server-pid)"
        );
    }
}

#[test]
fn a_name_that_no_command_has_lists_those_that_it_has() {
    for (command, arguments) in commands() {
        for (condition, phrases) in [
            ("p98x>1ms", &["\"p98x\" is not known; the names are "][..]),
            ("p99", &["is no condition", "such as p99>5ms"]),
            ("rss>1", &["errors"]),
            ("p99>5", &["p99", "is"]),
        ] {
            // A search has no errors of its own, and a crowd no percentiles.
            if command == "capacity" && condition == "rss>1" {
                continue;
            }
            let line = format!("{command} ws://127.0.0.1:1 {arguments} --fail-if {condition}");
            let output = ringload(&line);
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{line}: {told}");
            for phrase in phrases {
                assert!(told.contains(phrase), "{told}");
            }
        }
    }
}

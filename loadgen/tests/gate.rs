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
        ("storm", "-c 2 -d 300ms --warmup 0s".to_owned()),
        (
            "idle",
            format!("-c 5 --hold 0s --settle 0s --server-pid {pid}"),
        ),
        (
            "knee",
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
            if command == "knee" && condition == "rss>1" {
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

//! `ringload compare` with two fake servers that are programs of their own.

mod fake;

use std::process::{Command, Output, Stdio};

use fake::Fake;
use serde_json::Value;

/// Rounds that are over soon: what is tested here needs no precision.
const SHORT: [&str; 6] = [
    "--duration",
    "400ms",
    "--warmup",
    "0s",
    "--connections",
    "1",
];

fn compare(a: &str, b: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(["compare", a, b]).args(SHORT).args(arguments);
    command
}

fn finished(output: &Output, status: i32) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{errors}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "ringload/3");
    assert_eq!(document["kind"], "compare");
    document
}

fn complaint(output: &Output, status: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{errors}");
    let start = errors.rfind("ringload: ").unwrap_or_default();
    errors[start..].trim_end().to_owned()
}

fn ratio<'a>(document: &'a Value, metric: &str) -> &'a Value {
    let ratios = document["result"]["ratios"].as_array().unwrap();
    ratios
        .iter()
        .find(|ratio| ratio["metric"] == metric)
        .unwrap()
}

#[test]
fn a_slower_server_fails_the_gate_and_every_round_has_both_in_its_order() {
    let fake = Fake::new();
    let (a, b) = (fake.command("a", ""), fake.command("b", "--burn 10000"));
    let gate = ["--fail-if", "p50>1.5", "--fail-if", "p99<0.0001"];
    let rounds = ["--rounds", "6", "--seed", "4", "--json", "-"];
    let output = compare(&a, &b, &[&gate[..], &rounds].concat()).output();
    let document = finished(&output.unwrap(), 3);
    assert_eq!(document["status"], "missed");
    let latency = ratio(&document, "p50");
    assert_eq!(latency["verdict"], "b is higher");
    let [low, estimate, high] =
        ["low", "estimate", "high"].map(|name| latency[name].as_f64().unwrap());
    assert!(1.0 < low && low <= estimate && estimate <= high);
    let outcomes: Vec<_> = document["gate"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["failed", "passed"]);

    let rounds = document["result"]["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 6);
    let orders: Vec<&str> = rounds
        .iter()
        .map(|round| round["order"].as_str().unwrap())
        .collect();
    assert!(
        orders.contains(&"ab") && orders.contains(&"ba"),
        "{orders:?}"
    );
    // Each run had a process of its own, in the order that the document tells.
    assert_eq!(fake.starts().concat(), orders.concat());
    for side in ["a", "b"] {
        assert!(rounds[0][side]["completed_per_second"].as_f64().unwrap() > 0.0);
        assert!(rounds[0][side]["latency"]["count"].as_u64().unwrap() > 0);
        assert_eq!(document["result"][side]["version"], "echo 1.2.3");
    }
    fake.assert_none_is_left();
}

#[test]
fn what_few_rounds_cannot_tell_is_unresolved_and_fails_only_if_strict() {
    let fake = Fake::new();
    let (a, b) = (fake.command("a", ""), fake.command("b", "--burn 10000"));
    let gate = ["--rounds", "2", "--json", "-", "--fail-if", "p50>1.5"];
    let document = finished(&compare(&a, &b, &gate).output().unwrap(), 0);
    assert_eq!(document["gate"][0]["outcome"], "unresolved");
    assert_eq!(ratio(&document, "p50")["verdict"], "unresolved");
    let strict = [&gate[..], &["--strict"]].concat();
    let output = compare(&a, &b, &strict).output().unwrap();
    let document = finished(&output, 3);
    assert_eq!(document["gate"][0]["outcome"], "unresolved");
    assert!(complaint(&output, 3).contains("--fail-if p50>1.5: 2 rounds settle nothing"));
}

#[test]
fn the_table_says_what_is_unresolved_in_words() {
    let fake = Fake::new();
    let same = fake.command("a", "");
    let output = compare(&same, &same, &["--rounds", "1"]).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert!(table.contains("1 of 1 rounds"), "{table}");
    assert!(
        table.contains("throughput: unresolved, it takes 6 rounds"),
        "{table}"
    );
    let quiet = compare(&same, &same, &["--rounds", "1", "--quiet"]).output();
    let quiet = quiet.unwrap();
    assert!(
        quiet.stdout.is_empty() && quiet.stderr.is_empty(),
        "{quiet:?}"
    );
}

#[test]
fn a_server_that_goes_wrong_ends_it_with_its_last_words() {
    for (habit, phrases) in [
        ("--die-after 20", &["b has ended", "enough is enough"][..]),
        ("--corrupt-after 20", &["B", "differs from what was sent"]),
        ("--refuse", &["B does not echo", "503"]),
        ("--nonsense", &["B has ended", "--nonsense is no option"]),
    ] {
        let fake = Fake::new();
        let (a, b) = (fake.command("a", ""), fake.command("b", habit));
        let arguments = ["--rounds", "3", "--json", "-"];
        let output = compare(&a, &b, &arguments).output().unwrap();
        let document = finished(&output, 1);
        assert_eq!(document["status"], "failed");
        let why = complaint(&output, 1);
        for phrase in phrases {
            assert!(
                why.to_lowercase().contains(&phrase.to_lowercase()),
                "{habit}: {why}"
            );
        }
        assert_eq!(
            format!("ringload: {}", document["error"].as_str().unwrap()),
            why
        );
        fake.assert_none_is_left();
    }
}

#[test]
fn commands_that_cannot_be_followed_are_refused_before_anything_starts() {
    let fake = Fake::new();
    let right = fake.command("a", "");
    for (a, b, arguments, phrase) in [
        (&*right, "'", &[][..], "B: \"'\" is no command"),
        ("", &*right, &[], "A: \"\" is no command"),
        (&right, &right, &["--size", "7x"], "invalid value '7x'"),
        (
            &right,
            &right,
            &["--nonsense"],
            "unexpected argument '--nonsense'",
        ),
        (
            &right,
            &right,
            &["--server-pid", "1"],
            "unexpected argument '--server-pid'",
        ),
        (&right, &right, &["--fragments", "0"], "--fragments is 0"),
        (&right, &right, &["--tls-insecure"], "needs a wss:// URL"),
        (
            &right,
            &right,
            &["--fail-if", "rss>1"],
            "\"rss\" is not compared",
        ),
        (&right, &right, &["--url", "http://x"], "'--url <URL>'"),
        (&right, &right, &["--rounds", "0"], "0 is not in 1..=10000"),
        (
            &right,
            &right,
            &["ws://127.0.0.1:9/"],
            "unexpected argument 'ws:",
        ),
        (
            &right,
            &right,
            &["--fail-if", "throughput<0.9", "--rate", "100"],
            "--fail-if throughput<0.9: at a --rate both have that throughput",
        ),
        (
            &right,
            &right,
            &[
                "--fail-if",
                "cpu>1.1",
                "--fail-if",
                "throughput>2",
                "--rate=100",
            ],
            "--fail-if throughput>2: at a --rate",
        ),
    ] {
        let output = compare(a, b, arguments).output().unwrap();
        let why = complaint(&output, 2);
        assert!(why.contains(phrase), "{arguments:?}: {why}");
    }
    let output = compare(&right, "no-such-program x", &[]).output().unwrap();
    assert!(complaint(&output, 1).contains("B: cannot start no-such-program"));
    fake.assert_none_is_left();
}

#[test]
fn a_signal_keeps_the_rounds_that_were_played() {
    let fake = Fake::new();
    let same = fake.command("a", "");
    let ringload = compare(&same, &same, &["--rounds", "1000", "--json", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    fake.await_starts(3);
    let pid = rustix::process::Pid::from_child(&ringload);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = ringload.wait_with_output().unwrap();
    let document = finished(&output, 130);
    assert_eq!(document["status"], "interrupted");
    assert_eq!(document["error"], "interrupted");
    assert!(!document["result"]["rounds"].as_array().unwrap().is_empty());
    fake.assert_none_is_left();
}

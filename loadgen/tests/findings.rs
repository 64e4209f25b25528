//! What is found in real runs, as far as it does not depend on what else the machine does. The rules themselves are
//! tested as a table, beside their code.

mod support;

use std::process::Command;
use std::time::Duration;

use ringload::assess::finding::{Finding, Id};
use serde_json::Value;
use support::{Habit, Reading, Script, serve};

/// A short run on epoll with these further arguments; once more if a busy machine let no message pass.
fn run(script: impl Into<Script>, arguments: &str) -> Value {
    let url = format!("ws://{}", serve(script));
    let once = || -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_ringload"))
            .args(["run", &url, "--engine", "epoll", "--connections", "2"])
            .args(["--warmup", "50ms", "--duration", "400ms", "--json", "-"])
            .args(arguments.split_ascii_whitespace())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
        })
    };
    let is_starved = |document: &Value| document["result"]["completed"] == 0;
    (0..10)
        .map(|_| once())
        .find(|document| !is_starved(document))
        .expect("one in ten runs has a message")
}

fn findings(document: &Value) -> Vec<Finding> {
    serde_json::from_value(document["findings"].clone()).unwrap()
}

fn has(document: &Value, id: Id) -> bool {
    findings(document).iter().any(|finding| finding.id == id)
}

#[test]
fn every_result_has_a_summary_and_findings_with_figures() {
    let pid = std::process::id();
    for load in ["", "--rate 200", "--duplex"] {
        let document = run(Habit::Right, &format!("{load} --server-pid {pid}"));
        let summary = document["summary"].as_str().unwrap();
        assert!(
            summary.contains("compared") && summary.ends_with('.'),
            "{load}: {summary}"
        );
        for finding in findings(&document) {
            assert!(finding.value.abs() >= finding.limit, "{finding:?}");
            assert!(
                finding.means.contains(": ") && !finding.unit.is_empty(),
                "{finding:?}"
            );
        }
        let stability = document["result"]["stability"]["reason"].as_str().unwrap();
        assert!(!stability.is_empty(), "{load}");
        assert!(document["result"]["others_percent"].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn without_a_server_to_look_at_it_is_not_called_the_limit() {
    // A closed loop whose replies come late leaves the generator idle.
    let document = run(Habit::Late(20), "");
    assert!(document["result"]["others_percent"].is_null());
    assert!(has(&document, Id::ServerUnobserved) && !has(&document, Id::ServerSaturated));
    let summary = document["summary"].as_str().unwrap();
    assert!(
        summary.contains("--server-pid") && !summary.contains("CPU time per"),
        "{summary}"
    );
}

#[test]
fn a_rate_that_the_server_does_not_hold_is_not_called_held() {
    // Two connections, each read 125 times a second at most, a message at a time: a quarter of the rate.
    let slow = Reading::Slow(Duration::from_millis(8));
    let document = run(slow, "--rate 1000 --size 16384");
    let per_second = |name: &str| document["result"][name].as_f64().unwrap();
    assert!(per_second("completed_per_second") < 0.5 * per_second("offered_per_second"));
    assert!(
        has(&document, Id::Backlog) || has(&document, Id::RateNotHeld),
        "{document:#}"
    );
    let summary = document["summary"].as_str().unwrap();
    assert!(!summary.contains("rate was held"), "{summary}");
}

#[test]
fn a_rate_that_is_held_late_is_held() {
    // Every reply takes 20 ms, and as many as there are may be on their way.
    let is_called_held = || {
        let document = run(Habit::Late(20), "--rate 1000");
        // Others may keep the fake server from its CPU.
        !has(&document, Id::RateNotHeld) && !has(&document, Id::Backlog)
    };
    assert!((0..10).any(|_| is_called_held()), "not in one of ten runs");
}

#[test]
fn a_failed_run_has_no_findings() {
    let document = run(Habit::Corrupt(5), "");
    assert_eq!(
        (&document["status"], findings(&document)),
        (&"failed".into(), Vec::new())
    );
    assert_eq!(document["summary"], "It failed, and is no result.");
}

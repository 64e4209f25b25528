//! Verdicts of real runs, as far as they do not depend on what else the machine does. The rules
//! themselves are tested as a table, beside their code.

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use support::{Habit, Reading, Script, serve};

const VERDICTS: [&str; 6] = [
    "server-bound",
    "generator-bound",
    "load-bound",
    "noisy",
    "invalid",
    "unobserved",
];

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
    let is_starved = |document: &Value| document["result"]["messages"] == 0;
    (0..10)
        .map(|_| once())
        .find(|document| !is_starved(document))
        .expect("one in ten runs has a message")
}

fn verdict(document: &Value) -> (&str, &str) {
    let result = &document["result"];
    let text = |name: &str| result[name].as_str().unwrap();
    (text("verdict"), text("verdict_reason"))
}

#[test]
fn every_result_has_a_verdict_and_a_reason_with_figures() {
    let pid = std::process::id();
    for load in ["--in-flight 1", "--in-flight 4", "--rate 200", "--duplex"] {
        let document = run(Habit::Right, &format!("{load} --server-pid {pid}"));
        let (verdict, reason) = verdict(&document);
        assert!(VERDICTS.contains(&verdict), "{load}: {verdict}");
        assert!(
            reason.contains("server ") && reason.contains("% on CPU"),
            "{load}: {reason}"
        );
        let stability = document["result"]["stability"]["reason"].as_str().unwrap();
        assert!(!stability.is_empty(), "{load}");
        assert!(document["result"]["others_percent"].as_f64().unwrap() >= 0.0);
    }
}

#[test]
fn without_a_server_to_look_at_it_is_not_called_the_limit() {
    // A closed loop whose replies come late leaves the generator idle.
    let document = run(Habit::Late(20), "--in-flight 1");
    assert!(document["result"]["others_percent"].is_null());
    let (verdict, reason) = verdict(&document);
    // Unless others kept the generator from its CPU.
    match verdict {
        "unobserved" => assert!(reason.contains("--server-pid"), "{reason}"),
        "noisy" => assert!(!reason.contains("server "), "{reason}"),
        other => panic!("{other}: {reason}"),
    }
}

#[test]
fn a_rate_that_the_server_does_not_hold_is_not_called_load_bound() {
    // Two connections, each read 125 times a second at most, a message at a time: a quarter of the rate.
    let slow = Reading::Slow(Duration::from_millis(8));
    let is_server_bound = || {
        let document = run(slow, "--rate 1000 --size 16384");
        let (verdict, reason) = verdict(&document);
        match verdict {
            "server-bound" => assert!(reason.contains("the rate was not held"), "{reason}"),
            // Others on the machine come first, and a generator that they made late.
            "noisy" | "generator-bound" => assert!(!reason.contains("was held"), "{reason}"),
            other => panic!("{other}: {reason}"),
        }
        let per_second = |name: &str| document["result"][name].as_f64().unwrap();
        let offered = per_second("offered_messages_per_second");
        assert!(per_second("messages_per_second") < 0.5 * offered);
        verdict == "server-bound"
    };
    if !(0..10).any(|_| is_server_bound()) {
        eprintln!("skipped: a verdict on the server (others on this machine came first ten times)");
    }
}

#[test]
fn a_rate_that_is_held_late_is_held() {
    // Every reply takes 20 ms, and as many as there are may be on their way.
    let is_called_held = || {
        let document = run(Habit::Late(20), "--rate 1000");
        let (verdict, reason) = verdict(&document);
        match verdict {
            "unobserved" => assert!(reason.contains("--server-pid"), "{reason}"),
            // Others on the machine come first, and a generator that they made late.
            "noisy" | "generator-bound" => assert!(!reason.contains("not held"), "{reason}"),
            // They may keep the fake server from its CPU, too.
            "server-bound" => assert!(reason.contains("were answered in the time"), "{reason}"),
            other => panic!("{other}: {reason}"),
        }
        verdict != "server-bound"
    };
    assert!((0..10).any(|_| is_called_held()), "not in one of ten runs");
}

#[test]
fn a_failed_run_is_no_result() {
    let document = run(Habit::Corrupt(5), "--in-flight 1");
    assert_eq!(document["status"], "failed");
    if document["result"].is_object() {
        assert_eq!(verdict(&document).0, "invalid");
    }
}

//! `ringbench selftest` as a user meets it. What it finds depends on the machine; that it adds up does not.

use std::process::{Command, Output};

use serde_json::Value;

fn ringbench(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringbench"));
    command.arg("selftest").args(arguments).output().unwrap()
}

#[test]
fn the_ceiling_is_measured_in_every_case_and_what_goes_wrong_is_seen() {
    let arguments = ["--duration", "200ms", "--engine", "epoll", "--json", "-"];
    let output = ringbench(&arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(errors.contains("--size=64KiB"), "{errors}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "ringload-selftest/2");
    assert_eq!(document["status"], "ok");
    let cases = document["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let figure = |name: &str| case[name].as_f64().unwrap();
        assert!(figure("messages_per_second") > 0.0, "{case}");
        let ceiling = figure("ceiling_messages_per_second") * figure("cpu_ns_per_message");
        assert!((ceiling / 1e9 - 1.0).abs() < 1e-6, "{case}");
        let is_by_schedule = case["load"].as_str().unwrap().contains("--rate");
        assert_eq!(case["send_lag_p99_9_ns"].is_u64(), is_by_schedule, "{case}");
    }
    // 64 KiB cost more than 32 B, whatever else the machine does.
    let cost = |index: usize| cases[index]["cpu_ns_per_message"].as_f64().unwrap();
    assert!(cost(2) > cost(0), "{document:#}");
    let seen = document["seen"].as_array().unwrap();
    assert_eq!(seen.len(), 2, "{document:#}");
    assert!(seen[1][1].as_str().unwrap().contains("p99"), "{document:#}");
}

#[test]
fn the_table_tells_the_same() {
    let output = ringbench(&["--duration", "100ms", "--quiet"]);
    assert_eq!((output.stdout.len(), output.stderr.len()), (0, 0));
    let output = ringbench(&["--duration", "100ms", "--engine", "epoll"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for phrase in [
        "messages/s",
        "at most",
        "one message in a thousand",
        "seen (",
    ] {
        assert!(text.contains(phrase), "{text}");
    }
}

#[test]
fn what_cannot_be_followed_is_status_2() {
    for (arguments, phrase) in [
        (&["--duration", "0s"][..], "--duration is too short"),
        (&["--generator-cpu", "1023"], "--generator-cpu: CPU 1023"),
        (&["--server-cpu", "1023"], "--server-cpu: CPU 1023"),
        (&["--server-cpu", "x"], "CPU numbers"),
        (&["--json", "/nowhere/selftest.json"], "cannot be written"),
    ] {
        let output = ringbench(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(phrase), "{arguments:?}: {errors}");
    }
}

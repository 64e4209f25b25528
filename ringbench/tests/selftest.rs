//! `ringbench selftest` as a user meets it. What it finds depends on the machine; that it adds up does not.

use std::process::{Command, Output};

use serde_json::Value;

fn ringbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringbench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn selftest(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let usual = ["selftest", "--duration", "200ms", "--json", "-"];
    let output = ringbench(&[&usual, arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let document =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    (output.status.code(), document, errors)
}

#[test]
fn the_ceiling_is_measured_in_every_case() {
    let (code, document, errors) = selftest(&["--engine", "epoll", "--quiet"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(document["schema"], "ringload-selftest/1");
    assert_eq!(document["status"], "ok");
    assert_eq!(document["engine"], "epoll");
    let cases = document["cases"].as_array().unwrap();
    let names: Vec<&str> = cases
        .iter()
        .map(|case| case["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["64x32B-d1", "64x32B-d16", "16x64KiB-d1", "64x32B-open"]
    );
    for case in cases {
        let figure = |name: &str| case[name].as_f64().unwrap();
        assert!(figure("messages_per_second") > 0.0, "{case}");
        assert!(figure("cpu_ns_per_message_unverified") > 0.0, "{case}");
        let ceiling = figure("ceiling_messages_per_second") * figure("cpu_ns_per_message");
        assert!((ceiling / 1e9 - 1.0).abs() < 1e-6, "{case}");
        assert_eq!(case["depth"].is_null(), case["rate"].is_number(), "{case}");
    }
    // 64 KiB cost more than 32 B, whatever else the machine does.
    let cost = |index: usize| cases[index]["cpu_ns_per_message"].as_f64().unwrap();
    assert!(cost(2) > cost(0), "{document:#}");
    let schedule = &document["schedule"];
    assert_eq!(schedule["rate"], 100_000.0);
    let late = schedule["lateness"]["p99_9_ns"].as_u64().unwrap();
    assert_eq!(schedule["holds"], late <= 200_000);
    let word = if late <= 200_000 {
        "holds: "
    } else {
        "cannot hold: "
    };
    assert!(
        schedule["reason"].as_str().unwrap().starts_with(word),
        "{schedule}"
    );
    for figure in ["ns_per_message", "ns_per_kibibyte"] {
        assert!(document["verify"][figure].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn the_table_tells_the_same() {
    let output = ringbench(&["selftest", "--duration", "100ms", "--engine", "epoll"]);
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{errors}");
    for phrase in ["comparing", "schedule", "64x32B-d16", "thread's ceiling"] {
        assert!(text.contains(phrase), "{text}");
    }
    assert!(errors.contains("16x64KiB-d1, with every byte"), "{errors}");
}

#[test]
fn both_sides_may_share_a_cpu() {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = text
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let cpu: String = list
        .trim()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let (code, document, errors) = selftest(&[
        "--engine",
        "epoll",
        "--cpu",
        &cpu,
        "--peer-cpu",
        &cpu,
        "--quiet",
    ]);
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(document["cpus"], document["peer_cpus"]);
    assert_eq!(document["cpus"][0].to_string(), cpu);
}

#[test]
fn what_cannot_be_followed_is_status_2() {
    for (arguments, phrase) in [
        (&["--duration", "0s"][..], "--duration is 0"),
        (&["--cpu", "1023"], "--cpu 1023"),
        (&["--peer-cpu", "1023"], "--peer-cpu 1023"),
        (&["--cpu", "x"], "CPU numbers"),
        (&["--json", "/nowhere/selftest.json"], "cannot be written"),
    ] {
        let output = ringbench(&[&["selftest"], arguments].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(phrase), "{arguments:?}: {errors}");
    }
}

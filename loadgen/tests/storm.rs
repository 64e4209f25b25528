//! `ringload storm` against a fake server that runs in this process.

mod support;

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Habit, serve, serve_tcp};

const BRIEFLY: [&str; 2] = ["--duration", "300ms"];

fn storm(scheme: &str, address: SocketAddr, bounds: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args([
            "storm",
            &format!("{scheme}://{address}"),
            "--connections",
            "4",
        ])
        .args(["--warmup", "50ms", "--json", "-"])
        .args(["--server-pid", &std::process::id().to_string()])
        .args(bounds)
        .output()
        .unwrap()
}

#[test]
fn visits_are_counted_timed_and_accounted() {
    for (scheme, address) in [
        ("ws", serve(Habit::Right)),
        ("tcp", serve_tcp(Habit::Right)),
    ] {
        let output = storm(scheme, address, &BRIEFLY);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["schema"], "ringload-storm/1");
        let result = &document["result"];
        let visits = result["visits"].as_u64().unwrap();
        assert!(visits > 0 && document["visits_verified"].as_u64().unwrap() >= visits);
        let opening = result["opening"]["p50_ns"].as_u64().unwrap();
        let visit = result["visit"]["p50_ns"].as_u64().unwrap();
        assert!(0 < opening && opening < visit);
        assert!(result["server_cpu_ns_per_visit"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_storm_is_over_after_the_visits_asked_for_long_before_its_time() {
    // An hour would be noticed.
    let numbers = ["--visits", "20", "--first-visit", "60000"];
    let bounds = [&numbers[..], &["--duration", "1h"]].concat();
    let output = storm("tcp", serve_tcp(Habit::Right), &bounds);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let visits = document["result"]["visits"].as_u64().unwrap();
    // A turn of the loop ends as many visits as are under way, at most.
    assert!((20..20 + 4).contains(&visits), "{visits}");
    assert_eq!(
        (&document["visits_max"], &document["first_visit"]),
        (&Value::from(20), &Value::from(60_000))
    );
}

#[test]
fn what_goes_wrong_is_told() {
    for (habit, phrase) in [
        (Habit::Refuse, "503"),
        (Habit::Corrupt(0), "differs from what was sent"),
        (Habit::Hangup(0), "ended the connection"),
    ] {
        let output = storm("ws", serve(habit), &BRIEFLY);
        assert_eq!(output.status.code(), Some(1), "{habit:?}");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(phrase), "{habit:?}: {errors}");
    }
}

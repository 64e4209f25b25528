//! `ringload storm` against a fake server that runs in this process.

mod support;

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Habit, serve, serve_tcp};

fn storm(scheme: &str, address: SocketAddr) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args([
            "storm",
            &format!("{scheme}://{address}"),
            "--connections",
            "4",
        ])
        .args(["--duration", "300ms", "--warmup", "50ms", "--json", "-"])
        .args(["--server-pid", &std::process::id().to_string()])
        .output()
        .unwrap()
}

#[test]
fn visits_are_counted_timed_and_accounted() {
    for (scheme, address) in [
        ("ws", serve(Habit::Right)),
        ("tcp", serve_tcp(Habit::Right)),
    ] {
        let output = storm(scheme, address);
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
fn what_goes_wrong_is_told() {
    for (habit, phrase) in [
        (Habit::Refuse, "503"),
        (Habit::Corrupt(0), "differs from what was sent"),
        (Habit::Hangup(0), "ended the connection"),
    ] {
        let output = storm("ws", serve(habit));
        assert_eq!(output.status.code(), Some(1), "{habit:?}");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(phrase), "{habit:?}: {errors}");
    }
}

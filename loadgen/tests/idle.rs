//! `ringload idle` against a fake server that runs in this process.

mod support;

use std::net::SocketAddr;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Habit, serve, serve_tcp};

fn idle(scheme: &str, address: SocketAddr) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args([
            "idle",
            &format!("{scheme}://{address}"),
            "--connections",
            "150",
            "--hold",
            "10ms",
            "--settle",
            "300ms",
        ])
        .args([
            "--json",
            "-",
            "--server-pid",
            &std::process::id().to_string(),
        ])
        .output()
        .unwrap()
}

#[test]
fn connections_are_held_measured_sampled_and_closed() {
    for (scheme, address) in [
        ("ws", serve(Habit::Right)),
        ("tcp", serve_tcp(Habit::Right)),
    ] {
        let output = idle(scheme, address);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["schema"], "ringload-idle/1");
        assert_eq!(document["connections_opened"], 150);
        // Every second one: at most 100, evenly spread.
        assert_eq!(document["sample_echoed"], 75);
        assert!(document["memory_full"]["rss_bytes"].as_u64().unwrap() > 0);
        assert!(document["growth"]["rss_anonymous_bytes_per_connection"].is_f64());
        let anonymous = |when: &str| document[when]["rss_anonymous_bytes"].as_f64().unwrap();
        let kept = &document["kept"]["rss_anonymous_bytes_per_connection"];
        let difference = anonymous("memory_after") - anonymous("memory_before");
        assert!((kept.as_f64().unwrap() * 150.0 - difference).abs() < 1.0);
        // What is not given back is waited for, but not for ever.
        let waited = document["settle_seconds"].as_f64().unwrap();
        assert!(difference <= 0.0 || waited >= 0.3, "{waited}");
        let full = |edge: usize| document["full_unix_seconds"][edge].as_f64().unwrap();
        assert!(full(1) - full(0) >= 0.01 && full(1) < full(0) + 60.0);
    }
}

#[test]
fn a_connection_that_no_longer_echoes_is_a_failure() {
    let output = idle("ws", serve(Habit::Corrupt(0)));
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("connection 0: a byte of the reply differs"),
        "{errors}"
    );
}

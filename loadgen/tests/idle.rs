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

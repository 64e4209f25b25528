//! `ringload idle` against a server that runs out of descriptors. A test program of its own: the limit is
//! that of its whole process.

mod visited;

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use visited::{Manner, Server};

#[test]
fn a_server_without_descriptors_is_named_with_its_limit() {
    let limit = getrlimit(Resource::Nofile);
    let low = Rlimit {
        current: Some(120),
        ..limit
    };
    setrlimit(Resource::Nofile, low).unwrap();
    let server = Server::start(|_| Manner::Good);
    let pid = std::process::id();
    let output = Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(["idle", &format!("ws://{}", server.address), "--json", "-"])
        .args(["--connections", "200", "--hold", "1h", "--settle", "0s"])
        .args(["--server-pid", &pid.to_string()])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("of 200 connections stood"), "{errors}");
    assert!(
        errors.contains("did not answer within 5 seconds"),
        "{errors}"
    );
    assert!(
        errors.contains(&format!("process {pid} has")) && errors.contains("may have 120"),
        "{errors}"
    );
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let opened = document["result"]["connections_opened"].as_u64().unwrap();
    assert!((50..120).contains(&opened), "{opened}");
}

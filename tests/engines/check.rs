//! `ringload check`: every case passes, on every engine, without so much as a warning.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::server::{BINARY, Server};

/// `ringload`, built beside the server: cargo builds other packages' binaries for no test. Where all of the workspace
/// was built from nothing just now, it is there.
static RINGLOAD: LazyLock<String> = LazyLock::new(|| {
    let profile = Path::new(BINARY).parent().expect("a folder");
    let ringload = profile.join("ringload");
    let path = ringload.to_string_lossy().into_owned();
    if std::env::var_os("CI").is_some() && ringload.exists() {
        return path;
    }
    let target = profile.parent().expect("a folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "ringload",
        "--target-dir",
    ]);
    cargo.arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo").success());
    path
});

pub(crate) fn every_case_passes(engine: &'static str) {
    let server = Server::start(engine, &[]);
    let url = format!("ws://{}/", server.address);
    // No measure of speed: other tests run beside it. That is why the cases that strain a server are left
    // out; besieged it is elsewhere.
    let mut check = Command::new(&*RINGLOAD);
    check.args(["check", &url, "--timeout", "20s", "--json", "-"]);
    for group in [
        "handshake/",
        "syntax/",
        "frames/",
        "fragments/",
        "utf8/",
        "close/",
        "deflate/",
    ] {
        check.args(["--only", group]);
    }
    let output = check.output().expect("ringload");
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let cases = document["cases"].as_array().expect("cases");
    let blemishes: Vec<_> = cases
        .iter()
        .filter(|case| case["verdict"] == "FAIL" || case["verdict"] == "WARN")
        .map(|case| format!("{} {}: {}", case["verdict"], case["id"], case["happened"]))
        .collect();
    assert!(blemishes.is_empty(), "{}", blemishes.join("\n"));
    // One that is skipped says nothing.
    let passed = cases
        .iter()
        .filter(|case| case["verdict"] == "PASS")
        .count();
    assert!(passed >= 630, "{passed} passed of {}", cases.len());
}

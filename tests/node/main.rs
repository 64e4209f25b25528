//! Clients from npm, as they are: Node `ws`, what Node, Deno and Bun bring with them, Socket.IO and Engine.IO.

#[path = "../support/mod.rs"]
mod support;

mod socket_io;
mod tutorial;
mod ws;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use support::server;

/// Seconds after which a script is ended, whatever it does.
const LIMIT: &str = "180";

fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/node")
}

/// Whether what `package-lock.json` names is installed, and not what it named before.
fn is_installed() -> bool {
    let changed = |file: &str| fs::metadata(scripts().join(file)).and_then(|it| it.modified());
    let named = changed("package-lock.json").expect("it is in the repository");
    changed("node_modules/.package-lock.json").is_ok_and(|installed| installed >= named)
}

/// Why these tests cannot run here; none: Node and the packages are ready.
fn missing() -> Option<&'static str> {
    static MISSING: LazyLock<Option<String>> = LazyLock::new(|| {
        for tool in ["node", "npm"] {
            if Command::new(tool).arg("--version").output().is_err() {
                return Some(format!(
                    "{tool} is not installed (Debian: apt install nodejs npm)"
                ));
            }
        }
        if is_installed() {
            return None;
        }
        let mut install = Command::new("npm");
        install
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(scripts());
        let output = install.output().expect("npm starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then(|| format!("npm ci in tests/node failed: {said}"))
    });
    MISSING.as_deref()
}

/// Whether the tests can run.
fn ready() -> bool {
    if let Some(reason) = missing() {
        leave_out("Node", reason);
    }
    missing().is_none()
}

/// Says that the tests with `what` do not run here. Where nothing may be left out, that is a failure.
fn leave_out(what: &str, reason: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "nothing is left out with CI set: {what}: {reason}"
    );
    server::say_skipped(&format!("the tests with {what}"), reason);
}

/// Runs `command`, a program and its arguments, in the folder of the scripts, and returns what it prints.
///
/// # Panics
/// If it fails, with all that it said.
fn run(command: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["--kill-after=5", LIMIT])
        .args(command)
        .current_dir(scripts())
        .output();
    let output = output.expect("timeout, of coreutils, starts");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{printed}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

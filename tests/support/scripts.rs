//! Programs in other languages, which a test starts.

use std::path::Path;
use std::process::{Command, Output};

use super::server;

/// Seconds after which a program is ended, whatever it does.
const LIMIT: &str = "300";

/// Runs `command`, a program and its arguments, in `folder`, and returns what it prints.
///
/// # Panics
/// If it fails, with all that it said.
pub(crate) fn run(folder: &Path, command: &[&str]) -> String {
    let output = output(folder, LIMIT, command);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{printed}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// The same with a limit of its own, in seconds, and whether it fails or not.
pub(crate) fn output(folder: &Path, limit: &str, command: &[&str]) -> Output {
    let output = Command::new("timeout")
        .args(["--kill-after=5", limit])
        .args(command)
        .current_dir(folder)
        .output();
    output.expect("timeout, of coreutils, starts")
}

/// Says that the tests with `what` do not run here.
///
/// # Panics
/// Where nothing may be left out.
pub(crate) fn leave_out(what: &str, reason: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "nothing is left out with CI set: {what}: {reason}"
    );
    server::say_skipped(&format!("the tests with {what}"), reason);
}

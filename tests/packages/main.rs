//! What is made to be installed: the Debian package, the image, completions, manual pages, units.

mod debian;
mod image;
mod papers;
mod seccomp;
#[path = "../support/mod.rs"]
mod support;
mod units;

use std::path::Path;
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Everything that a program said.
fn said(output: &Output) -> String {
    let streams = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&streams).into_owned()
}

/// Whether a program is here. Where nothing may be left out, it must be; else it is said that it is not.
fn is_here(program: &str, package: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let is_here = found.is_ok_and(|output| output.status.success());
    if !is_here {
        let reason = format!("{program} is not installed (Debian: apt install {package})");
        let is_strict = std::env::var_os("CI").is_some();
        assert!(!is_strict, "nothing is left out with CI set: {reason}");
        support::server::say_skipped(program, &reason);
    }
    is_here
}

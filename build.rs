//! Tells the program which commit it is built from.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_COMMIT");
    let commit = env::var("SOURCE_COMMIT").ok().or_else(head);
    println!(
        "cargo::rustc-env=SOURCE_COMMIT={}",
        commit.unwrap_or_else(|| "unknown".to_owned())
    );
}

/// What is checked out here, if this is the root of a repository and not a copy within another one. Only of a
/// release build: others would be built anew after each commit.
fn head() -> Option<String> {
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if !is_release || !git(&["--show-prefix"])?.is_empty() {
        return None;
    }
    // It grows with every commit, checkout and merge.
    println!(
        "cargo::rerun-if-changed={}",
        git(&["--git-path", "logs/HEAD"])?
    );
    git(&["--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("rev-parse")
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

//! `ringload report` as a user meets it, over directories that are made up.

mod fixture;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use fixture::{SKIPPED, SUBJECTS};
use serde_json::Value;
use tempfile::TempDir;

fn ringload(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringload"))
        .args(arguments)
        .output()
        .unwrap()
}

fn report(directory: &Path) -> Output {
    ringload(&["report", directory.to_str().unwrap()])
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A fixture, rendered: the directory, the page and the summary.
fn rendered(rounds: u32) -> (TempDir, String, String) {
    let directory = TempDir::new().unwrap();
    fixture::results(directory.path(), 1, rounds);
    let output = report(directory.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (page, summary) = read(directory.path());
    (directory, page, summary)
}

fn read(directory: &Path) -> (String, String) {
    let text = |name| fs::read_to_string(directory.join(name)).unwrap();
    (text("report.html"), text("summary.md"))
}

/// The text as HTML holds it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[test]
#[ignore = "writes a fixture to look at in a browser: set FIXTURE to a directory"]
fn write_a_fixture() {
    let directory = std::env::var("FIXTURE").unwrap();
    fs::create_dir_all(&directory).unwrap();
    fixture::results(Path::new(&directory), 1, 6);
    assert!(report(Path::new(&directory)).status.success());
}
